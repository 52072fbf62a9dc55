"""Where a matte network of a fixed input looks: at a whole frame, and from nearer at small heads."""

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
_NEAR = 1.5  # sides of the face crop that the nearer look spans
_WORTH = 0.9  # share of the frame from which a nearer look shows nothing new
_FADE = 0.15  # part of the nearer look over which it gives way to the whole
_CHIN = 0.85  # part of it from the top at which it has done so: cut off, shoulders are hard to tell
_LEAST = 8  # pixels
_SAMPLES = 100  # frames of a track that tell how large its head is


@dataclass(frozen=True)
class View:
    """One look at a frame."""

    box: tuple[int, int, int, int]
    """left, top, right, bottom in pixels of the frame."""
    corner: tuple[float, float] = (0.0, 0.0)
    """left, top of the square that the box would be in a frame without end."""
    side: float = 0.0
    """Of that square; 0 for the whole frame."""

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
        down = np.clip(np.minimum(v, _CHIN - v) / _FADE, 0, 1)
        return np.asarray(down[:, None] * across, np.float32)


@dataclass(frozen=True)
class Heads:
    """One person's head through a track."""

    track: FaceTrack
    side: float
    """Pixels that the nearer look spans."""

    @staticmethod
    def of(track: FaceTrack) -> Heads:
        """Those of a track."""
        some = track.crop_from_frame[:: max(1, track.num_frames // _SAMPLES)]
        scale = np.sqrt(np.abs(np.linalg.det(some[..., :2])))
        return Heads(track, _NEAR / float(np.median(scale)))

    def view(self, index: int, shape: tuple[int, ...]) -> View | None:
        """The nearer look at frame `index` of `shape` (H, W, ...); None where it shows nothing new.

        That is decided for the whole track, so that the matte does not jump.
        """
        height, width = shape[:2]
        large = min(self.side, width) * min(self.side, height) > _WORTH * width * height
        if large or not self.track.start <= index < self.track.stop:
            return None
        frame_from_crop = invert_affine(self.track.crop_from_frame[index - self.track.start])
        x, y = (float(value) - self.side / 2 for value in apply_affine(frame_from_crop, np.array([0.5, 0.5])))
        left, top = max(0, round(x)), max(0, round(y))
        right, bottom = min(width, round(x + self.side)), min(height, round(y + self.side))
        if min(right - left, bottom - top) < _LEAST:
            return None
        return View((left, top, right, bottom), (x, y), self.side)


def views_of(heads: Sequence[Heads], index: int, shape: tuple[int, ...]) -> list[View]:
    """Every look at a frame of `shape` (H, W, ...), the whole first."""
    near = [head.view(index, shape) for head in heads]
    return [View((0, 0, shape[1], shape[0])), *(view for view in near if view is not None)]


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


def resized(image: Image, size: tuple[int, int]) -> Image:
    """A picture [h, w, 3] in `size` (width, height)."""
    shrinks = image.shape[1] >= size[0] and image.shape[0] >= size[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))
