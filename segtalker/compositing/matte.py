"""The matte of whole frames: how much of each pixel is a person, with soft hair and steady edges.

A network's coarse answer is steadied with those of the neighbouring frames, and its edge drawn anew along
the edges of the frame at full size. A matte depends on its own frame and on `REACH` frames to either side,
so that every range of a video comes out the same alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.guided import FloatImage, colour_line
from segtalker.compositing.looks import VIEW, Look, Person, laid_together, resized, views_of
from segtalker.types import FaceTrack, Frame, Image

REACH = 2
"""Frames before and after one that its matte depends on."""
_WORK = 512  # longer side at which mattes are steadied and edges found
_SAME = 12.0  # levels by which a pixel of a neighbour differs that counts for a third
_CRUMB = 0.004  # share of the frame: smaller holes in a person are closed, smaller islands dropped
# In pixels of the network: depths from the coarse edge at which a pixel becomes surely person, or background.
_INSIDE = (1.0, 3.0)
_OUTSIDE = (3.5, 7.0)  # strands of hair reach further out than mistakes reach in
_LEVELS = (0.9, 0.5)  # coarse mattes above which a pixel counts as inside, below which as outside
_RADIUS = 3.0
_GAIN = 1.35  # by which mattes are drawn apart about a half: less leaves haze, more saw teeth


@dataclass(frozen=True)
class _Seen:
    """One frame at the working size, and the network's answer there."""

    picture: FloatImage
    """[h, w, 3], 0..255, slightly blurred."""
    coarse: FloatImage
    """[h, w]"""


class Mattes:
    """Mattes of the frames of a source; keeps what the latest frames need."""

    def __init__(self, look: Look, num_frames: int, tracks: Sequence[FaceTrack] = ()) -> None:
        """look: the network; num_frames: of the source; tracks: people who are looked at from nearer too."""
        self._look = look
        self._num_frames = num_frames
        self._people = [Person.of(track) for track in tracks]
        self._seen: dict[int, _Seen] = {}

    def needed(self, indices: Iterable[int]) -> set[int]:
        """Source frames that the mattes of `indices` depend on."""
        around = {near for index in indices for near in range(index - REACH, index + REACH + 1)}
        return {index for index in around if 0 <= index < self._num_frames}

    def of(self, frames: Mapping[int, Frame], indices: Collection[int]) -> dict[int, FloatImage]:
        """Mattes [H, W], 0..1, of source frames `indices`; frames: holds what they need.

        What is surely a person is 1, and what is surely none is 0, exactly.
        """
        needed = self.needed(indices)
        missing = sorted(needed - set(self._seen))
        self._seen = {index: seen for index, seen in self._seen.items() if index in needed}
        self._seen |= self._see({index: frames[index].image for index in missing})
        return {index: refine(self._steady(index), frames[index].image) for index in set(indices)}

    def _see(self, images: Mapping[int, Image]) -> dict[int, _Seen]:
        """All looks at some frames, by one call of the network."""
        if not images:
            return {}
        views = {index: views_of(self._people, index, image.shape) for index, image in images.items()}
        shown = [view.shown(image) for index, image in images.items() for view in views[index]]
        answers = iter(self._look(np.stack(shown)))
        seen = {}
        for index, image in images.items():
            picture = resized(image, _work_size(image))
            coarse = laid_together(answers, views[index], (picture.shape[1], picture.shape[0]))
            soft = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.0)
            seen[index] = _Seen(np.asarray(soft, np.float32), coarse)
        return seen

    def _steady(self, index: int) -> FloatImage:
        own = self._seen[index]
        around = [self._seen[near] for near in sorted(self.needed([index])) if near != index]
        return steady(own.coarse, own.picture, [(other.coarse, other.picture) for other in around])


def steady(
    coarse: FloatImage, picture: FloatImage, neighbours: Iterable[tuple[FloatImage, FloatImage]]
) -> FloatImage:
    """A coarse matte [h, w] averaged with those of neighbours wherever these show the same.

    picture: [h, w, 3], 0..255; neighbours: their mattes and pictures. What moves, or lies beyond a cut, looks
    different and does not count.
    """
    total, weights = coarse.copy(), np.ones_like(coarse)
    for other, shown in neighbours:
        difference = np.maximum.reduce(cv2.split(cv2.absdiff(shown, picture)))
        alike = np.exp(-np.square(difference / np.float32(_SAME)))
        total += alike * other
        weights += alike
    return total / weights


def refine(coarse: FloatImage, image: Image) -> FloatImage:
    """A coarse matte [h, w] at the size of its frame [H, W, 3], its edge along the edges of the picture."""
    height, width = image.shape[:2]
    size = (coarse.shape[1], coarse.shape[0])
    unit = max(size) / VIEW
    inside, outside = _certain(coarse, unit)
    small = resized(image, size).astype(np.float32) / np.float32(255)
    start = np.maximum(np.minimum(coarse, outside), inside)
    line = colour_line(start, small, max(2, round(_RADIUS * unit)))
    line, inside, outside = (_enlarged(part, (width, height)) for part in (line, inside, outside))
    matte = line[..., 3].copy()
    for channel in range(3):
        matte += line[..., channel] * (image[..., channel] * np.float32(1 / 255))
    matte = np.clip(_GAIN * (matte - 0.5) + 0.5, inside, np.maximum(outside, inside))
    return np.asarray(np.where(matte < 1 / 255, 0, np.where(matte > 254 / 255, 1, matte)), np.float32)


def _certain(coarse: FloatImage, unit: float) -> tuple[FloatImage, FloatImage]:
    """Bounds [h, w] of a matte: at least, deep in a person, and at most, far from everyone."""
    bounds = []
    sure, nobody = (_whole((coarse > level).astype(np.uint8)) for level in _LEVELS)
    for mask, (first, last) in ((sure, _INSIDE), (1 - nobody, _OUTSIDE)):
        depth = np.full(mask.shape, np.inf, np.float32)  # where there is no edge, all is far from it
        if not mask.all():
            depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5) / np.float32(unit)
        bounds.append(np.clip((depth - first) / (last - first), 0, 1).astype(np.float32))
    return bounds[0], 1 - bounds[1]


def _whole(person: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mask [h, w] without small islands, and without small holes."""
    for value in (1, 0):
        chosen = person == value
        _, parts, stats, _ = cv2.connectedComponentsWithStats(chosen.astype(np.uint8))
        crumbs = chosen & (stats[:, cv2.CC_STAT_AREA] < _CRUMB * person.size)[parts]
        person = np.where(crumbs, 1 - value, person).astype(np.uint8)
    return person


def _work_size(image: Image) -> tuple[int, int]:
    height, width = image.shape[:2]
    scale = min(1.0, _WORK / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _enlarged(values: FloatImage, size: tuple[int, int]) -> FloatImage:
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR), np.float32)
