"""What a recipe does to one frame: strengths of all edits at its time, applied to map, codes and picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.edited import (
    FloatImage,
    add_change,
    exposure_of,
    mean_colour,
    recolouring,
    retexturing,
    soft_region,
)
from segtalker.compositing.paste import paste
from segtalker.editing import lids, ops
from segtalker.editing.brows import brow_field
from segtalker.editing.colours import parse_colour
from segtalker.editing.recipe import TEXTURES, Edit, Lender, Recipe
from segtalker.editing.texture import Codes, blend_codes, covered, move_codes
from segtalker.extract import aligned
from segtalker.faces.mesh import BROW_L, BROW_R, EYE_L, EYE_R
from segtalker.regions import Region
from segtalker.types import Affine, Image, Points, RegionMap

_OUTLINES = {Region.EYEBROWS: (BROW_L, BROW_R), Region.EYES: (EYE_L, EYE_R)}
"""Contours of the mesh that fill a region; lips talk, and the mesh is that of the source."""
_SHIFT_PX = 0.75  # a displacement of so many pixels of the crop is pasted fully
_LID_START = 0.15  # closure from which lids are pasted fully


@dataclass(frozen=True)
class FrameEdits:
    """Strengths of all edits at one time; 0 is none."""

    closure: float = 0.0
    raised: float = 0.0
    knitted: float = 0.0
    opened: float = 0.0
    thickened: float = 0.0
    looks: tuple[tuple[Edit, float], ...] = ()
    """Edits of colour and texture that do something, with their strength."""
    background: tuple[Edit, float] | None = None
    """What stands behind the people, where that is something else, with its strength."""

    @staticmethod
    def at(recipe: Recipe, time_s: float) -> FrameEdits:
        """What a recipe asks for at a second of the output."""
        level = dict.fromkeys(("raise_brows", "frown", "open_mouth", "thicken_lips"), 0.0)
        closure, looks, background = 0.0, [], None
        for edit in recipe:
            strength = edit.strength(time_s)
            if edit.edit in ("blink", "close_eyes"):
                closure = max(closure, strength)
            elif edit.edit in level:
                level[edit.edit] += strength
            elif edit.edit == "background":
                background = (edit, strength) if strength > 0 else background
            elif strength != 0:
                looks.append((edit, strength))
        return FrameEdits(
            closure=closure,
            raised=level["raise_brows"],
            knitted=level["frown"],
            opened=level["open_mouth"],
            thickened=level["thicken_lips"],
            looks=tuple(looks),
            background=background,
        )

    @property
    def mouth(self) -> bool:
        """Does anything change the shape of the mouth?"""
        return self.opened != 0 or self.thickened != 0

    @property
    def textures(self) -> tuple[tuple[Edit, float], ...]:
        """The looks that want other style codes."""
        return tuple(look for look in self.looks if look[0].edit in TEXTURES)

    @property
    def moving(self) -> bool:
        """Does anything move the upper face?"""
        return self.closure != 0 or self.raised != 0 or self.knitted != 0

    def shape_mouth(self, talking_map: RegionMap) -> RegionMap:
        """The talking map [S, S] with its mouth edited, before it is painted."""
        return ops.thicken_lips(ops.open_mouth(talking_map, self.opened), self.thickened)

    def shape_face(self, region_map: RegionMap, landmarks: Points) -> RegionMap:
        """The map with its upper face edited as well; landmarks [468, 2] in its pixels."""
        moved = ops.move_brows(region_map, landmarks, self.raised, self.knitted)
        return ops.close_eyes(moved, landmarks, self.closure)

    def codes(self, codes_RLD: Codes, lent: Mapping[Lender, Codes]) -> Codes:
        """The style codes of this frame; lent: as in `EditPlan`."""
        for edit, strength in self.textures:
            change = move_codes if edit.edit == "direction" else blend_codes
            codes_RLD = change(codes_RLD, lent[edit.lender], covered(edit.at), strength)
        return codes_RLD


@dataclass(frozen=True)
class Own:
    """A quiet frame of the same person: colours are measured there, so that they do not waver."""

    crop: Image
    """[H, H, 3]"""
    region_map: RegionMap
    """[S, S]"""


def edit_frame(
    image: Image,
    crop_from_frame: Affine,
    region_map: RegionMap,
    landmarks: Points,
    edits: FrameEdits,
    own: Own,
    painted: tuple[Image, Image] | None = None,
) -> Image:
    """A frame [H, W, 3] with its looks and its upper face edited; a new array.

    image: its mouth is already as it shall be; region_map: the map [S, S] of that; landmarks: [468, 2] in
    pixels of the map. painted: pictures [S, S, 3] of that map with the codes of the edits and with the
    person's own, where `edits.textures` has any.
    """
    size = own.crop.shape[0]
    crop = aligned(image, crop_from_frame, size)
    points = landmarks * (size / len(region_map))
    change = np.zeros(crop.shape, np.float32)
    for edit, strength in edits.looks:
        if edit.edit not in TEXTURES:
            change += strength * _recolour(edit, crop, region_map, points, own)
    if edits.textures:
        assert painted is not None
        weights = [_weight(edit, crop, region_map, points) for edit, _ in edits.textures]
        change += retexturing(*painted, np.max(weights, axis=0))  # the codes have the strengths in them
    if edits.looks:
        image = add_change(image, change, crop_from_frame)
    if edits.moving:
        coloured = np.clip(np.rint(crop + change), 0, 255).astype(np.uint8)
        moved, alpha = _move(coloured, region_map, points, edits)
        image = paste(image, moved, alpha, crop_from_frame)
    return image


def _weight(edit: Edit, crop: Image, region_map: RegionMap, points: Points) -> NDArray[np.float32]:
    """Where a look shows in a crop [H, H, 3]: [H, H], 0..1."""
    outlines = [points[list(outline)] for outline in _OUTLINES.get(edit.at, ())]
    return soft_region(region_map, covered(edit.at), crop, outlines)


def _recolour(edit: Edit, crop: Image, region_map: RegionMap, points: Points, own: Own) -> FloatImage:
    """What a colour at full strength adds to a crop [H, H, 3]."""
    regions = covered(edit.at)
    mean = mean_colour(own.crop, own.region_map, regions)
    if mean is None:
        mean = mean_colour(crop, region_map, regions)
    if mean is None:
        return np.zeros(crop.shape, np.float32)
    assert edit.colour is not None
    colour, light = parse_colour(edit.colour), exposure_of(own.crop, own.region_map)
    weight = _weight(edit, crop, region_map, points)
    return recolouring(crop, weight, colour, mean, light, edit.at is Region.EYES)


def _move(
    crop: Image, region_map: RegionMap, points: Points, edits: FrameEdits
) -> tuple[Image, NDArray[np.float32]]:
    """The crop with lids and brows moved, and the weight [H, H] with which it replaces the frame."""
    size = crop.shape[0]
    alpha = np.zeros((size, size), np.float32)
    if edits.raised != 0 or edits.knitted != 0:
        field = ops.held(brow_field(points, size, edits.raised, edits.knitted), region_map)
        crop = np.asarray(ops.displace(crop, field, cv2.INTER_CUBIC), np.uint8)
        alpha = np.minimum(np.hypot(field[..., 0], field[..., 1]) / _SHIFT_PX, 1).astype(np.float32)
    if edits.closure != 0:
        crop = lids.close_eyes(crop, points, edits.closure)
        area = cv2.dilate(lids.lid_area(points, edits.closure, size).astype(np.float32), np.ones((3, 3)))
        soft = cv2.GaussianBlur(area, (0, 0), max(0.8, size / 400))
        alpha = np.maximum(alpha, min(edits.closure / _LID_START, 1.0) * soft)
    return crop, np.where(alpha < 1 / 255, 0, alpha).astype(np.float32)
