"""A drawn face that tests of edits share."""

from __future__ import annotations

import cv2
import numpy as np

from segtalker.faces.mesh import INNER_PAIRS, mean_face
from segtalker.parsing.draw import draw_face
from segtalker.regions import Raw, merge_raw
from segtalker.types import Points, RegionMap

SIZE = 128


def mesh(size: int = SIZE, opening: float = 0.03, turn: float = 0.0) -> Points:
    """The mean mesh in pixels of a crop, its mouth open by twice `opening`, turned by `turn` radians."""
    points = mean_face()[:, :2].astype(np.float64)
    for lower, upper in INNER_PAIRS:
        points[lower, 1] += opening
        points[upper, 1] -= opening * 0.2
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (((points - 0.5) @ rotation.T + 0.5) * size).astype(np.float32)


def face_map(size: int = SIZE, opening: float = 0.03, turn: float = 0.0) -> RegionMap:
    """Its region map, with hair, ears and neck."""
    raw = np.zeros((size, size), np.uint8)

    def ellipse(centre: tuple[float, float], axes: tuple[float, float], label: int) -> None:
        at, half = (tuple(round(size * value) for value in pair) for pair in (centre, axes))
        cv2.ellipse(raw, at, half, 0, 0, 360, int(label), -1)

    ellipse((0.5, 0.45), (0.36, 0.40), Raw.HAIR)
    ellipse((0.5, 0.95), (0.17, 0.25), Raw.NECK)
    ellipse((0.21, 0.55), (0.04, 0.08), Raw.LEFT_EAR)
    ellipse((0.79, 0.55), (0.04, 0.08), Raw.RIGHT_EAR)
    draw_face(raw, mesh(size, opening, turn))
    return merge_raw(raw)
