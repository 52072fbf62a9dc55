"""Intervals and tests agree with a reference library, with exact counts, and with what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segtalker.evaluation.statistics import (
    bootstrap_interval,
    estimate,
    holm,
    paired_difference,
    sign_flip_test,
)


def test_an_estimate_is_the_mean_of_the_videos_that_have_the_figure():
    found = estimate([1.0, None, 2.0, float("nan"), 6.0])
    assert found is not None
    assert found.mean == 3.0 and found.videos == 3
    assert found.low is not None and found.high is not None and found.low < 3.0 < found.high


def test_nothing_known_is_no_estimate_and_two_videos_are_no_interval():
    assert estimate([None, float("nan")]) is None
    found = estimate([1.0, 2.0])
    assert found is not None and (found.low, found.high, found.videos) == (None, None, 2)


def test_equal_values_have_an_interval_of_that_value():
    assert bootstrap_interval(np.full(7, 110.0)) == (110.0, 110.0)


def test_the_interval_holds_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    samples = rng.exponential(1.0, (200, 25))  # skewed, where percentile intervals are at their worst
    ends = [bootstrap_interval(sample, seed, resamples=400) for seed, sample in enumerate(samples)]
    inside = np.mean([low <= 1.0 <= high for low, high in ends if low is not None and high is not None])
    assert 0.87 <= inside <= 0.97


def test_the_interval_of_a_skewed_sample_is_shifted_towards_its_tail():
    values = np.random.default_rng(1).exponential(1.0, 20)
    low, high = bootstrap_interval(values)
    assert low is not None and high is not None
    assert high - values.mean() > values.mean() - low


def test_the_interval_does_not_lose_digits_beside_a_large_mean():
    values = np.random.default_rng(2).normal(0, 1, 12)
    near, far = bootstrap_interval(values), bootstrap_interval(values + 1e9)
    assert np.subtract(far, 1e9) == pytest.approx(near, abs=1e-5)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(3).normal(size=10)
    assert bootstrap_interval(values, 1) == bootstrap_interval(values, 1) != bootstrap_interval(values, 2)


def test_the_sign_test_counts_all_ways_where_they_are_few():
    differences = np.array([1.0, 2.0, 3.0])
    assert sign_flip_test(differences) == pytest.approx(2 / 8)  # all plus, and all minus
    assert sign_flip_test(np.array([1.0])) is None


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_the_sign_test_agrees_with_scipy_where_ways_are_drawn(shift: float):
    differences = np.random.default_rng(4).normal(shift, 1, 40)
    reference = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=9999, random_state=0
    )
    assert sign_flip_test(differences, resamples=9999) == pytest.approx(reference.pvalue, abs=0.02)


def test_no_difference_at_all_has_a_p_value_of_one():
    assert sign_flip_test(np.zeros(5)) == 1.0
    assert sign_flip_test(np.zeros(40), resamples=99) == 1.0


def test_a_difference_is_of_the_videos_that_both_have():
    first = {"a": 1.0, "b": 2.0, "c": None, "only": 9.0}
    second = {"a": 2.0, "b": 4.0, "c": 5.0, "other": 7.0}
    found = paired_difference(first, second)
    assert found is not None and found.videos == 2 and found.mean == pytest.approx(1.5)
    assert paired_difference(first, {"z": 1.0}) is None


def test_holm_corrects_as_in_the_textbook_and_never_falls():
    corrected = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert corrected == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert list(corrected) == ["a", "b", "c", "d"] and holm({"x": 0.9, "y": 0.8}) == {"x": 1.0, "y": 1.0}
