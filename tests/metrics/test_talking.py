"""Scores of talking clips add up, and name what was not measured."""

from __future__ import annotations

import numpy as np
import pytest

from segtalker.metrics.mean import Mean
from segtalker.metrics.published import PublishedScores
from segtalker.metrics.segmentation import lower_half_miou
from segtalker.metrics.sync import SyncCurve
from segtalker.metrics.talking import TalkingScores, score_maps, score_mouths, score_pictures
from segtalker.regions import Region


def maps(seed: int, count: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 12, (count, 8, 8), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def clip(seed: int, count: int) -> TalkingScores:
    rng = np.random.default_rng(seed)
    pictures, true = rng.integers(0, 256, (2, count, 16, 16, 3), dtype=np.uint8)
    scores = score_maps(maps(seed, count), maps(seed + 1, count)) + score_pictures(pictures, true)
    curve = SyncCurve(rng.normal(size=31), count, rng.uniform(0, 2, 31))
    return (
        scores
        + score_mouths(maps(seed, count), maps(seed + 1, count))
        + TalkingScores(sync=curve, map_sync=curve)
    )


def test_scores_of_parts_are_the_scores_of_the_whole_in_any_order():
    a, b, c = clip(1, 3), clip(2, 5), clip(3, 2)
    one, other = (a + b + c).figures(), (TalkingScores() + c + (a + b)).figures()
    assert one == pytest.approx(other) and None not in one.values()


def test_pictures_of_two_parts_average_over_frames_not_over_parts():
    true = np.full((4, 16, 16, 3), 100, np.uint8)
    near, far = true + 1, true + 10
    both = score_pictures(near[:3], true[:3]) + score_pictures(far[:1], true[:1])
    expected = (3 * 20 * np.log10(255) + 20 * np.log10(25.5)) / 4
    assert both.figures()["psnr"] == pytest.approx(expected)


def test_the_lower_halves_of_maps_count_alone():
    true, drawn = maps(0, 2), maps(1, 2)
    assert score_maps(drawn, true).figures()["miou"] == pytest.approx(lower_half_miou(drawn, true))
    drawn[:, 16:] = true[:, 16:]
    assert score_maps(drawn, true).figures()["miou"] == 1.0


def test_mouths_that_are_not_found_are_counted_among_those_that_are_there():
    true = np.full((4, 16, 16), Region.SKIN, np.uint8)
    true[:3, 8:10, 4:12] = Region.LIP
    read = true.copy()
    read[0] = Region.SKIN
    figures = score_mouths(read, true).figures()
    assert figures["mouths_found"] == pytest.approx(2 / 3) and figures["lmd"] == 0.0


def test_what_was_not_measured_is_none():
    assert set(TalkingScores().figures().values()) == {None}


def test_what_published_networks_say_adds_up_with_the_rest():
    first, second = (TalkingScores(published=PublishedScores(csim=Mean(total, 1))) for total in (0.5, 1.0))
    assert (clip(1, 3) + first + second).figures() == {**clip(1, 3).figures(), "csim": 0.75}
