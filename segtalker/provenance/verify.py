"""What can be said about a file's origin: the mark in its pixels, the manifest in its file, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from segtalker.media.read import frame_times, probe, read_frames
from segtalker.provenance.config import PUBLIC_KEY
from segtalker.provenance.detect import FALSE_ALARM, Evidence, Finding, find_mark
from segtalker.provenance.manifest import Statement, read_origin

WINDOW_S = 4
"""Seconds that are added up for one reading."""
_MAX_FRAMES = 120
"""Frames of a window that are read at most, evenly spread."""


@dataclass(frozen=True)
class Window:
    """One reading of the detector."""

    start_s: float
    end_s: float
    num_frames: int
    finding: Finding


@dataclass(frozen=True)
class Verdict:
    """All that was found, and what it means."""

    path: str
    windows: tuple[Window, ...]
    statement: Statement
    is_public_key: bool

    @property
    def num_marked(self) -> int:
        """Windows with the mark; the error of the whole file is shared among its windows."""
        return sum(window.finding.chance <= FALSE_ALARM / len(self.windows) for window in self.windows)

    @property
    def message(self) -> int | None:
        """What the most windows' marks carry."""
        read = [window.finding.message for window in self.windows if window.finding.is_marked]
        known = [message for message in read if message is not None]
        return max(known, key=known.count) if known else None

    @property
    def is_synthetic(self) -> bool:
        """Whether mark or statement say so; False means that nothing was found, not that a video is real."""
        return self.num_marked > 0 or (self.statement.is_generated and self.statement.state != "invalid")


def verify(path: Path, key: str = PUBLIC_KEY, max_windows: int = 8) -> Verdict:
    """Read up to `max_windows` evenly spread windows of a video (or the one picture), and its manifest."""
    windows = tuple(
        Window(float(start), float(end), evidence.num_frames, find_mark(evidence, key))
        for start, end, evidence in _windows(path, max_windows)
    )
    return Verdict(str(path), windows, read_origin(path), key == PUBLIC_KEY)


def _windows(path: Path, count: int) -> Iterator[tuple[Fraction, Fraction, Evidence]]:
    info = probe(path)
    times = [*frame_times(path)]
    last = times[-1] + 1 / info.frame_rate if info.frame_rate else times[-1]
    length = max(Fraction(0), last - WINDOW_S)
    count = min(count, max(1, int(last / WINDOW_S)))
    seconds = np.array([float(time) for time in times])
    for number in range(count):
        start = length * number / max(1, count - 1)
        first = int(np.searchsorted(seconds, float(start) - 1e-6))
        stop = max(first + 1, int(np.searchsorted(seconds, float(start) + WINDOW_S - 1e-6)))
        stride = -(-(stop - first) // _MAX_FRAMES)
        evidence, shape = Evidence(), None
        for frame in read_frames(path, first, stop):
            shape = shape or frame.image.shape
            if (frame.index - first) % stride == 0 and frame.image.shape == shape:  # some films change size
                evidence.add(frame.image)
        yield times[first], min(last, start + WINDOW_S), evidence
