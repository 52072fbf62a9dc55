"""Put edited regions into a frame: soft edges that follow the picture, colour, and what is added to it.

A change of colour is added to the frame at the frame's own resolution, so that every pore stays; only what
moves is blended in. Both end where the edited region's soft edge ends: every other pixel keeps its bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.guided import FloatImage, guided
from segtalker.faces.align import apply_affine, invert_affine, scale_affine, warp_image
from segtalker.regions import Region
from segtalker.types import Affine, Image, Points, RegionMap

_EDGE = 2.0  # map pixels over which an edge may follow the picture
_BORDER = 0.05  # part of the crop's side over which regions that leave it fade out
_GLOSS = (82.0, 97.0)  # lightness between which highlights keep their own colour
_CONTRAST = (0.8, 1.3)  # least and most by which contrast follows lightness


def soft_region(
    region_map: RegionMap, regions: Sequence[Region], guide: Image, outlines: Sequence[Points] = ()
) -> NDArray[np.float32]:
    """Weight [H, H], 0..1, of some regions of a map [S, S], its edge drawn along the edges of the picture.

    guide: [H, H, 3]. Zero further than `_EDGE` map pixels from the regions, and on the border. The edge is
    that of a guided filter (He et al., 2010): where strands of hair stand out, the weight follows them.
    outlines: polygons [N, 2] in pixels of the guide that the regions fill; finer than a map, they keep the
    edge of thin regions from jumping by whole map pixels when the head moves.
    """
    inside = np.isin(region_map, regions).astype(np.float32)
    size, side = guide.shape[0], len(region_map)
    if not inside.any():
        return np.zeros((size, size), np.float32)
    reach = 2 * round(_EDGE) + 1
    near = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    weight, limit = (cv2.resize(m, (size, size)).astype(np.float32) for m in (inside, near))
    if outlines:
        weight = _filled(outlines, size)
    grey = cv2.cvtColor(guide, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)
    weight = guided(weight, grey, max(1, round(_EDGE * size / side)))
    weight = np.clip(1.25 * weight - 0.125, 0, 1) * limit * _border(size)
    return np.asarray(np.where(weight < 1 / 255, 0, weight), np.float32)


def mean_colour(picture: Image, region_map: RegionMap, regions: Sequence[Region]) -> FloatImage | None:
    """CIE Lab [3] of some regions of a picture [H, H, 3] with its map [S, S]; None where they are absent."""
    side = len(region_map)
    small = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    inside = np.isin(region_map, regions)
    core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    chosen = core if core.sum() > 8 else inside
    if not chosen.any():
        return None
    return np.asarray(np.median(_lab(small)[chosen], axis=0), np.float32)


def exposure_of(picture: Image, region_map: RegionMap) -> float:
    """How bright the light on a face is, from its skin: 1 in good light, less in the dark.

    Dark skin and dim light look alike here, so the range is narrow.
    """
    skin = mean_colour(picture, region_map, (Region.SKIN,))
    return float(np.clip((skin[0] + 25) / 95, 0.65, 1.0)) if skin is not None else 1.0


def recolouring(
    picture: Image,
    weight: NDArray[np.float32],
    colour: tuple[int, int, int],
    mean: FloatImage,
    exposure: float = 1.0,
    dark_only: bool = False,
) -> FloatImage:
    """What to add [H, H, 3] so that a region of mean Lab colour `mean` takes another colour.

    weight: [H, H], 0..1. Shading stays: all pixels are shifted alike, highlights keep their own colour.
    exposure: how much of the colour the light on the face shows, 0..1. dark_only: leave what is lighter than
    the mean, as the white of an eye.
    """
    change = np.zeros(picture.shape, np.float32)
    rows, columns = _box(weight)
    part, alpha = picture[rows, columns], weight[rows, columns]
    if not part.size:
        return change
    lab = _lab(part)
    target = exposure * _lab(np.array([[colour]], np.uint8))[0, 0]
    light = lab[..., 0]
    if dark_only:
        alpha = alpha * np.clip((mean[0] + 4 - light) / 12, 0, 1) * np.clip(light / 30, 0, 1)
    contrast = np.clip(np.sqrt(target[0] / max(float(mean[0]), 10.0)), *_CONTRAST)
    gloss = np.clip((light - _GLOSS[0]) / (_GLOSS[1] - _GLOSS[0]), 0, 1)[..., None]
    new = lab + (target - mean) * (1 - 0.8 * gloss)
    new[..., 0] += (contrast - 1) * (light - mean[0]) * (1 - gloss[..., 0])
    new[..., 0] = np.clip(new[..., 0], 0, 100)
    rgb = np.clip(cv2.cvtColor(new.astype(np.float32), cv2.COLOR_Lab2RGB), 0, 1) * 255
    change[rows, columns] = alpha[..., None] * (rgb - part)
    return change


def retexturing(painted: Image, plain: Image, weight: NDArray[np.float32]) -> FloatImage:
    """What to add [H, H, 3] so that a region looks as other codes paint it.

    painted, plain: pictures [S, S, 3] of one map with other and with own codes; weight: [H, H], 0..1. The
    network's error is the same in both, so the person's own detail stays.
    """
    difference = painted.astype(np.float32) - plain.astype(np.float32)
    return weight[..., None] * cv2.resize(difference, weight.shape, interpolation=cv2.INTER_CUBIC)


def add_change(frame: Image, change: FloatImage, crop_from_frame: Affine) -> Image:
    """The frame [H, W, 3] with a change [S, S, 3] of its crop added; a new array.

    Pixels that no change reaches are those of `frame`, bit for bit.
    """
    size = change.shape[0]
    frame_from_crop = invert_affine(scale_affine(crop_from_frame, size))
    rows, columns = _box(np.abs(change).max(-1))
    spread = [(x, y) for x in (columns.start - 1, columns.stop + 1) for y in (rows.start - 1, rows.stop + 1)]
    corners = apply_affine(frame_from_crop, np.array(spread, np.float64))
    left, top = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int), (frame.shape[1], frame.shape[0]))
    result = frame.copy()
    if right <= left or bottom <= top:
        return result
    frame_from_crop[:, 2] -= (left, top)
    moved = warp_image(change, frame_from_crop, (int(right - left), int(bottom - top)))
    old = frame[top:bottom, left:right]
    result[top:bottom, left:right] = np.clip(np.rint(old + moved), 0, 255).astype(np.uint8)
    return result


def _filled(outlines: Sequence[Points], size: int) -> FloatImage:
    """[size, size] 1 inside of polygons, with smooth edges."""
    drawn = np.zeros((size, size), np.uint8)
    fixed = [np.rint((points - 0.5) * 16).astype(np.int32) for points in outlines]
    for points in fixed:
        cv2.fillPoly(drawn, [points], 255, cv2.LINE_AA, shift=4)
    return drawn.astype(np.float32) / np.float32(255)


def _border(size: int) -> FloatImage:
    """[size, size] 0 on the border of the crop, beyond which nothing is known, rising to 1 inside."""
    at = np.arange(size) + 0.5
    rise = np.clip(np.minimum(at, size - at) / (_BORDER * size), 0, 1)
    rise = rise * rise * (3 - 2 * rise)
    return np.minimum(rise[:, None], rise[None]).astype(np.float32)


def _lab(picture: Image) -> FloatImage:
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)


def _box(weight: NDArray) -> tuple[slice, slice]:
    """Rows and columns of all that is not 0."""
    rows, columns = np.flatnonzero(weight.any(1)), np.flatnonzero(weight.any(0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
