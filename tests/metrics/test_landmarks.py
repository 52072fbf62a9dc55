"""Mouth landmarks of maps that were drawn by hand, and their distances."""

from __future__ import annotations

import numpy as np
import pytest

from segtalker.faces.points68 import MOUTH
from segtalker.metrics.landmarks import landmark_distance, mouth_landmarks
from segtalker.metrics.opening import INTER_OCULAR
from segtalker.regions import Region

SIDE = 40


def mouth(top: int = 20, bottom: int = 30, left: int = 10, right: int = 30, opening: int = 0) -> np.ndarray:
    """Rectangular lips around an opening of so many rows in their middle."""
    region_map = np.full((SIDE, SIDE), Region.SKIN, np.uint8)
    region_map[top:bottom, left:right] = Region.LIP
    middle = (top + bottom - opening) // 2
    region_map[middle : middle + opening, left + 2 : right - 2] = Region.MOUTH
    return region_map


def test_landmarks_lie_on_the_edges_of_the_lips():
    points = mouth_landmarks(mouth(opening=4)[None])[0] * SIDE
    assert points[:2].tolist() == [[10, 25], [30, 25]]
    assert points[2:5, 1].tolist() == [20] * 3 and points[5:8, 1].tolist() == [30] * 3
    assert np.abs(points[2:5, 0] - [15, 20, 25]).max() <= 0.5
    assert points[8:, 1].tolist() == [23, 27]


def test_a_closed_mouth_is_closed_in_the_middle_of_its_lips():
    points = mouth_landmarks(mouth()[None])[0] * SIDE
    assert points[8].tolist() == points[9].tolist() and points[8, 1] == 25


def test_lips_with_a_gap_still_have_all_their_landmarks():
    region_map = mouth()
    region_map[:, 18:22] = Region.SKIN
    assert np.isfinite(mouth_landmarks(region_map[None])).all()


def test_the_distance_of_a_moved_mouth_is_how_far_it_moved_in_eye_distances():
    true, moved = (mouth_landmarks(m[None]) for m in (mouth(), mouth(23, 33, 14, 34)))
    assert landmark_distance(moved, true).value == pytest.approx(5 / SIDE / INTER_OCULAR)
    assert landmark_distance(moved, true, centred=True).value == pytest.approx(0, abs=1e-12)


def test_points_in_pixels_count_in_pixels_all_of_them_or_the_mouth_alone():
    true = np.random.default_rng(0).uniform(0, 512, (3, 68, 2))
    found = true.copy()
    found[:, MOUTH] += (3, 4)
    assert landmark_distance(found, true, unit=1).value == pytest.approx(5 * 20 / 68)
    assert landmark_distance(found[:, MOUTH], true[:, MOUTH], unit=1).value == pytest.approx(5)
    assert landmark_distance(found[:, MOUTH], true[:, MOUTH], True, unit=1).value == pytest.approx(
        0, abs=1e-9
    )


def test_an_opening_counts_by_the_landmarks_that_it_moves():
    true, opened = (mouth_landmarks(m[None]) for m in (mouth(), mouth(opening=4)))
    assert landmark_distance(opened, true).value == pytest.approx(2 * (2 / SIDE) / 10 / INTER_OCULAR)


def test_frames_without_lips_take_no_part_and_are_counted():
    maps = np.stack([mouth(), np.full((SIDE, SIDE), Region.SKIN, np.uint8)])
    distance = landmark_distance(mouth_landmarks(maps), mouth_landmarks(np.stack([mouth(), mouth()])))
    assert (distance.value, distance.count) == (0.0, 1)
