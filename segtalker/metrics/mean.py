"""Means that merge: parts of a data set are measured anywhere, and their sums add up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Mean:
    """A mean of numbers as their sum and count; `Mean() + a + b` is the mean over both parts."""

    total: float = 0.0
    count: int = 0

    @classmethod
    def of(cls, values: ArrayLike) -> Mean:
        """Of all numbers in an array of any shape; those that are NaN take no part."""
        known = np.asarray(values, np.float64)
        known = known[~np.isnan(known)]
        return cls(float(known.sum()), known.size)

    def __add__(self, other: Mean) -> Mean:
        return Mean(self.total + other.total, self.count + other.count)

    @property
    def value(self) -> float:
        """The mean; NaN of nothing."""
        return self.total / self.count if self.count else float("nan")
