"""Where speech features read their samples: an array, or a file of any length behind the same two names."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16000
"""Samples per second of all speech inside the project."""


class SampleSource(Protocol):
    """Mono 16 kHz speech that is read in pieces."""

    @property
    def num_samples(self) -> int:
        """Samples of the whole speech."""

    def samples(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [stop - start] in [-1, 1]; zero where the range leaves the speech."""


class ArraySource:
    """A `SampleSource` over samples that are already in memory."""

    def __init__(self, samples: NDArray[np.float32]) -> None:
        """Keep float32 `samples` [N] in [-1, 1]; int16 is refused, because its scale would be wrong."""
        samples = np.asarray(samples)
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise ValueError(f"expected float samples [N] in [-1, 1], found {samples.dtype} {samples.shape}")
        self._samples = samples.astype(np.float32, copy=False)

    @property
    def num_samples(self) -> int:
        """Samples of the whole speech."""
        return len(self._samples)

    def samples(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [stop - start]; zero where the range leaves the speech."""
        result = np.zeros(stop - start, np.float32)
        first, last = max(start, 0), min(stop, self.num_samples)
        if first < last:
            result[first - start : last - start] = self._samples[first:last]
        return result
