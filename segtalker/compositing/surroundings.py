"""What of a talking map belongs to the talking face, and what stays as the source frame has it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.regions import MOVING, Region
from segtalker.types import RegionMap

_STILL = (Region.EYES, Region.EYEBROWS, Region.EYE_GLASS, Region.EAR_RINGS)


def keep_surroundings(talking: RegionMap, own: RegionMap) -> RegionMap:
    """The talking map [S, S] with the frame's own classes where speech moves nothing.

    TSG draws hair, neck and background from another frame; those of the source frame are true. A rising chin
    uncovers more of what lies under it, but no background beside the neck: there the jaw hangs on the ears
    and keeps its outline. The jaw moves up and down: where the face shrank at its sides by a column or two,
    nothing has moved.
    """
    was_face, is_face = MOVING[own], MOVING[talking]
    held = _held_jaw(own, was_face, is_face)
    talking, is_face = np.where(held, own, talking), is_face | held
    uncovered = (was_face & ~is_face).astype(np.uint8)
    moved = cv2.morphologyEx(uncovered, cv2.MORPH_OPEN, np.ones((1, 3), np.uint8)) > 0
    is_face &= ~np.isin(own, _STILL)  # of a bowed head they reach into the lower half
    return np.where(is_face, talking, np.where(moved, _from_below(own, was_face, talking), own))


def _held_jaw(own: RegionMap, was_face: NDArray[np.bool_], is_face: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[S, S] where the jaw of the source stays: what rose beside the neck."""
    side = len(own)
    columns = np.flatnonzero((own == Region.NECK).sum(0) > 0.05 * side)
    if not len(columns):
        return np.zeros_like(was_face)  # a collar follows at once
    beside = np.ones(side, np.bool_)
    beside[columns[0] : columns[-1] + 1] = False
    rows = np.arange(side)[:, None]
    return was_face & ~is_face & beside & (rows >= side // 2)


def _from_below(own: RegionMap, face: NDArray[np.bool_], otherwise: RegionMap) -> RegionMap:
    """In each pixel the class of the next one below, in the same column, that is not face."""
    side = len(own)
    rows = np.where(face, side, np.arange(side)[:, None])
    first = np.minimum.accumulate(rows[::-1])[::-1]
    below = np.take_along_axis(own, np.minimum(first, side - 1), 0)
    return np.where(first < side, below, otherwise)
