"""A few seconds of a pair in memory: frames that are scored, with as many neighbours as figures need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segtalker.evaluation.faces import Look
from segtalker.metrics.frechet import CLIP_FRAMES
from segtalker.metrics.opening import lip_area
from segtalker.parsing.clean import HALO, clean_maps
from segtalker.regions import merge_raw
from segtalker.types import Image

BLOCK = 50
"""Frames that are scored at once."""
BEFORE = 1 + HALO
"""Neighbours that a frame depends on: its map, and that of the frame before, are cleaned with theirs."""
AFTER = CLIP_FRAMES + HALO
"""The longest window that begins at a frame, cleaned."""


@dataclass(frozen=True)
class Seen:
    """One frame of the grid, in all videos of a pair."""

    output: Look
    reference: Look | None = None
    source: Look | None = None
    """In a crop of its own; None where the source is the reference."""
    before: Image | None = None
    """What the method was given, cut as the output is, [S, S, 3]."""


class Side:
    """One video of a window, as arrays over its frames."""

    def __init__(self, looks: list[Look | None], size: int, map_size: int, margin: float) -> None:
        """Frames without a video, and crops without a face, are told by `shots`, `faces` and NaN."""
        self._looks = [look or Look() for look in looks]
        self._size, self._map_size, self._margin = size, map_size, margin

    @cached_property
    def shots(self) -> NDArray[np.int64]:
        """[T] number of the track; -1 without a crop."""
        return np.array([look.shot for look in self._looks], np.int64)

    @cached_property
    def faces(self) -> NDArray[np.bool_]:
        """[T] whether a face is seen in the crop."""
        return np.array([look.face is not None for look in self._looks], np.bool_)

    @cached_property
    def crops(self) -> NDArray[np.uint8]:
        """[T, S, S, 3]; black without a crop."""
        empty = np.zeros((self._size, self._size, 3), np.uint8)
        return np.stack([empty if look.crop is None else look.crop for look in self._looks])

    @cached_property
    def openings(self) -> NDArray[np.float64]:
        """[T] `lip_area`; NaN without a face."""
        found = np.full(len(self._looks), np.nan)
        for at, look in enumerate(self._looks):
            if look.face is not None:
                found[at] = lip_area(look.face.landmarks * (self._margin / self._size))
        return found

    @cached_property
    def parsed(self) -> NDArray[np.bool_]:
        """[T] whether there is a map."""
        return np.array([look.raw is not None for look in self._looks], np.bool_)

    @cached_property
    def maps(self) -> NDArray[np.uint8]:
        """Region maps [T, M, M] without flicker, as in dubbing; frames near the ends lack neighbours."""
        found = np.zeros((len(self._looks), self._map_size, self._map_size), np.uint8)
        for run in self.runs(self.parsed):
            raws = [self._looks[at].raw for at in run]
            found[run.start : run.stop] = merge_raw(
                clean_maps(np.stack([raw for raw in raws if raw is not None]))
            )
        return found

    def runs(self, known: NDArray[np.bool_]) -> list[range]:
        """Stretches of frames that are `known` and of one shot."""
        stretch = np.where(known, self.shots, -1)
        edges = [0, *(np.flatnonzero(np.diff(stretch)) + 1).tolist(), len(stretch)]
        pieces = pairwise(edges)
        return [range(first, last) for first, last in pieces if first < last and stretch[first] >= 0]

    def look(self, at: int) -> Look:
        """What a frame of the window shows."""
        return self._looks[at]


class Window:
    """Frames `first`.. of the grid, of which `core` are scored."""

    def __init__(self, first: int, frames: list[Seen], core: range, size: int, map_size: int, margin: float):
        """core: frame numbers of the grid."""
        self.first, self.core, self.frames = first, core, frames
        self.has_reference = any(seen.reference is not None for seen in frames)
        self.has_source = any(seen.source is not None for seen in frames)
        self.output, self.reference, self.source = (
            Side([getattr(seen, name) for seen in frames], size, map_size, margin)
            for name in ("output", "reference", "source")
        )

    @property
    def inner(self) -> slice:
        """The core among the frames of the window."""
        return slice(self.core.start - self.first, self.core.stop - self.first)

    def stretches(self, known: NDArray[np.bool_], before: int, after: int) -> NDArray[np.int64]:
        """Core frames (in the grid) with so many known neighbours of their shot before and after them."""
        found = [
            self.first + at
            for run in self.output.runs(known)
            for at in range(run.start + before, run.stop - after)
            if self.first + at in self.core
        ]
        return np.array(found, np.int64)


def windows(
    frames: Iterable[Seen], first: int, part: range, size: int, map_size: int, margin: float
) -> Iterator[Window]:
    """Cut consecutive `frames`, of which the first is number `first`, into windows over `part`."""
    held: list[Seen] = []
    stream = iter(frames)
    for start in range(part.start, part.stop, BLOCK):
        core = range(start, min(start + BLOCK, part.stop))
        keep = max(0, core.start - BEFORE - first)
        held, first = held[keep:], first + keep
        while len(held) < core.stop + AFTER - first and (seen := next(stream, None)) is not None:
            held.append(seen)
        yield Window(first, held, core, size, map_size, margin)
