"""What of a talking map belongs to the talking face, and what stays as the source frame has it."""

from __future__ import annotations

import cv2
import numpy as np

from segtalker.regions import MOVING
from segtalker.types import RegionMap


def keep_surroundings(talking: RegionMap, own: RegionMap) -> RegionMap:
    """The talking map [S, S] with the frame's own classes where speech moves nothing.

    TSG draws hair, neck and background from another frame; those of the source frame are true. The jaw moves
    up and down: where the face shrank at its sides by a column or two, nothing has moved.
    """
    was_face, is_face = MOVING[own], MOVING[talking]
    uncovered = (was_face & ~is_face).astype(np.uint8)
    moved = cv2.morphologyEx(uncovered, cv2.MORPH_OPEN, np.ones((1, 3), np.uint8))
    return np.where(is_face | (moved > 0), talking, own)
