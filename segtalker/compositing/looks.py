"""Where a matte network of a fixed input looks: at a whole frame, and from nearer at small people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.guided import FloatImage
from segtalker.faces.align import apply_affine, invert_affine
from segtalker.types import FaceTrack, Image

Look = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Pictures [N, V, V, 3] to person against background [N, V, V], 0..1."""

VIEW = 256
"""Side of what the network sees."""
_FADE = 0.15  # part of a nearer look over which it gives way to the one before
_LEAST = 8  # pixels
_SAMPLES = 100  # frames of a track that tell how large its head is


@dataclass(frozen=True)
class _Span:
    """What a nearer look shows, in sides of the face crop."""

    side: float
    below: float
    """How far its centre lies below that of the face."""
    end: float
    """Part of it from the top that counts."""
    worth: float
    """Share of the look before from which this one is no better."""


_SPANS = (
    _Span(4.5, 1.1, 1.0, 0.8),
    _Span(2.0, 0.0, 0.85, 0.35),
)  # a person; a head with its shoulders cut off


@dataclass(frozen=True)
class View:
    """One look at a frame."""

    box: tuple[int, int, int, int]
    """left, top, right, bottom in pixels of the frame."""
    corner: tuple[float, float] = (0.0, 0.0)
    """left, top of the square that the box would be in a frame without end."""
    side: float = 0.0
    """Of that square; 0 for the whole frame."""
    end: float = 1.0
    """Part of the square from the top that counts."""

    def shown(self, image: Image) -> Image:
        """What the network sees [V, V, 3] of a frame."""
        left, top, right, bottom = self.box
        return resized(image[top:bottom, left:right], (VIEW, VIEW))

    def weight(self, xs: FloatImage, ys: FloatImage) -> FloatImage:
        """[h, w] how much this look counts at columns [w] and rows [h], in pixels of the frame."""
        if self.side == 0:
            return np.ones((len(ys), len(xs)), np.float32)
        u, v = (xs - self.corner[0]) / self.side, (ys - self.corner[1]) / self.side
        across = np.clip(np.minimum(u, 1 - u) / _FADE, 0, 1)
        down = np.clip(np.minimum(v, self.end - v) / _FADE, 0, 1)
        return np.asarray(down[:, None] * across, np.float32)


@dataclass(frozen=True)
class Person:
    """Somebody through a track, for looks from nearer."""

    track: FaceTrack
    side: float
    """Pixels of the face crop's side."""

    @staticmethod
    def of(track: FaceTrack) -> Person:
        """The person of a track."""
        some = track.crop_from_frame[:: max(1, track.num_frames // _SAMPLES)]
        return Person(track, 1 / float(np.median(np.sqrt(np.abs(np.linalg.det(some[..., :2]))))))

    def views(self, index: int, shape: tuple[int, ...]) -> list[View]:
        """Looks at the person in frame `index` of `shape` (H, W, ...), the nearest last.

        Those that show nothing new are left out, for the whole track, so that the matte does not jump.
        """
        height, width = shape[:2]
        if not self.track.start <= index < self.track.stop:
            return []
        frame_from_crop = invert_affine(self.track.crop_from_frame[index - self.track.start])
        x, y = (float(value) for value in apply_affine(frame_from_crop, np.array([0.5, 0.5])))
        views, before = [], float(width * height)
        for span in _SPANS:
            side = span.side * self.side
            area = min(side, width) * min(side, height)
            if area < span.worth * before:
                before = area
                corner = (x - side / 2, y + span.below * self.side - side / 2)
                views.append(View(_inside(corner, side, shape), corner, side, span.end))
        return [view for view in views if min(np.diff(np.reshape(view.box, (2, 2)), axis=0)[0]) >= _LEAST]


def views_of(people: Sequence[Person], index: int, shape: tuple[int, ...]) -> list[View]:
    """Every look at a frame of `shape` (H, W, ...), the whole first."""
    near = [view for person in people for view in person.views(index, shape)]
    return [View((0, 0, shape[1], shape[0])), *near]


def laid_together(
    answers: Iterator[NDArray[np.float32]], views: Sequence[View], size: tuple[int, int]
) -> FloatImage:
    """The matte of `size` (width, height) of a frame from the next answers, one for each look at it."""
    coarse = np.zeros((size[1], size[0]), np.float32)
    scale = np.array([size[0] / views[0].box[2], size[1] / views[0].box[3]])
    for view in views:
        left, top, right, bottom = (int(value) for value in np.rint(np.asarray(view.box) * [*scale, *scale]))
        part = np.asarray(cv2.resize(next(answers), (right - left, bottom - top)), np.float32)
        xs, ys = (np.arange(left, right) + 0.5) / scale[0], (np.arange(top, bottom) + 0.5) / scale[1]
        old = coarse[top:bottom, left:right]
        coarse[top:bottom, left:right] = old + view.weight(xs, ys) * (part - old)
    return np.clip(coarse, 0, 1)


def _inside(corner: tuple[float, float], side: float, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """left, top, right, bottom of a square, as far as the frame reaches."""
    (x, y), (height, width) = corner, shape[:2]
    return max(0, round(x)), max(0, round(y)), min(width, round(x + side)), min(height, round(y + side))


def resized(image: Image, size: tuple[int, int]) -> Image:
    """A picture [h, w, 3] in `size` (width, height)."""
    shrinks = image.shape[1] >= size[0] and image.shape[0] >= size[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))
