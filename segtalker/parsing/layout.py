"""Where hair, skin, neck and cloth can be around one face, from its mesh alone.

All lengths are in units of the crop, in which a face is about 0.55 wide and 0.61 high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.mesh import BROW_L, BROW_R, CHEEK_L, CHEEK_R, CHIN, EYE_L, EYE_R, LIP_OUT, OVAL
from segtalker.parsing.draw import fill_polygon

SKIN, HAIR, CLOTH = range(3)
"""Classes that colours are told apart by; place turns skin into forehead, ear or neck."""


@dataclass(frozen=True)
class Layout:
    """Geometry of one crop at a working size of W pixels; arrays are [W, W]."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    inside: NDArray[np.bool_]
    """In the oval of the mesh."""
    distance: NDArray[np.float32]
    """To the oval, outside it; 0 inside."""
    depth: NDArray[np.float32]
    """To the oval's edge, inside it; 0 outside."""
    features: NDArray[np.bool_]
    """Brows, eyes and lips: not skin-coloured."""
    brow_y: float
    mouth_y: float
    chin_y: float
    centre_x: float
    half_width: float
    """Of the face."""


def layout(landmarks: NDArray[np.floating], size: int) -> Layout:
    """Measure a face from its mesh [468, 2] in the unit crop."""
    import cv2

    pixels = landmarks * size
    oval = np.zeros((size, size), np.uint8)
    fill_polygon(oval, pixels[list(OVAL)], 1)
    features = np.zeros((size, size), np.uint8)
    for contour in (BROW_L, BROW_R, EYE_L, EYE_R, LIP_OUT):
        fill_polygon(features, pixels[list(contour)], 1)
    widened = cv2.dilate(features, np.ones((5, 5), np.uint8))
    line = ((np.arange(size) + 0.5) / size).astype(np.float32)
    left, right = float(landmarks[CHEEK_L, 0]), float(landmarks[CHEEK_R, 0])
    return Layout(
        x=np.broadcast_to(line[None], (size, size)),
        y=np.broadcast_to(line[:, None], (size, size)),
        inside=oval.astype(bool),
        distance=cv2.distanceTransform(1 - oval, cv2.DIST_L2, 5) / np.float32(size),
        depth=cv2.distanceTransform(oval, cv2.DIST_L2, 5) / np.float32(size),
        features=widened.astype(bool),
        brow_y=float(landmarks[[*BROW_L, *BROW_R], 1].mean()),
        mouth_y=float(landmarks[[61, 291], 1].mean()),
        chin_y=float(landmarks[CHIN, 1]),
        centre_x=0.5 * (left + right),
        half_width=max(0.5 * (right - left), 0.05),
    )


def log_prior(face: Layout) -> NDArray[np.float32]:
    """Log p(class | place) up to a constant per pixel: [3, W, W] for SKIN, HAIR, CLOTH."""
    above = face.y < face.brow_y
    below = face.y > face.mouth_y
    beside = ~above & ~below
    d = face.distance
    # Columns of the neck: 0 on it, growing outwards.
    off_neck = np.maximum(0.0, np.abs(face.x - face.centre_x) - 0.72 * face.half_width)
    under = face.y - face.chin_y

    skin = np.where(above, 1.5 - d / 0.03, 0.0)
    skin = np.where(beside, 0.5 - np.maximum(0.0, d - 0.06) / 0.015, skin)
    skin = np.where(below, 1.5 - off_neck / 0.03, skin)
    hair = np.where(above, 1.0 + np.minimum(d / 0.04, 2.5), 0.5)
    hair = np.where(below, np.minimum(off_neck / 0.03, 2.0) - 3.0 - np.maximum(0.0, under) / 0.08, hair)
    cloth = np.where(below, np.minimum(2.0, under / 0.04) + np.minimum(off_neck / 0.05, 1.0) - 1.0, -9.0)

    depth = face.depth / 0.02
    forehead = face.inside & above
    skin = np.where(face.inside, np.where(above, 1.5 + depth, 9.0), skin)
    hair = np.where(face.inside, np.where(forehead, 0.0, -9.0), hair)
    cloth = np.where(face.inside, -9.0, cloth)
    return np.stack([skin, hair, cloth]).astype(np.float32)
