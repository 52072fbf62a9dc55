from __future__ import annotations

import math

import numpy as np
import pytest

from segtalker.metrics.segmentation import class_iou, confusion, lower_half_miou, map_jitter, mean_iou


def random_maps(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (3, 8, 8)).astype(np.uint8)


def test_iou_equals_set_arithmetic_over_classes_present_in_the_truth() -> None:
    pred, target = random_maps(0), random_maps(1)
    target[target == 3] = 0
    expected = []
    for c in range(3):
        a, b = set(np.flatnonzero(pred == c)), set(np.flatnonzero(target == c))
        expected.append(len(a & b) / len(a | b))
    iou = class_iou(confusion(pred, target))
    np.testing.assert_allclose(iou[:3], expected)
    assert np.isnan(iou[3:]).all()
    assert math.isclose(mean_iou(confusion(pred, target)), np.mean(expected))


def test_counts_of_parts_add_up() -> None:
    pred, target = random_maps(0), random_maps(1)
    parts = sum(confusion(pred[i], target[i]) for i in range(3))
    np.testing.assert_array_equal(parts, confusion(pred, target))
    assert confusion(pred, target).sum() == pred.size
    assert confusion(np.full(5, 2, np.uint8), np.full(5, 7, np.uint8))[7, 2] == 5, "rows are the truth"


def test_the_lower_half_is_scored_alone() -> None:
    pred, target = random_maps(0), random_maps(1)
    pred[:, 4:] = target[:, 4:]
    assert lower_half_miou(pred, target) == 1.0 and mean_iou(confusion(pred, target)) < 1.0


def test_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    assert math.isnan(mean_iou(np.zeros((12, 12), np.int64)))


def test_jitter_counts_flicker_and_not_motion() -> None:
    maps = np.zeros((6, 8, 8), np.uint8)
    for t in range(6):
        maps[t, 4:, :t] = 1  # a border that moves one pixel a frame
    assert map_jitter(maps) == 0.0
    maps[3, 6, 7] = 2
    assert math.isclose(map_jitter(maps), 1 / (4 * 32))
    assert map_jitter(maps[:2]) == 0.0


def test_a_stray_class_may_be_left_out():
    counts = np.zeros((12, 12), np.int64)
    counts[0, 0], counts[6, 6], counts[3, 0] = 9000, 999, 1
    assert mean_iou(counts) == pytest.approx((9000 / 9001 + 1 + 0) / 3)
    assert mean_iou(counts, least_share=1e-3) == pytest.approx((9000 / 9001 + 1) / 2)
