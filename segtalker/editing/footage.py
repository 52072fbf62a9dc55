"""Footage: a picture or a video that fills frames of another size, at any time, over and over."""

from __future__ import annotations

import math
from bisect import bisect_right
from fractions import Fraction
from pathlib import Path

from segtalker.compositing.background import cover
from segtalker.frames import FrameWindow
from segtalker.media.read import frame_times, probe, read_frames
from segtalker.source import VideoSource
from segtalker.types import Image


class Footage:
    """What one file shows; a video begins again at its end. Holds one frame, and one of the decoder's."""

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        """size: (width, height) that it shall fill, cut at the longer sides."""
        self._path, self._size = path, size
        self._info = probe(path)
        self._window = FrameWindow(VideoSource(self._info))
        self._times = frame_times(path)
        self._end = self._times[-1] + 1 / self._info.frame_rate
        self._shown: tuple[int, Image] | None = None

    def at(self, time: Fraction) -> Image:
        """What it shows [H, W, 3] `time` seconds after the beginning of the output."""
        index = 0 if self._info.is_image else bisect_right(self._times, time % self._end) - 1
        if self._shown is None or self._shown[0] != index:
            self._shown = index, cover(self._read(index), self._size)
        return self._shown[1]

    def _read(self, index: int) -> Image:
        if not self._info.is_image:
            return self._window.get([index])[index].image
        sides = self._info.width, self._info.height
        scale = max(wanted / side for wanted, side in zip(self._size, sides, strict=True))
        longest = math.ceil(max(sides) * scale) if scale < 1 else None
        return next(iter(read_frames(self._path, 0, 1, longest))).image
