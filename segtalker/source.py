"""Where the frames of a dub come from: a video file, or a still portrait that is brought to life.

Both look the same to the rest of the pipeline: a length, exact times, and frames by index in any range.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

from segtalker.media.read import frame_times, losses, read_frames, read_sequence
from segtalker.types import Frame, VideoInfo


class FrameSource(Protocol):
    """Frames by index; `read` may be called for any range, in any order, and gives the same pixels."""

    info: VideoInfo
    losses: list[str]

    def times(self) -> list[Fraction]:
        """Seconds of every frame since the first, ascending."""
        ...

    def read(self, start: int = 0, stop: int | None = None, max_side: int | None = None) -> Iterator[Frame]:
        """Frames `start`..`stop`, shrunk so that no side exceeds `max_side`."""
        ...


class VideoSource:
    """The frames of a video file."""

    def __init__(self, info: VideoInfo) -> None:
        """Read the file that was probed as `info`."""
        self.info = info
        self.losses: list[str] = list(losses(info.path))
        """What could not be read so far, in sentences."""

    def times(self) -> list[Fraction]:
        """Seconds of every frame since the first."""
        return frame_times(self.info.path)

    def read(self, start: int = 0, stop: int | None = None, max_side: int | None = None) -> Iterator[Frame]:
        """Frames `start`..`stop`, upright RGB."""
        try:
            yield from read_frames(self.info.path, start, stop, max_side, self._note)
        finally:
            gc.collect()  # only the collector frees a decoder; its threads and frames would pile up

    def _note(self, loss: str) -> None:
        if loss not in self.losses:
            self.losses.append(loss)


class GridSource:
    """A time range of a video on an even grid: frame i is the one shown nearest to `start` + i / `rate`.

    Indices and times count from the beginning of the range. A faster video loses frames, a slower one
    repeats them; no frame is further off than half of its own duration.
    """

    def __init__(
        self, info: VideoInfo, rate: Fraction, start: Fraction = Fraction(0), end: Fraction | None = None
    ) -> None:
        """Seconds `start`..`end` of the file probed as `info`; what lies past its end is left out."""
        shown = frame_times(info.path)
        stop = shown[-1] + 1 / info.frame_rate
        stop = stop if end is None else min(end, stop)
        count = max(0, math.ceil((stop - start) * rate))
        self._indices = nearest_frames(shown, [start + i / rate for i in range(count)])
        self._rate = rate
        self.info = replace(info, frame_rate=rate, num_frames=count, is_vfr=False)
        self.losses: list[str] = list(losses(info.path))

    def times(self) -> list[Fraction]:
        """Seconds of every grid frame since the beginning of the range."""
        return [i / self._rate for i in range(len(self._indices))]

    def read(self, start: int = 0, stop: int | None = None, max_side: int | None = None) -> Iterator[Frame]:
        """Grid frames `start`..`stop`, upright RGB."""
        yield from self.take(range(len(self._indices))[start:stop], max_side)

    def take(self, indices: Sequence[int], max_side: int | None = None) -> Iterator[Frame]:
        """Grid frames of any `indices`, upright RGB; fastest in ascending order."""
        wanted = [self._indices[index] for index in indices]
        try:
            frames = read_sequence(self.info.path, wanted, max_side, self._note)
            for index, frame in zip(indices, frames, strict=True):
                yield Frame(index, index / self._rate, frame.image)
        finally:
            gc.collect()  # see VideoSource.read

    def _note(self, loss: str) -> None:
        if loss not in self.losses:
            self.losses.append(loss)


def nearest_frames(shown: Sequence[Fraction], times: Sequence[Fraction]) -> list[int]:
    """For each of the ascending `times` the index of the frame that is `shown` nearest, or of the earlier."""
    indices, at = [], 0
    for time in times:
        while at + 1 < len(shown) and abs(shown[at + 1] - time) < abs(shown[at] - time):
            at += 1
        indices.append(at)
    return indices
