"""Paints the inner face into a raw label map from the 468 mesh points.

The landmark parser paints real faces with it and the synthetic corpus paints its own, so that a network
trained on one understands the other. A pixel belongs to a polygon when its centre does; nothing is rounded
before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.mesh import (
    BROW_L,
    BROW_R,
    EYE_L,
    EYE_R,
    INNER_CORNERS,
    INNER_PAIRS,
    LIP_IN,
    LIP_OUT,
    NOSE,
    OVAL,
)
from segtalker.regions import Raw

CLOSED_BELOW = 1.0 / 3.0
"""Pixels: a mouth whose inner lips are nearer than this is closed and shows no inside."""

_UPPER_LIP = (LIP_OUT[0], *LIP_OUT[:9:-1], *LIP_IN[10:], LIP_IN[0])
_PARTS: tuple[tuple[Raw, tuple[int, ...]], ...] = (
    (Raw.SKIN, OVAL),
    (Raw.LEFT_BROW, BROW_L),
    (Raw.RIGHT_BROW, BROW_R),
    (Raw.LEFT_EYE, EYE_L),
    (Raw.RIGHT_EYE, EYE_R),
    (Raw.NOSE, NOSE),
    (Raw.LOWER_LIP, LIP_OUT),
    (Raw.UPPER_LIP, _UPPER_LIP),
)


def draw_face(raw: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> None:
    """Paint skin, brows, eyes, nose, lips and the inside of an open mouth, in place.

    raw: [H, W] `regions.Raw`. landmarks: [468, 2] in pixels of this raster. What the face does not cover
    stays.
    """
    for label, contour in _PARTS:
        fill_polygon(raw, landmarks[list(contour)], label)
    inside = inner_mouth(landmarks)
    if inside is not None:
        fill_polygon(raw, inside, Raw.MOUTH)


def inner_mouth(landmarks: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """Contour [20, 2] of the inside of the mouth, or None where it is closed.

    Mesh noise lets the inner lips of a closed mouth cross; such pairs of points are put at their midpoint.
    """
    points = landmarks.astype(np.float64)
    across = points[INNER_CORNERS[1]] - points[INNER_CORNERS[0]]
    down = np.array([-across[1], across[0]]) / max(float(np.linalg.norm(across)), 1e-9)
    lower, upper = np.array(INNER_PAIRS).T
    gap = (points[lower] - points[upper]) @ down
    if gap.max() < CLOSED_BELOW:
        return None
    crossed = gap < 0
    middle = (points[lower] + points[upper])[crossed] / 2
    points[lower[crossed]] = middle
    points[upper[crossed]] = middle
    return points[list(LIP_IN)]


def fill_polygon(labels: NDArray[np.uint8], points: NDArray[np.floating], value: int) -> None:
    """Set the pixels whose centre lies in the polygon [N, 2] (pixels, even-odd rule), in place.

    A centre that lies exactly on an edge counts for the side of smaller x and y, so that polygons which share
    an edge neither overlap nor leave a gap.
    """
    height, width = labels.shape
    x0, y0 = np.asarray(points, np.float64).T
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    top = max(0, int(np.ceil(y0.min() - 0.5)))
    bottom = min(height, int(np.ceil(y0.max() - 0.5)))
    left = min(max(0, int(np.ceil(x0.min() - 0.5))), width)
    right = min(width, int(np.ceil(x0.max() - 0.5)))
    if bottom <= top or right <= left:
        return
    centre = np.arange(top, bottom) + 0.5
    crossed = (y0[:, None] <= centre) != (y1[:, None] <= centre)
    edge, row = np.nonzero(crossed)
    slope = (x1 - x0)[edge] / (y1 - y0)[edge]
    x = x0[edge] + (centre[row] - y0[edge]) * slope
    first = np.clip(np.ceil(x - 0.5).astype(np.int64), left, right) - left
    toggles = np.zeros((bottom - top, right - left + 1), np.int64)
    np.add.at(toggles, (row, first), 1)
    inside = np.cumsum(toggles, axis=1)[:, :-1] & 1
    labels[top:bottom, left:right][inside.astype(bool)] = value
