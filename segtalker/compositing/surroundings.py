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
    """[S, S] where the source's jaw stays: all that rose beside the neck, fading over the neck's edges."""
    side = len(own)
    columns = np.flatnonzero((own == Region.NECK).sum(0) > 0.05 * side)
    if not len(columns):
        return np.zeros_like(was_face)  # a collar follows at once
    outside = np.ones((1, side), np.float32)
    outside[:, columns[0] : columns[-1] + 1] = 0
    outside = np.asarray(cv2.dilate(outside, np.ones((1, 2 * round(0.03 * side) + 1))), np.float32)
    beside = cv2.GaussianBlur(outside, (0, 0), 0.03 * side)
    rows = np.arange(side)[:, None]
    was_end, is_end = (np.where(face, rows + 1, 0).max(0) for face in (was_face, is_face))
    end = is_end + np.rint(beside[0] * np.maximum(was_end - is_end, 0))
    return was_face & ~is_face & (rows >= is_end) & (rows < end)


def _from_below(own: RegionMap, face: NDArray[np.bool_], otherwise: RegionMap) -> RegionMap:
    """In each pixel the class of the next one below, in the same column, that is not face."""
    side = len(own)
    rows = np.where(face, side, np.arange(side)[:, None])
    first = np.minimum.accumulate(rows[::-1])[::-1]
    below = np.take_along_axis(own, np.minimum(first, side - 1), 0)
    return np.where(first < side, below, otherwise)
