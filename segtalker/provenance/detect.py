"""Find the invisible mark in a few seconds of video, or in one picture.

Frames are reduced to a fixed size, their content is flattened (what is smooth goes, what is left is divided
by its local strength), and added up: the mark stays, what moves fades. The sum is then read on the grid of
cells at every scale and place that a crop could have given it, and compared with the signs of the key.

**How sure.** A comparison is a sum of the window's cells under the signs of the key, divided by the cells'
norm. Where the video was made without the key, the signs are as good as coin tosses that know nothing of the
cells, so that by Hoeffding's inequality such a sum exceeds u with a probability of at most exp(-u^2 / 2),
whatever the video shows. The place signs and the message signs are separate tosses: half the sum of their
squares has a tail below that of a Gamma(2) variable, (1 + x) exp(-x). Multiplied by the number of all places
and messages that are tried (the union bound), this is `Finding.chance`: a bound, not an estimate.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from segtalker.provenance.pattern import CELLS, EVEN, MESSAGES, SIDE, Plane, message_signs, place_signs
from segtalker.types import Image

FALSE_ALARM = 1e-4
"""A window counts as marked where the bound on its chance is at most this."""
_MISREAD = 1e-3
"""A message is believed where the bound on the chance that another one looks so good is at most this."""
_CELL_PX = 4
"""Side of a cell in the reduced frame."""
_RATIOS = tuple(float(ratio) for ratio in 0.98 * 1.004 ** np.arange(68))
"""Side of a cell over that of a whole frame: a crop makes cells larger; at most 0.98 .. 1.28."""
_HALVES = ((0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.5, 0.5))
_REACH = 20
"""Cells by which a crop may move the middle: 1/6 of the longer side at 16:9."""
_WINDOWS = ((0.0, 0.0, 1.0), *((y, x, 0.5) for y in (0.0, 0.25, 0.5) for x in (0.0, 0.25, 0.5)))
"""Parts of the frame (top, left, size) that are also searched alone: a mark may fill a face only."""
_CROPPED_WINDOWS = ((0.0, 0.0, 1.0), (0.0, 0.25, 0.5), (0.25, 0.25, 0.5))
"""Those of `_WINDOWS` that are searched at every scale and shift, too: where faces are."""
_CANDIDATES = 24
"""Places whose message is read."""
_WHOLE_TRIALS = len(_WINDOWS)
_MOVED_TRIALS = len(_RATIOS) * len(_HALVES) * (2 * _REACH + 1) ** 2 * len(_CROPPED_WINDOWS)


@dataclass(frozen=True)
class Finding:
    """What a window says."""

    chance: float
    """Bound on the probability that a window without the mark looks so much like a marked one, at most 1."""
    message: int | None
    """The number that the mark carries; None where it cannot be read with less than 1 in 1000 of error."""
    scale: float
    """Size of the cells relative to a whole frame; 1 where nothing was cut off."""
    moved: tuple[float, float]
    """Cells (down, right) by which the middle of the mark is off the middle of the frame."""
    strength: tuple[float, float]
    """Standard scores of place and message."""

    @property
    def is_marked(self) -> bool:
        """Whether the window counts as marked."""
        return self.chance <= FALSE_ALARM


class Evidence:
    """Frames of one shot or window, added up in constant memory."""

    def __init__(self) -> None:
        self.num_frames = 0
        self._shape: tuple[int, ...] = ()
        self._sum: Plane = np.zeros((1, 1), np.float32)

    def add(self, image: Image) -> None:
        """One more frame [H, W, 3]; all must have one size."""
        if self.num_frames == 0:
            self._shape = image.shape
        if image.shape != self._shape:
            raise ValueError(f"a frame of shape {image.shape} among frames of {self._shape}")
        self._sum = self._sum + _flat(_reduced(image), noise=1.0, most=2.0)
        self.num_frames += 1

    def plane(self) -> Plane:
        """What the frames have in common, flattened once more and smoothed to the size of a cell."""
        if self.num_frames == 0:
            raise ValueError("a window needs at least one frame")
        flat = _flat(self._sum / np.float32(self.num_frames), noise=0.02, most=2.5)
        return np.asarray(cv2.GaussianBlur(flat, (0, 0), 0.25 * _CELL_PX), np.float32)


def find_mark(evidence: Evidence, key: str) -> Finding:
    """Search one window for the mark of `key`."""
    return find_marks(evidence, [key])[0]


def find_marks(evidence: Evidence, keys: Sequence[str]) -> list[Finding]:
    """Search one window for the mark of each key; each finding's bound is that of its key alone."""
    plane = evidence.plane()
    likely = _likely_places(plane, keys)
    return [_best(plane, key, places) for key, places in zip(keys, likely, strict=True)]


def _best(plane: Plane, key: str, places: Sequence[_Place]) -> Finding:
    """The finding of one key: as if nothing was cut off, or at one of the likely places."""
    whole = [_read(_Place(1.0, (0.0, 0.0), window, (0, 0)), plane, key) for window in _WINDOWS]
    moved = [_read(place, plane, key) for place in places]
    # each family of places has half of the error to itself
    chances = [_chance(score, 2 * _WHOLE_TRIALS) for *_, score in whole]
    chances += [_chance(score, 2 * _MOVED_TRIALS) for *_, score in moved]
    best = int(np.argmin(chances))
    place, message, score = [*whole, *moved][best]
    moved_by = place.shift[0] + place.half[0], place.shift[1] + place.half[1]
    is_legible = MESSAGES * math.exp(-(max(0.0, score[1]) ** 2) / 2) <= _MISREAD
    strength = (round(score[0], 2), round(score[1], 2))
    return Finding(chances[best], message if is_legible else None, place.ratio, moved_by, strength)


@dataclass(frozen=True)
class _Place:
    """Where the grid may lie."""

    ratio: float
    half: tuple[float, float]
    window: tuple[float, float, float]
    shift: tuple[int, int]


def _likely_places(plane: Plane, keys: Sequence[str]) -> list[list[_Place]]:
    """For every key: the best shift at every scale, half-cell and window; of these the best ones."""
    near = np.arange(-_REACH, _REACH + 1) % SIDE
    here = np.ix_(near, near)
    found: list[list[tuple[float, _Place]]] = [[] for _ in keys]
    for ratio, half in itertools.product(_RATIOS, _HALVES):
        windows = _windows(_cells(plane, ratio, half), _CROPPED_WINDOWS)
        for window, cells in zip(_CROPPED_WINDOWS, windows, strict=True):
            seen = fft.rfft2(cells)
            norms = np.where(EVEN > 0, _norm(cells * EVEN), _norm(cells * (1 - EVEN)))[here]
            for key, places in zip(keys, found, strict=True):
                scores = fft.irfft2(seen * _conjugate(key, "place"), s=cells.shape)[here] / norms
                best = int(scores.argmax())
                y, x = divmod(best, len(near))
                shift = y - _REACH, x - _REACH
                places.append((float(scores.flat[best]), _Place(ratio, half, window, shift)))
    return [
        [place for _, place in heapq.nlargest(_CANDIDATES, places, key=lambda item: item[0])]
        for places in found
    ]


def _read(place: _Place, plane: Plane, key: str) -> tuple[_Place, int, tuple[float, float]]:
    """The place, its best message, and the standard scores of both."""
    (cells,) = _windows(_cells(plane, place.ratio, place.half), [place.window])
    signs = np.roll(place_signs(key), place.shift, (0, 1))
    rest = cells * (signs == 0)
    score = float((cells * signs).sum() / _norm(cells * (signs != 0)))
    sums = fft.irfft2(fft.rfft2(rest) * _conjugate(key, "message"), s=rest.shape)
    best = int(sums.argmax())
    y, x = divmod(best, SIDE)
    message = (y - place.shift[0]) % SIDE * SIDE + (x - place.shift[1]) % SIDE
    return place, message, (score, float(sums.flat[best] / _norm(rest)))


def _chance(score: tuple[float, float], places: int) -> float:
    """The bound of the module's docstring for the best of so many places."""
    half = sum(max(0.0, part) ** 2 for part in score) / 2
    return min(1.0, places * MESSAGES * (1 + half) * math.exp(-half))


def _cells(plane: Plane, ratio: float, half: tuple[float, float]) -> tuple[Plane, tuple[float, float]]:
    """The plane read at the middles of the cells, the frame's middle in the middle; and its size in cells.

    The array holds an odd number of turns of the torus, so that its middle is the torus' middle.
    """
    height, width = plane.shape
    side = (height * width) ** 0.5 / CELLS * ratio
    cells_high, cells_wide = height / side, width / side
    turns = 1 + 2 * math.ceil(max(0.0, max(cells_high, cells_wide) - SIDE) / (2 * SIDE))
    middle = turns * SIDE // 2
    plane_from_cells = np.array(
        [
            [side, 0, (width - 1) / 2 + side * (half[1] - middle)],
            [0, side, (height - 1) / 2 + side * (half[0] - middle)],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cells = cv2.warpAffine(plane, plane_from_cells, (turns * SIDE, turns * SIDE), flags=flags)
    return np.asarray(cells, np.float32), (cells_high, cells_wide)


def _windows(
    read: tuple[Plane, tuple[float, float]], windows: Sequence[tuple[float, float, float]]
) -> Iterator[Plane]:
    """The cells of each window, all others 0, folded onto the torus."""
    cells, (high, wide) = read
    middle, turns = len(cells) // 2, len(cells) // SIDE
    for top, left, size in windows:
        y0, x0 = (round(middle + (at - 0.5) * n) for at, n in ((top, high), (left, wide)))
        y1, x1 = (round(middle + (at + size - 0.5) * n) for at, n in ((top, high), (left, wide)))
        part = np.zeros_like(cells)
        y, x = slice(max(0, y0 - 1), y1 + 1), slice(max(0, x0 - 1), x1 + 1)
        part[y, x] = cells[y, x]
        yield part.reshape(turns, SIDE, turns, SIDE).sum((0, 2)) if turns > 1 else part


def _norm(cells: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(cells)) or 1.0


@lru_cache(maxsize=256)
def _conjugate(key: str, which: str) -> NDArray[np.complex64]:
    signs = place_signs(key) if which == "place" else message_signs(key)
    return np.conj(fft.rfft2(signs))


def _reduced(image: Image) -> Plane:
    """Luma of a frame at `_CELL_PX` pixels a cell."""
    height, width = image.shape[:2]
    scale = _CELL_PX * CELLS / (height * width) ** 0.5
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(luma, size, interpolation=shrinks).astype(np.float32)


def _flat(plane: Plane, noise: float, most: float) -> Plane:
    """What is finer than a cell's surroundings, divided by its local strength and limited to +-`most`."""
    fine = plane - cv2.GaussianBlur(plane, (0, 0), 0.7 * _CELL_PX)
    strength = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 1.0 * _CELL_PX) + noise**2)
    return np.clip(fine / strength, -most, most)
