"""Edited regions in a frame: edges, colours, and that nothing else changes."""

from __future__ import annotations

import cv2
import numpy as np

from segtalker.compositing.edited import (
    add_change,
    exposure_of,
    mean_colour,
    recolouring,
    retexturing,
    soft_region,
)
from segtalker.regions import Region
from tests.editing.faces import face_map

SIZE, SIDE = 256, 64
RED = (180, 20, 60)
CROP_FROM_FRAME = np.array([[1 / 200, 0.0, -0.2], [0.0, 1 / 200, -0.1]])


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A picture [256, 256, 3] with shaded hair on skin, and its map [64, 64]."""
    region_map = face_map(SIDE)
    hair = cv2.resize((region_map == Region.HAIR).astype(np.uint8), (SIZE, SIZE))
    shade = 20 * np.sin(np.arange(SIZE) / 5)[:, None, None]
    picture = np.where(hair[..., None] > 0, (150, 80, 80), (200, 160, 140)) + shade
    return picture.astype(np.uint8), region_map


def enlarged(mask: np.ndarray) -> np.ndarray:
    return cv2.resize(mask, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)


def test_a_soft_region_is_full_inside_and_nothing_a_few_map_pixels_away():
    picture, region_map = scene()
    weight = soft_region(region_map, (Region.HAIR,), picture)
    inside = (region_map == Region.HAIR).astype(np.uint8)
    core = enlarged(cv2.erode(inside, np.ones((3, 3), np.uint8)))
    near = enlarged(cv2.dilate(inside, np.ones((9, 9), np.uint8)))
    assert weight.min() >= 0 and weight.max() <= 1
    assert weight[core > 0].min() > 0.8 and weight[near == 0].max() == 0
    assert soft_region(region_map, (Region.EYE_GLASS,), picture).max() == 0


def test_outlines_move_the_edge_by_parts_of_a_map_pixel():
    picture = np.full((SIZE, SIZE, 3), 128, np.uint8)
    region_map = np.zeros((SIDE, SIDE), np.uint8)
    region_map[28:36, 20:44] = Region.EYEBROWS
    box = np.array([[80, 112], [176, 112], [176, 144], [80, 144]], np.float32)
    middles = []
    for shift in (0.0, 1.0, 2.0):
        weight = soft_region(region_map, (Region.EYEBROWS,), picture, [box + np.float32([0, shift])])
        middles.append((weight.sum(1) * np.arange(SIZE)).sum() / weight.sum())
    assert np.allclose(np.diff(middles), 1.0, atol=0.2)


def test_a_region_that_leaves_the_crop_fades_at_its_border():
    picture, region_map = scene()
    weight = soft_region(np.full_like(region_map, Region.HAIR), (Region.HAIR,), picture)
    assert weight[0].max() < 0.01 and weight[SIZE // 2].max() > 0.99
    assert np.diff(weight[: SIZE // 2, SIZE // 2]).min() > -1e-3


def test_recolouring_reaches_the_colour_keeps_the_shading_and_stays_inside():
    picture, region_map = scene()
    weight = soft_region(region_map, (Region.HAIR,), picture)
    mean = mean_colour(picture, region_map, (Region.HAIR,))
    new = picture + recolouring(picture, weight, RED, mean)
    full = weight > 0.99
    assert np.abs(np.median(new[full], axis=0) - RED).max() < 12
    assert np.corrcoef(new[full].mean(1), picture[full].mean(1))[0, 1] > 0.9
    assert np.array_equal(new[weight == 0], picture[weight == 0])


def test_the_white_of_an_eye_keeps_its_colour():
    picture = np.full((SIZE, SIZE, 3), 230, np.uint8)
    picture[:, ::2] = (90, 60, 40)
    mean = np.array([50.0, 5.0, 10.0], np.float32)
    change = recolouring(picture, np.ones((SIZE, SIZE), np.float32), (40, 90, 180), mean, dark_only=True)
    assert np.abs(change[:, 1::2]).max() == 0 and change[:, ::2, 2].min() > 20


def test_dim_light_dims_a_colour_and_an_absent_region_has_none():
    picture, region_map = scene()
    assert exposure_of(picture, region_map) > exposure_of(picture // 3, region_map) >= 0.649
    assert mean_colour(picture, region_map, (Region.EYE_GLASS,)) is None
    assert exposure_of(picture, np.zeros_like(region_map)) == 1.0


def test_other_codes_change_a_picture_by_what_the_network_paints_differently():
    plain = np.full((SIDE, SIDE, 3), 100, np.uint8)
    weight = np.zeros((SIZE, SIZE), np.float32)
    weight[:128] = 0.5
    change = retexturing(plain + 40, plain, weight)
    assert np.allclose(change[:128], 20) and not change[128:].any()


def test_a_change_is_added_where_its_crop_lies_and_nowhere_else():
    frame = np.random.default_rng(0).integers(50, 200, (240, 260, 3)).astype(np.uint8)
    change = np.zeros((SIZE, SIZE, 3), np.float32)
    change[100:140, 90:170] = 30
    result = add_change(frame, change, CROP_FROM_FRAME)
    added = result.astype(int) - frame
    x, y = 130 / SIZE * 200 + 40, 120 / SIZE * 200 + 20  # the middle of the change, in the frame
    assert np.abs(added[int(y) - 5 : int(y) + 5, int(x) - 10 : int(x) + 10] - 30).max() <= 1
    rows, columns = np.flatnonzero(added.any((1, 2))), np.flatnonzero(added.any((0, 2)))
    assert rows.min() >= 97 and rows.max() <= 131 and columns.min() >= 109 and columns.max() <= 174
    nothing = add_change(frame, np.zeros_like(change), CROP_FROM_FRAME)
    assert np.array_equal(nothing, frame) and nothing is not frame
