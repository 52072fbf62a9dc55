"""Raise, lower and knit brows: a small smooth displacement of the skin from the lids to the forehead.

Read from the face mesh, in parts of the gap between lid and brow, so that it moves with the head and fits
any face. One displacement moves a region map and a picture of any size alike.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.faces.mesh import BROW_L, BROW_R, EYE_CORNERS, EYE_L, EYE_R
from segtalker.types import Points

_RISE = 0.55  # gaps between lid and brow that a full raise lifts the brow
_SINK = 0.35  # and that a full frown, or a raise of -1, lowers it
_KNIT = 0.05  # parts of the distance of the outer corners that a full frown draws each brow inwards
_FOREHEAD = 3.2  # gaps above the brow at which the skin stays still


def brow_field(landmarks: Points, size: int, raised: float, knitted: float) -> NDArray[np.float32]:
    """Where each pixel of the new picture lies in the old one: displacement [size, size, 2] (x, y) in pixels.

    landmarks: [468, 2] pixels of a picture of `size`. raised: -1..1; knitted: 0..1, a frown.
    """
    points = landmarks.astype(np.float64)
    left, right = (_Brow(points, *parts) for parts in ((BROW_L, EYE_L), (BROW_R, EYE_R)))
    x = np.arange(size) + 0.5
    middle = (left.inner[0] + right.inner[0]) / 2
    near_left = np.clip((right.inner[0] - x) / max(right.inner[0] - left.inner[0], 1.0), 0, 1)
    mix = near_left * near_left * (3 - 2 * near_left)
    gap = left.gap * mix + right.gap * (1 - mix)
    lift = (_RISE if raised > 0 else _SINK) * raised - _SINK * knitted * _inner_share(x, left, right)
    rise = gap * lift * _across(x, left, right)

    lid = left.lid * mix + right.lid * (1 - mix)
    top, low = (a * mix + b * (1 - mix) for a, b in zip(left.edges(x), right.edges(x), strict=True))
    low = np.minimum(low, lid - 0.3 * gap)
    rows = (np.arange(size) + 0.5)[:, None]
    dy = _between(rows, (top - _FOREHEAD * gap, top - rise, low - rise, lid), rise)
    outer = points[list(EYE_CORNERS[::3])]
    span = abs(outer[1, 0] - outer[0, 0])
    reach = 0.11 * span
    to_middle = knitted * _KNIT * span * np.clip((middle - x) / max(reach, 1.0), -1, 1)
    to_middle *= np.exp(-0.5 * (np.maximum(np.abs(x - middle) - 1.6 * reach, 0) / reach) ** 2)
    level = np.exp(-0.5 * ((rows - (low + top) / 2) / np.maximum(0.9 * gap, 1.0)) ** 2)
    field = np.stack([-to_middle * level, dy], -1).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(field, (0, 0), max(0.5, 0.008 * size)), np.float32)


class _Brow:
    """Rows of one brow and of the lid under it, and where it begins."""

    def __init__(self, points: NDArray[np.floating], brow: tuple[int, ...], eye: tuple[int, ...]) -> None:
        """brow, eye: mesh points as in `faces.mesh`: the first five of a brow run along its upper edge."""
        self._upper, self._lower = points[list(brow[:5])], points[list(brow[5:])]
        self.inner = (self._upper[-1] + self._lower[0]) / 2
        self.outer = (self._upper[0] + self._lower[-1]) / 2
        self.lid = float(points[list(eye[9:]), 1].min())
        self.gap = max(self.lid - float(self._lower[:, 1].mean()), 1.0)

    def edges(self, x: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """[W] rows of the upper and the lower edge in columns `x`."""
        upper, lower = (edge[np.argsort(edge[:, 0])] for edge in (self._upper, self._lower))
        return np.interp(x, upper[:, 0], upper[:, 1]), np.interp(x, lower[:, 0], lower[:, 1])


def _across(x: NDArray[np.floating], left: _Brow, right: _Brow) -> NDArray[np.floating]:
    """[W] 1 over both brows and between them, fading to 0 beside the temples."""
    beyond = np.maximum(np.maximum(left.outer[0] - x, x - right.outer[0]), 0)
    fade = np.clip(1 - beyond / max(0.35 * (left.inner[0] - left.outer[0]), 1.0), 0, 1)
    return fade * fade * (3 - 2 * fade)


def _inner_share(x: NDArray[np.floating], left: _Brow, right: _Brow) -> NDArray[np.floating]:
    """[W] 1 between the inner ends of the brows, 0 from their outer ends on."""
    shares = np.interp(x, [left.outer[0], left.inner[0], right.inner[0], right.outer[0]], [0, 1, 1, 0])
    return shares * shares * (3 - 2 * shares)


def _between(
    rows: NDArray[np.floating], knots: tuple[NDArray[np.floating], ...], rise: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Displacement [H, W]: `rise` between the two inner knots, falling to 0 at the outer ones."""
    still_above, top, low, still_below = knots
    up = np.clip((rows - still_above) / np.maximum(top - still_above, 1e-6), 0, 1)
    down = np.clip((still_below - rows) / np.maximum(still_below - low, 1e-6), 0, 1)
    return rise * np.minimum(up * up * (3 - 2 * up), down)
