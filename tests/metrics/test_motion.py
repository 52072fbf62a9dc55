"""Flicker of pictures: what alternates counts, what moves evenly does not."""

from __future__ import annotations

import numpy as np
import pytest

from segtalker.metrics.motion import alternation
from segtalker.metrics.segmentation import jitter, map_jitter


def film(levels: list[int]) -> np.ndarray:
    return np.stack([np.full((8, 8, 3), level, np.uint8) for level in levels])


def test_an_alternation_reads_its_amplitude_and_an_even_change_nothing():
    assert alternation(film([100, 110, 100, 110])).tolist() == [5, 5]
    assert alternation(film([100, 103, 106, 109])).tolist() == [0, 0]
    assert alternation(film([100, 110])).shape == (0,)


def test_only_the_lower_half_counts():
    frames = film([100, 100, 100])
    frames[1, :4] = 200
    assert alternation(frames).tolist() == [0]


def test_alternation_is_its_formula_pixel_by_pixel():
    frames = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    slow = []
    for t in range(1, 4):
        total = 0.0
        for row in range(3, 6):
            for column in range(6):
                before, now, after = (float(frames[s, row, column].mean()) for s in (t - 1, t, t + 1))
                total += abs(before - 2 * now + after) / 4
        slow.append(total / 18)
    assert alternation(frames) == pytest.approx(slow, rel=1e-5)


def test_jitter_of_parts_averages_to_that_of_the_whole():
    maps = np.random.default_rng(0).integers(0, 3, (9, 6, 6), dtype=np.uint8)
    found = np.concatenate([jitter(maps[:5]), jitter(maps[3:])])
    assert found.mean() == pytest.approx(map_jitter(maps)) and len(found) == 7
