"""Which source frame is shown when: integer arithmetic on exact times, without faces or speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

_MAX_TIMESCALE = 2**31 - 1  # of an mp4 track
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Timeline:
    """N shown frames: `source` [N] indices, `ticks` [N + 1] times and the end, in units of `tick` seconds."""

    source: NDArray[np.int64]
    ticks: NDArray[np.int64]
    tick: Fraction

    @property
    def end(self) -> Fraction:
        """Seconds."""
        return int(self.ticks[-1]) * self.tick

    def before(self, end: Fraction, shorten_last: bool = False) -> Timeline:
        """The frames that start before `end` seconds; with `shorten_last` the last is cut there."""
        limit = math.ceil(end / self.tick)
        count = int(np.searchsorted(self.ticks[:-1], limit))
        ticks = self.ticks[: count + 1].copy()
        if shorten_last:
            ticks[-1] = min(int(ticks[-1]), limit)
        return Timeline(self.source[:count], ticks, self.tick)


def grid(rate: Fraction, count: int) -> Timeline:
    """`count` frames of constant rate, all showing source frame 0."""
    ticks = np.arange(count + 1, dtype=np.int64) * rate.denominator
    return Timeline(np.zeros(count, np.int64), ticks, Fraction(1, rate.numerator))


def native(times: Sequence[Fraction], frame_rate: Fraction) -> Timeline:
    """Every source frame at its own time; the last lasts as long as the one before it."""
    last = times[-1] - times[-2] if len(times) > 1 else 1 / frame_rate
    exact = [*times, times[-1] + last]
    scale = math.lcm(*{time.denominator for time in exact})
    if scale > _MAX_TIMESCALE:
        scale = _MICROSECONDS
    ticks = np.array([round(time * scale) for time in exact], np.int64)
    return Timeline(np.arange(len(times), dtype=np.int64), ticks, Fraction(1, scale))


def loop(timeline: Timeline, duration: Fraction) -> Timeline:
    """The frames again and again, for at least `duration` seconds."""
    return _repeat(timeline, np.arange(len(timeline.source)), duration)


def bounce(timeline: Timeline, duration: Fraction) -> Timeline:
    """Forward and backward without showing a turning frame twice, for at least `duration` seconds."""
    count = len(timeline.source)
    return _repeat(timeline, np.append(np.arange(count), np.arange(count - 2, 0, -1)), duration)


def resample(timeline: Timeline, rate: Fraction, stretch: Fraction = Fraction(1)) -> Timeline:
    """A constant grid of `rate` over the timeline made `stretch` times as long; the nearest frame is shown.

    Frame k asks for the time k / (rate stretch); of two equally near frames the earlier is taken.
    """
    count = math.ceil(timeline.end * stretch * rate)
    starts = timeline.ticks[:-1]
    position = 1 / (rate * stretch * timeline.tick)  # ticks of the timeline for one frame of the grid
    step, base = 2 * position.numerator, position.denominator
    # frame j + 1 is nearer than j where 2 k position > ticks[j] + ticks[j + 1]; exact in integers
    wanted = np.array([-(-k * step // base) for k in range(count)], np.int64)
    nearest = np.searchsorted(starts[:-1] + starts[1:], wanted)
    shown = grid(rate, count)
    return Timeline(timeline.source[nearest], shown.ticks, shown.tick)


def _repeat(timeline: Timeline, order: NDArray[np.int64], duration: Fraction) -> Timeline:
    durations = np.diff(timeline.ticks)[order]
    times = math.ceil(duration / (int(durations.sum()) * timeline.tick))
    ticks = np.append(0, np.cumsum(np.tile(durations, times)))
    return Timeline(timeline.source[np.tile(order, times)], ticks, timeline.tick)
