"""How sure a figure is: intervals over videos, paired tests of two methods, and many tests at once.

A video is the unit: its frames are far from independent. Intervals are BCa (bias-corrected and accelerated,
Efron 1987), not plain percentiles, since figures of videos are skewed and test sets small, where percentile
intervals sit off centre; its coverage error falls with 1/n instead of 1/sqrt(n). Everything is seeded.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95
_BATCH = 200
"""Resamples held at once, so that memory does not grow with their number."""
_FEWEST = 3
"""Videos of which an interval says anything."""


@dataclass(frozen=True)
class Estimate:
    """A mean over videos with its interval; without one where there are fewer than three."""

    mean: float
    low: float | None
    high: float | None
    videos: int


@dataclass(frozen=True)
class Difference:
    """Of two methods on the same videos: the second minus the first."""

    mean: float
    low: float | None
    high: float | None
    p_value: float | None
    """Two-sided, that signs of the differences are chance; None of fewer than two videos."""
    videos: int


def estimate(
    values: Sequence[float | None], seed: int = 0, level: float = LEVEL, resamples: int = RESAMPLES
) -> Estimate | None:
    """Mean over the videos that have the figure, None where none has."""
    known = tuple(known_values(values).tolist())
    return _estimate(known, seed, level, resamples) if known else None


@lru_cache(maxsize=4096)
def _estimate(values: tuple[float, ...], seed: int, level: float, resamples: int) -> Estimate:
    """Tables, plots and CSV files ask for the same figures, and an interval of many videos takes a while."""
    known = np.array(values)
    low, high = bootstrap_interval(known, seed, level, resamples)
    return Estimate(float(known.mean()), low, high, len(known))


def bootstrap_interval(
    values: NDArray[np.float64], seed: int = 0, level: float = LEVEL, resamples: int = RESAMPLES
) -> tuple[float | None, float | None]:
    """BCa interval of the mean of values [N]; (None, None) of fewer than three.

    All equal: that value twice. Where the bootstrap has no spread that BCa could correct, its percentiles.
    """
    if len(values) < _FEWEST:
        return None, None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    from scipy.stats import bootstrap

    centre = values.mean()  # means of values that are large and close together would lose digits
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = bootstrap(
                (values - centre,),
                np.mean,
                n_resamples=resamples,
                batch=_BATCH,
                confidence_level=level,
                method=method,
                random_state=np.random.default_rng(seed),
            )
        low, high = (float(end + centre) for end in result.confidence_interval)
        if math.isfinite(low) and math.isfinite(high):
            break
    return low, high


def paired_difference(
    first: Mapping[str, float | None],
    second: Mapping[str, float | None],
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Difference | None:
    """Of the videos that have the figure in both; None where none has. Keys are videos."""
    shared = shared_values(first, second)
    if not shared:
        return None
    apart = np.array([b - a for a, b in shared.values()], np.float64)
    low, high = bootstrap_interval(apart, seed, level, resamples)
    return Difference(float(apart.mean()), low, high, sign_flip_test(apart, seed), len(apart))


def shared_values(
    first: Mapping[str, float | None], second: Mapping[str, float | None]
) -> dict[str, tuple[float, float]]:
    """Key -> both values, of those that have both."""
    return {
        key: (float(first[key]), float(second[key]))  # type: ignore[arg-type]
        for key in sorted(first.keys() & second.keys())
        if is_known(first[key]) and is_known(second[key])
    }


def sign_flip_test(differences: NDArray[np.float64], seed: int = 0, resamples: int = 9999) -> float | None:
    """Two-sided p-value that paired differences [N] have no direction; None of fewer than two.

    Flips their signs at random, all 2^N ways where these are no more than `resamples`, and counts means that
    are as far from zero as the one that was seen.
    """
    if len(differences) < 2:
        return None
    seen = abs(differences.mean())
    tolerance = 1e-12 * np.abs(differences).max()
    count = 2 ** len(differences) if len(differences) < 63 else math.inf
    if count <= resamples:
        bits = np.arange(int(count))[:, None] >> np.arange(len(differences)) & 1
        means = np.abs(((1 - 2 * bits) * differences).mean(axis=1))
        return float((means >= seen - tolerance).mean())
    rng = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, resamples, _BATCH):
        size = (min(_BATCH, resamples - start), len(differences))
        signs = 1 - 2 * rng.integers(0, 2, size, dtype=np.int8)
        extreme += int((np.abs((signs * differences).mean(axis=1)) >= seen - tolerance).sum())
    return (extreme + 1) / (resamples + 1)  # the seen order is one of the possible ones: never 0


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for their number (Holm 1979): with these, the chance of any false alarm is held."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def is_known(value: float | None) -> bool:
    """Whether a figure was measured: neither absent nor NaN."""
    return value is not None and not math.isnan(value)


def known_values(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Those that were measured, [N]."""
    return np.array([value for value in values if is_known(value)], np.float64)
