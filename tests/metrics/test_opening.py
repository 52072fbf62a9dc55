from __future__ import annotations

import math

import numpy as np
import pytest

from segtalker.faces.mesh import INNER_PAIRS, mean_face
from segtalker.metrics.opening import (
    INTER_OCULAR,
    closure_rate,
    closure_ratio,
    correlation,
    in_phones,
    lip_area,
    mouth_area,
    mouth_height,
    open_vs_closed_auc,
    silence_ratio,
    source_leak,
)
from segtalker.parsing.draw import draw_face
from segtalker.regions import Raw, Region, merge_raw
from segtalker.types import Phone

PHONES = [
    Phone("sil", 0.0, 0.2),
    Phone("m", 0.2, 0.32),
    Phone("aa", 0.32, 0.6),
    Phone("b", 0.6, 0.68),
    Phone("ih", 0.68, 0.8),
    Phone("sil", 0.8, 1.0),
]
TIMES = np.arange(25) / 25


def openings(**by_label: float) -> np.ndarray:
    values = np.zeros(25)
    for phone in PHONES:
        values[(phone.start_s <= TIMES) & (phone.end_s > TIMES)] = by_label.get(phone.label, 0.0)
    return values


@pytest.mark.parametrize("size", [64, 128, 256])
def test_openings_measure_the_inner_mouth_in_eye_distances_at_any_size(size: int) -> None:
    maps = np.full((2, size, size), int(Region.SKIN), np.uint8)
    unit = size // 64
    maps[1, 44 * unit : 50 * unit, 28 * unit : 36 * unit] = Region.MOUTH
    maps[1, 46 * unit : 47 * unit, 28 * unit : 36 * unit] = Region.LIP
    maps[1, 44 * unit : 45 * unit, 28 * unit : 30 * unit] = Region.SKIN
    eyes = INTER_OCULAR * 64
    np.testing.assert_allclose(mouth_height(maps), [0, 5 / eyes])
    np.testing.assert_allclose(mouth_area(maps), [0, (6 * 8 - 8 - 2) / eyes**2])


def test_correlation_is_pearsons_and_nothing_for_a_still_mouth() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(50), rng.random(50)
    assert math.isclose(correlation(a, b), np.corrcoef(a, b)[0, 1], rel_tol=1e-9)
    assert math.isclose(correlation(a, 3 * a + 1), 1.0, rel_tol=1e-9)
    assert correlation(a, np.full(50, 0.3)) == 0.0
    assert math.isclose(source_leak(a, 1 - a), 1.0, rel_tol=1e-9)
    with pytest.raises(ValueError, match="frames"):
        correlation(a, b[:-1])


def test_frames_belong_to_the_phone_at_their_time() -> None:
    inside = in_phones(TIMES, PHONES, {"m", "b"})
    assert np.flatnonzero(inside).tolist() == [5, 6, 7, 15, 16]
    assert np.flatnonzero(in_phones(TIMES, PHONES, {"sil"}, margin_s=0.08)).tolist() == [2, 22]


def test_ratios_compare_mean_openings() -> None:
    values = openings(sil=0.02, m=0.03, aa=0.5, b=0.03, ih=0.2)
    vowels = (7 * 0.5 + 3 * 0.2) / 10
    assert math.isclose(closure_ratio(values, TIMES, PHONES), 0.03 / vowels, rel_tol=1e-6)
    speech = (5 * 0.03 + 7 * 0.5 + 3 * 0.2) / 15
    assert math.isclose(silence_ratio(values, TIMES, PHONES), 0.02 / speech, rel_tol=1e-6)
    assert math.isnan(closure_ratio(values, TIMES, PHONES[:1]))


def test_auc_is_the_share_of_ordered_pairs() -> None:
    rng = np.random.default_rng(1)
    values = np.round(rng.random(25), 1)
    opened, closed = values[in_phones(TIMES, PHONES, {"aa"})], values[in_phones(TIMES, PHONES, {"m", "b"})]
    expected = np.mean([(o > c) + 0.5 * (o == c) for o in opened for c in closed])
    assert math.isclose(open_vs_closed_auc(values, TIMES, PHONES), expected, rel_tol=1e-9)
    assert open_vs_closed_auc(openings(aa=1.0), TIMES, PHONES) == 1.0
    assert open_vs_closed_auc(openings(aa=1.0, m=1.0, b=1.0), TIMES, PHONES) == 0.5


def test_closure_rate_counts_phones_whose_lips_close_within_a_frame() -> None:
    values = openings(aa=1.0, m=0.5, b=0.5, ih=1.0, sil=1.0)
    values[[0, 1]] = 0.0  # the range starts at zero
    assert closure_rate(values, TIMES, PHONES) == 0.0
    values[8] = 0.1  # one frame after the m
    assert closure_rate(values, TIMES, PHONES) == 0.5
    values[13] = 0.0  # two frames before the b: too early
    assert closure_rate(values, TIMES, PHONES) == 0.5
    values[14] = 0.0
    assert closure_rate(values, TIMES, PHONES) == 1.0
    assert math.isnan(closure_rate(values, TIMES, PHONES[2:3]))


def test_phones_after_the_last_frame_are_left_out() -> None:
    values = openings(aa=1.0)
    late = [*PHONES, Phone("p", 3.0, 3.1)]
    assert closure_rate(values, TIMES, late) == closure_rate(values, TIMES, PHONES) == 1.0


def test_the_area_of_the_lips_is_that_of_the_mouth_that_is_drawn_from_them():
    mesh = mean_face()[:, :2].astype(np.float64)
    opened = mesh.copy()
    for lower, upper in INNER_PAIRS:
        opened[lower, 1] += 0.03
        opened[upper, 1] -= 0.01
    assert lip_area(mesh) < 0.005  # a closed mouth
    size = 512
    raw = np.full((size, size), Raw.SKIN, np.uint8)
    draw_face(raw, (opened * size).astype(np.float32))
    drawn = mouth_area(merge_raw(raw)[None])[0]
    assert lip_area(opened) == pytest.approx(drawn, rel=0.05)
    assert lip_area(np.stack([mesh, opened])).shape == (2,)
