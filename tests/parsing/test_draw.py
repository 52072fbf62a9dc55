from __future__ import annotations

import numpy as np
import pytest

from segtalker.faces import mesh
from segtalker.parsing.draw import draw_face, fill_polygon
from segtalker.regions import Raw


def _inside(point: tuple[float, float], polygon: np.ndarray) -> bool:
    """Even-odd rule, one ray to the left, the textbook loop."""
    odd = False
    for (xa, ya), (xb, yb) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if (ya <= point[1]) != (yb <= point[1]):
            crossing = xa + (point[1] - ya) * (xb - xa) / (yb - ya)
            odd ^= bool(crossing <= point[0])
    return odd


@pytest.mark.parametrize("seed", range(6))
def test_filling_agrees_with_a_point_by_point_test(seed: int):
    polygon = np.random.default_rng(seed).uniform(-4, 24, (7, 2))
    labels = np.zeros((18, 20), np.uint8)
    fill_polygon(labels, polygon, 5)
    expected = [[5 * _inside((x + 0.5, y + 0.5), polygon) for x in range(20)] for y in range(18)]
    np.testing.assert_array_equal(labels, expected)


def test_polygons_that_share_edges_neither_overlap_nor_leave_a_gap():
    corners = np.array([[0, 0], [8, 0], [8, 8], [0, 8]], float)
    middle = np.array([3.5, 4.5])  # a pixel centre
    count = np.zeros((8, 8), int)
    for k in range(4):
        part = np.zeros((8, 8), np.uint8)
        fill_polygon(part, np.stack([corners[k], corners[(k + 1) % 4], middle]), 1)
        count += part
    assert (count == 1).all()


def test_area_is_right_below_a_pixel():
    """Averaged over sub-pixel shifts, the number of painted pixels is the area."""
    square = np.array([[0, 0], [2.3, 0], [2.3, 1.7], [0, 1.7]])
    total = 0
    for shift in np.stack(np.meshgrid(np.arange(20) / 20, np.arange(20) / 20), -1).reshape(-1, 2):
        labels = np.zeros((8, 8), np.uint8)
        fill_polygon(labels, square + shift + 2.01, 1)
        total += int(labels.sum())
    assert abs(total / 400 - 2.3 * 1.7) < 0.05


def test_polygons_outside_the_raster_paint_nothing():
    labels = np.zeros((6, 6), np.uint8)
    for shift in ((-50, 0), (50, 0), (0, -50), (0, 50)):
        fill_polygon(labels, np.array([[0, 0], [5, 0], [5, 5]]) + shift, 1)
    fill_polygon(labels, np.array([[2, 2], [2, 2], [2, 2]]), 1)
    assert not labels.any()


def _face(size: int, opening: float = 0.0) -> np.ndarray:
    points = mesh.mean_face()[:, :2].astype(np.float64) * size
    points[[lower for lower, _ in mesh.INNER_PAIRS], 1] += opening
    points[list(mesh.LIP_OUT[1:10]), 1] += max(0.0, opening)
    return points


def test_a_face_shows_every_inner_part_in_its_place():
    raw = np.zeros((128, 128), np.uint8)
    draw_face(raw, _face(128, opening=6))
    assert set(np.unique(raw)) == {0, 1, 2, 3, 4, 5, 10, 11, 12, 13}
    rows = {label: np.nonzero(raw == label)[0].mean() for label in np.unique(raw)}
    assert rows[Raw.LEFT_BROW] < rows[Raw.LEFT_EYE] < rows[Raw.NOSE] < rows[Raw.UPPER_LIP]
    assert rows[Raw.UPPER_LIP] < rows[Raw.MOUTH] < rows[Raw.LOWER_LIP]
    columns = {label: np.nonzero(raw == label)[1].mean() for label in np.unique(raw)}
    assert columns[Raw.LEFT_EYE] < 64 < columns[Raw.RIGHT_EYE]
    assert columns[Raw.LEFT_BROW] < 64 < columns[Raw.RIGHT_BROW]


@pytest.mark.parametrize("opening", [0.0, 0.3, -0.5])
def test_a_closed_mouth_shows_no_inside(opening: float):
    raw = np.zeros((128, 128), np.uint8)
    draw_face(raw, _face(128, opening))
    assert not (raw == Raw.MOUTH).any()


def test_a_mouth_that_is_open_only_in_the_middle_stays_inside_its_lips():
    points = _face(128)
    for lower, _ in mesh.INNER_PAIRS:
        points[lower, 1] += 4.0 if lower in (87, 14, 317) else -1.0
    raw = np.zeros((128, 128), np.uint8)
    draw_face(raw, points)
    columns = np.nonzero(raw == Raw.MOUTH)[1]
    assert columns.size and points[178, 0] - 1 < columns.min() and columns.max() < points[402, 0] + 1
