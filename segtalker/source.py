"""Where the frames of a dub come from: a video file, or a still portrait that is brought to life.

Both look the same to the rest of the pipeline: a length, exact times, and frames by index in any range.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol

from segtalker.media.read import frame_times, losses, read_frames
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
