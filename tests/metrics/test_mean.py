"""Means that merge."""

from __future__ import annotations

import numpy as np
import pytest

from segtalker.metrics.mean import Mean


def test_the_mean_of_parts_is_the_mean_of_the_whole_in_any_order():
    values = np.random.default_rng(0).normal(size=50)
    a, b, c = (Mean.of(part) for part in np.split(values, [7, 30]))
    assert (Mean() + a + b + c).value == pytest.approx(values.mean())
    assert (c + (b + a)).value == pytest.approx(values.mean()) and (a + b + c).count == 50


def test_what_is_unknown_takes_no_part():
    mean = Mean.of([1.0, np.nan, 3.0])
    assert (mean.value, mean.count) == (2.0, 2)
    assert np.isnan(Mean.of([np.nan]).value) and np.isnan(Mean().value)
