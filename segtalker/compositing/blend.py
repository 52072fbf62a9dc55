"""Where the new picture is pasted: a soft, region-aware area that leaves everything else bit-identical."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.regions import MOVING, NUM_REGIONS, OCCLUDERS, Raw, Region, merge_raw
from segtalker.types import Image, RegionMap

PasteMode = Literal["lower_face", "face"]

FACE: NDArray[np.bool_] = MOVING | np.isin(np.arange(NUM_REGIONS), (Region.EYES, Region.EYEBROWS))
"""Look-up table [12]: is a region part of the face?"""
_BLOCKED = (*OCCLUDERS, Raw.HAIR, Raw.EAR_RING, Raw.EYE_GLASS)


def paste_alpha(
    source_raw: NDArray[np.uint8],
    new_map: RegionMap,
    mode: PasteMode = "lower_face",
    feather: float = 0.025,
    margin: float = 0.05,
) -> NDArray[np.float32]:
    """Weight [S, S] of the new picture, 0..1, from the source's raw map and the new region map.

    Source and new face together, widened by `margin` over what the jaw uncovers, minus clothes, hat,
    jewellery, glasses and hair, unless a falling chin comes to hang in front of them; `lower_face` begins
    beside the nose and is full under it. It rises from 0 at the border of the area to 1 within `feather`
    (both are parts of the side), so nothing outside is touched.
    """
    side = source_raw.shape[0]
    old_map = merge_raw(source_raw)
    area = (FACE[old_map] | FACE[new_map]).astype(np.uint8)
    reach = 2 * max(1, round(margin * side)) + 1
    widened = cv2.dilate(area, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    widened[np.isin(source_raw, _BLOCKED) & ~_fallen_chin(FACE[old_map], FACE[new_map])] = 0
    # The border of the crop is a border of the area too: nothing is known beyond it.
    padded = cv2.copyMakeBorder(widened, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    alpha = _smoothstep((inside - 0.5) / max(1.0, feather * side))
    if mode == "lower_face":
        alpha *= _from_the_nose_down(old_map)[:, None]
    return alpha.astype(np.float32)


def seam(before: Image, after: Image, alpha: NDArray[np.float32]) -> float:
    """What pasting adds to the steps between neighbours along the edge of the pasted area, levels of 255.

    Mean over the pixels with 0 < alpha < 0.5 of max(|gradient after| - |gradient before|, 0); a hard edge of
    d levels gives about d / 2, an invisible one stays under the noise of the picture. alpha: [H, W] at the
    pictures' size.
    """
    edge = (alpha > 0) & (alpha < 0.5)
    if not edge.any():
        return 0.0
    steps = [_gradient(picture.astype(np.float32).mean(-1)) for picture in (before, after)]
    return float(np.maximum(steps[1] - steps[0], 0)[edge].mean())


def _fallen_chin(old_face: NDArray[np.bool_], new_face: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where the new face lies below all of the old one: in front of the collar, behind no hand."""
    rows = np.arange(old_face.shape[0])[:, None]
    lowest = np.where(old_face, rows, -1).max(0)
    return new_face & (rows > lowest) & (lowest >= 0)


def _from_the_nose_down(old_map: RegionMap) -> NDArray[np.float32]:
    """[S] 0 above the middle of the nose, 1 from its lower end on."""
    side = old_map.shape[0]
    rows = np.flatnonzero((old_map == Region.NOSE).any(1))
    top, bottom = (rows[0], rows[-1]) if len(rows) else (0.45 * side, 0.63 * side)
    middle = (top + 2 * bottom) / 3
    return _smoothstep((np.arange(side) + 0.5 - middle) / max(1.0, bottom - middle)).astype(np.float32)


def _smoothstep(x: NDArray) -> NDArray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _gradient(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hypot(np.gradient(picture, axis=0), np.gradient(picture, axis=1))
