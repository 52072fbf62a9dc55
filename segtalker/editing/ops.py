"""Edits of region maps: pure functions of a map [S, S], the face mesh in its pixels, and an amount.

An amount of 0 returns the map itself. Shapes come from the mesh or from the regions, never from pixels of the
picture, so that edits move with the head; regions are stretched, or handed to a neighbour, never torn.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.curves import FaceCurves, measure_curves, unit_of
from segtalker.compositing.warp import warp_between
from segtalker.editing.brows import brow_field
from segtalker.editing.lids import lowered_lids
from segtalker.regions import Region
from segtalker.types import Points, RegionMap

_STILL = (Region.EYE_GLASS, Region.BACKGROUND, Region.EAR_RINGS)
"""What lies in front of the skin, or behind it, and does not move with it."""


def close_eyes(region_map: RegionMap, landmarks: Points, closure: float) -> RegionMap:
    """Upper lids down by `closure`: 0 as they are, 1 closed."""
    if closure == 0:
        return region_map
    eyes = region_map == Region.EYES
    covered = lowered_lids(landmarks, closure, len(region_map))
    left = _largest_pieces(eyes & ~covered, eyes) if closure < 1 else np.zeros_like(eyes)
    return np.where(eyes & ~left, np.uint8(Region.SKIN), region_map)


def move_brows(region_map: RegionMap, landmarks: Points, raised: float, knitted: float) -> RegionMap:
    """Brows up (or down, below 0) by `raised`, together and down by `knitted`, with the skin around them."""
    if raised == 0 and knitted == 0:
        return region_map
    field = held(brow_field(landmarks, len(region_map), raised, knitted), region_map)
    moved = displace(region_map, field, cv2.INTER_NEAREST)
    still = np.isin(region_map, _STILL) | np.isin(moved, _STILL)
    return np.where(still, region_map, moved)


def open_mouth(region_map: RegionMap, gain: float) -> RegionMap:
    """The opening of the mouth times 1 + `gain`; what is closed stays closed."""
    if gain == 0:
        return region_map
    curves = measure_curves(region_map)
    if curves.opening == 0:
        return region_map
    drop = gain * (curves.mouth_bottom - curves.mouth_top)
    opened = replace(
        curves.opened(gain * curves.opening),  # of this the chin is wanted
        mouth_bottom=curves.mouth_bottom + drop,
        lip_bottom=curves.lip_bottom + drop,
    )
    return _reshaped(region_map, curves, opened)


def thicken_lips(region_map: RegionMap, gain: float) -> RegionMap:
    """The thickness of both lips times 1 + `gain`, outwards; the mouth between them stays."""
    if gain == 0:
        return region_map
    curves = measure_curves(region_map)
    upper = curves.mouth_top - (1 + gain) * (curves.mouth_top - curves.lip_top)
    lower = curves.mouth_bottom + (1 + gain) * (curves.lip_bottom - curves.mouth_bottom)
    room = (curves.nose + 0.01, 0.99)
    return _reshaped(
        region_map,
        curves,
        replace(curves, lip_top=np.maximum(upper, room[0]), lip_bottom=np.minimum(lower, room[1])),
    )


def held(field: NDArray[np.float32], region_map: RegionMap) -> NDArray[np.float32]:
    """A displacement [H, H, 2] that fades to nothing at glasses and background of a map [S, S]."""
    size = len(field)
    still = np.isin(region_map, _STILL)
    if not still.any():
        return field
    reach = 2 * max(1, len(still) // 64) + 1
    wide = cv2.dilate(still.astype(np.float32), np.ones((reach, reach), np.uint8))
    soft = cv2.GaussianBlur(cv2.resize(wide, (size, size)), (0, 0), size / 64)
    return np.asarray(field * (1 - soft)[..., None], np.float32)


def displace(picture: NDArray, field: NDArray[np.float32], interpolation: int) -> NDArray:
    """A picture or map [H, H, ...] whose pixel p comes from p + field[p]."""
    size = len(field)
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    return cv2.remap(
        picture, x + field[..., 0], y + field[..., 1], interpolation, borderMode=cv2.BORDER_REPLICATE
    )


def _reshaped(region_map: RegionMap, old: FaceCurves, new: FaceCurves) -> RegionMap:
    """The map with its lips, mouth and chin along other curves."""
    if old.corners[0] >= old.corners[1]:
        return region_map  # it shows no mouth
    size = len(region_map)
    moved = warp_between(old, new, _neck_below(region_map, old), size)(region_map, cv2.INTER_NEAREST)
    unit = unit_of(new)
    across = np.clip((unit - new.corners[0]) / (new.corners[1] - new.corners[0]), 0, 1)
    between = (unit > new.corners[0]) & (unit < new.corners[1])
    edges = (new.lip_top, new.mouth_top, new.mouth_bottom, new.lip_bottom)
    lip_top, top, bottom, lip_bottom = (np.interp(across, unit, edge) for edge in edges)
    rows = unit[:, None]
    outer = ((rows > lip_top) & (rows < lip_bottom) & between).astype(np.uint8)
    outer = _largest(outer > 0).astype(np.uint8)
    rim = cv2.erode(outer, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))  # lips close around the mouth
    mouth = _largest((rows > top) & (rows < bottom) & (rim > 0))
    moved[np.isin(moved, (Region.LIP, Region.MOUTH))] = Region.SKIN
    moved[outer > 0] = Region.LIP
    moved[mouth] = Region.MOUTH
    return moved


def _neck_below(region_map: RegionMap, curves: FaceCurves) -> NDArray[np.float32]:
    """[S] height of the neck under the chin in each column, 0..1."""
    side = len(region_map)
    below = np.arange(side)[:, None] >= np.ceil(curves.chin * side)
    return np.asarray(((region_map == Region.NECK) & below).sum(0) / side, np.float32)


def _largest_pieces(new: NDArray[np.bool_], old: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of each connected part of `old` only the largest piece that `new` leaves of it."""
    count, parts = cv2.connectedComponents(old.astype(np.uint8))
    kept = np.zeros_like(new)
    for part in range(1, count):
        kept |= _largest(new & (parts == part))
    return kept


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part of a mask [S, S]."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return mask
    return np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))
