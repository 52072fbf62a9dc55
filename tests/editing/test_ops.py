"""Edits of region maps: what they move, what they leave, and that nothing tears."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segtalker.compositing.curves import measure_curves
from segtalker.editing import ops
from segtalker.regions import NUM_REGIONS, Region
from tests.editing.faces import SIZE, face_map, mesh

EDITS = {
    "half_closed": lambda m, p: ops.close_eyes(m, p, 0.5),
    "closed": lambda m, p: ops.close_eyes(m, p, 1.0),
    "raised": lambda m, p: ops.move_brows(m, p, 1.0, 0.0),
    "lowered": lambda m, p: ops.move_brows(m, p, -1.0, 0.0),
    "frown": lambda m, p: ops.move_brows(m, p, 0.0, 1.0),
    "wide": lambda m, p: ops.open_mouth(m, 0.8),
    "narrow": lambda m, p: ops.open_mouth(m, -0.5),
    "shut": lambda m, p: ops.open_mouth(m, -1.0),
    "thick": lambda m, p: ops.thicken_lips(m, 0.8),
    "thin": lambda m, p: ops.thicken_lips(m, -0.5),
}
every_edit = pytest.mark.parametrize("name", EDITS)


def row_of(region_map: np.ndarray, region: Region) -> float:
    return float(np.argwhere(region_map == region)[:, 0].mean())


def area(region_map: np.ndarray, region: Region) -> int:
    return int((region_map == region).sum())


def parts(region_map: np.ndarray, region: Region) -> int:
    return int(cv2.connectedComponents((region_map == region).astype(np.uint8))[0]) - 1


@every_edit
@pytest.mark.parametrize("turn", [0.0, 0.12])
def test_no_region_falls_apart_and_every_pixel_keeps_the_class_of_a_neighbour(name, turn):
    before, points = face_map(turn=turn), mesh(turn=turn)
    after = EDITS[name](before.copy(), points)
    assert after.dtype == np.uint8 and after.shape == before.shape
    reach = np.ones((15, 15), np.uint8)
    for region in range(NUM_REGIONS):
        assert parts(after, Region(region)) <= parts(before, Region(region)), Region(region)
        near = cv2.dilate((before == region).astype(np.uint8), reach) > 0
        assert near[after == region].all(), Region(region)


@every_edit
def test_an_edit_leaves_its_input_alone_so_that_taking_it_back_returns_the_map(name):
    before, points = face_map(), mesh()
    kept = before.copy()
    after = EDITS[name](before, points)
    assert not np.array_equal(after, kept) and np.array_equal(before, kept)


def test_an_amount_of_nothing_returns_the_map_itself():
    before, points = face_map(), mesh()
    assert ops.close_eyes(before, points, 0.0) is before
    assert ops.move_brows(before, points, 0.0, 0.0) is before
    assert ops.open_mouth(before, 0.0) is before and ops.thicken_lips(before, 0.0) is before


def test_lids_come_down_from_above_and_a_closed_eye_is_skin():
    before, points = face_map(), mesh()
    half, closed = ops.close_eyes(before, points, 0.5), ops.close_eyes(before, points, 1.0)
    assert 0.3 < area(half, Region.EYES) / area(before, Region.EYES) < 0.7
    assert row_of(half, Region.EYES) > row_of(before, Region.EYES)
    assert area(closed, Region.EYES) == 0 and (closed[before == Region.EYES] == Region.SKIN).all()
    changed = half != before
    assert (before[changed] == Region.EYES).all()


def test_brows_go_up_and_down_with_the_amount_and_eyes_stay():
    before, points = face_map(), mesh()
    rows = [
        row_of(ops.move_brows(before, points, raised, 0.0), Region.EYEBROWS)
        for raised in (1.0, 0.5, 0.0, -1.0)
    ]
    assert rows == sorted(rows) and rows[2] - rows[0] > 0.02 * SIZE
    for raised, knitted in ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0)):
        after = ops.move_brows(before, points, raised, knitted)
        assert np.mean((after == Region.EYES) != (before == Region.EYES)) < 0.001
        assert np.array_equal(after[SIZE * 6 // 10 :], before[SIZE * 6 // 10 :])


def test_a_frown_draws_the_inner_ends_of_the_brows_down_and_together():
    before, points = face_map(), mesh()
    after = ops.move_brows(before, points, 0.0, 1.0)
    gaps = []
    for region_map in (before, after):
        columns = np.flatnonzero((region_map == Region.EYEBROWS).any(0)) - SIZE / 2
        gaps.append(columns[columns > 0].min() - columns[columns < 0].max())
    assert gaps[1] < gaps[0]
    assert row_of(after, Region.EYEBROWS) > row_of(before, Region.EYEBROWS)


def test_glasses_stay_where_they_are_when_brows_move():
    before, points = face_map(), mesh()
    rows = slice(round(points[105, 1]) - 1, round(points[105, 1]) + 2)
    before[rows, SIZE // 4 : 3 * SIZE // 4] = Region.EYE_GLASS
    after = ops.move_brows(before, points, 1.0, 0.0)
    assert np.array_equal(after == Region.EYE_GLASS, before == Region.EYE_GLASS)


def test_a_gain_scales_the_opening_and_a_closed_mouth_stays_closed():
    before = face_map()
    opening = measure_curves(before).opening
    for gain in (-0.5, 0.5, 1.0):
        after = measure_curves(ops.open_mouth(before, gain)).opening
        assert after == pytest.approx((1 + gain) * opening, abs=1.5 / SIZE)
    closed = face_map(opening=0.0)
    assert area(ops.open_mouth(closed, 1.0), Region.MOUTH) == 0
    assert area(ops.open_mouth(before, -1.0), Region.MOUTH) == 0


def test_lips_grow_outwards_and_the_mouth_between_them_stays():
    before = face_map()
    thick, thin = ops.thicken_lips(before, 0.6), ops.thicken_lips(before, -0.4)
    assert area(thin, Region.LIP) < area(before, Region.LIP) < 0.8 * area(thick, Region.LIP)
    for after in (thick, thin):
        assert np.mean((after == Region.MOUTH) != (before == Region.MOUTH)) < 0.004


def test_a_map_without_a_mouth_is_left_alone():
    before = face_map()
    before[np.isin(before, (Region.LIP, Region.MOUTH))] = Region.SKIN
    assert np.array_equal(ops.open_mouth(before, 0.5), before)
    assert np.array_equal(ops.thicken_lips(before, 0.5), before)
