"""Head pose and projection: points of the head [..., 3] to the picture plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segtalker.synthetic.motion import Motion

PIVOT = np.array([0.5, 0.62, 0.32])
"""Where the head turns: about the top of the neck, unit crop."""
FACE_WIDTH = 0.55
"""Of the mean face, unit crop."""


def rotations(motion: Motion) -> NDArray[np.float64]:
    """Rotation matrices [T, 3, 3]: roll after pitch after yaw (x right, y down, z away from the camera)."""
    yaw, pitch, roll = (angle.astype(np.float64) for angle in (motion.yaw, motion.pitch, motion.roll))
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)

    def matrix(*entries: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(entries, axis=-1).reshape(-1, 3, 3)

    cy, sy, cp, sp, cr, sr = (
        np.cos(yaw),
        np.sin(yaw),
        np.cos(pitch),
        np.sin(pitch),
        np.cos(roll),
        np.sin(roll),
    )
    about_y = matrix(cy, zero, -sy, zero, one, zero, sy, zero, cy)
    about_x = matrix(one, zero, zero, zero, cp, -sp, zero, sp, cp)
    about_z = matrix(cr, -sr, zero, sr, cr, zero, zero, zero, one)
    return about_z @ about_x @ about_y


def project(points: NDArray[np.float64], motion: Motion, distance: float) -> NDArray[np.float64]:
    """Turn and shift `points` ([N, 3] or [T, N, 3]) by `motion`: [T, N, 3] x, y in the picture, depth z.

    The camera stands `distance` (unit crops) before the pivot: nearer points are magnified by
    distance / (distance + z).
    """
    turned = (points - PIVOT) @ np.swapaxes(rotations(motion), 1, 2)
    magnify = distance / (distance + turned[..., 2:])
    flat = turned[..., :2] * magnify + PIVOT[:2]
    shift = np.stack([motion.shift_x, motion.shift_y], axis=-1) * FACE_WIDTH
    return np.concatenate([flat + shift[:, None], turned[..., 2:]], axis=-1)
