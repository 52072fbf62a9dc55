"""Close eyes: the skin above an eye is carried down over an eyeball that stays where it is.

Lids, crease and brow are read from the face mesh in the eye's own axes, so that they move with the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.types import Image, Points

_UPPER_LIDS = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (362, 398, 384, 385, 386, 387, 388, 466, 263))
_LOWER_LIDS = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (362, 382, 381, 380, 374, 373, 390, 249, 263))
_BROWS = ((70, 63, 105, 66, 107), (336, 296, 334, 293, 300))
"""Mesh points, each list running along the eye from one corner to the other."""

_LID_SKIN = 0.7  # share of the skin between lid and brow that stretches when the lid comes down


def close_eyes(image: Image, landmarks: Points, closure: float) -> Image:
    """Bring both upper lids down by `closure` (0 open, 1 closed); a new picture [H, W, 3].

    landmarks: [468, 2] pixels of the picture.
    """
    result = image.copy()
    for eye in _eyes(landmarks, image.shape[:2]):
        eye.close(result, closure)
    return result


def lowered_lids(landmarks: Points, closure: float, size: int) -> NDArray[np.bool_]:
    """[size, size] where lids that are down by `closure` cover what was eye; landmarks in its pixels."""
    covered = np.zeros((size, size), np.bool_)
    for eye in _eyes(landmarks, covered.shape):
        covered[eye.box] |= (eye.lid <= eye.v) & (eye.v <= eye.lowered(closure)) & eye.between_corners
    return covered


def lid_area(landmarks: Points, closure: float, size: int) -> NDArray[np.bool_]:
    """[size, size] pixels that `close_eyes` may change."""
    area = np.zeros((size, size), np.bool_)
    for eye in _eyes(landmarks, area.shape):
        area[eye.box] |= (eye.v > eye.crease) & (eye.v < eye.lowered(closure) + 1) & eye.between_corners
    return area


def slide_lids(landmarks: Points, closure: float) -> NDArray[np.float64]:
    """The mesh [468, 2] with both upper lids down by `closure`."""
    points = landmarks.astype(np.float64)
    for upper, lower in zip(_UPPER_LIDS, _LOWER_LIDS, strict=True):
        points[list(upper)] += closure * (points[list(lower)] - points[list(upper)])
    return points


@dataclass(frozen=True)
class _Eye:
    """One eye on a patch of a picture, in its own axes: u along its corners, v downwards, in pixels."""

    box: tuple[slice, slice]
    grid: NDArray[np.int64]
    """[h, w, 2] column and row in the patch."""
    down: NDArray[np.float64]
    """[2] the direction of v."""
    v: NDArray[np.float64]
    lid: NDArray[np.float64]
    floor: NDArray[np.float64]
    crease: NDArray[np.float64]
    """[h, w] v of each pixel, and of the upper lid, the lower lid and the crease in its column."""
    between_corners: NDArray[np.bool_]

    def lowered(self, closure: float) -> NDArray[np.float64]:
        """[h, w] v of the upper lid that is down by `closure`."""
        return self.lid + closure * np.maximum(self.floor - self.lid, 0.0)

    def close(self, image: Image, closure: float) -> None:
        """Close this eye of a picture [H, W, 3] in place."""
        new_lid, patch = self.lowered(closure), image[self.box]
        share = np.clip((self.v - self.crease) / np.maximum(new_lid - self.crease, 1e-6), 0.0, 1.0)
        from_above = self.crease + share * (self.lid - self.crease) - self.v
        shift = np.where(self.v > self.crease, from_above, 0.0)  # along `down`, in pixels
        source = (self.grid + shift[..., None] * self.down).astype(np.float32)
        x, y = source[..., 0].copy(), source[..., 1].copy()
        skin = cv2.remap(patch, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        # The edge of the lid is one pixel soft; below it the eyeball keeps its own pixels.
        alpha = np.clip(new_lid - self.v + 0.5, 0.0, 1.0) * (self.between_corners & (self.v > self.crease))
        blended = alpha[..., None] * skin + (1.0 - alpha[..., None]) * patch
        image[self.box] = np.rint(blended).astype(np.uint8)


def _eyes(landmarks: Points, shape: tuple[int, ...]) -> list[_Eye]:
    """Those of both eyes that lie in a picture of `shape` and are wide enough to be edited."""
    both = zip(_UPPER_LIDS, _LOWER_LIDS, _BROWS, strict=True)
    found = [
        _eye(landmarks[list(upper)], landmarks[list(lower)], landmarks[list(brow)], shape)
        for upper, lower, brow in both
    ]
    return [eye for eye in found if eye is not None]


def _eye(upper: Points, lower: Points, brow: Points, shape: tuple[int, ...]) -> _Eye | None:
    origin, width = upper[0].astype(np.float64), float(np.linalg.norm(upper[-1] - upper[0]))
    if width < 2.0:
        return None
    along = (upper[-1] - upper[0]) / width
    down = np.array([-along[1], along[0]])
    down = down if down @ (lower[4] - brow[2]) > 0 else -down
    axes = np.stack([along, down]).astype(np.float64)

    left, top = np.maximum(np.floor(np.minimum(upper.min(0), brow.min(0)) - 2).astype(int), 0)
    right, bottom = np.ceil(np.maximum(upper.max(0), lower.max(0)) + 3).astype(int)
    right, bottom = min(right, shape[1]), min(bottom, shape[0])
    if right <= left or bottom <= top:
        return None
    grid = np.stack(np.meshgrid(np.arange(right - left), np.arange(bottom - top)), -1)
    u, v = np.moveaxis((grid + np.array([left + 0.5, top + 0.5]) - origin) @ axes.T, -1, 0)

    def curve(points: Points) -> NDArray[np.float64]:
        own = (points - origin) @ axes.T
        order = np.argsort(own[:, 0])
        return np.interp(u, own[order, 0], own[order, 1])

    lid = curve(upper)
    return _Eye(
        box=(slice(top, bottom), slice(left, right)),
        grid=grid,
        down=down,
        v=v,
        lid=lid,
        floor=curve(lower),
        crease=lid - _LID_SKIN * np.maximum(lid - curve(brow), 1.0),
        between_corners=(u > 0) & (u < width),
    )
