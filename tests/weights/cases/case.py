"""What is known of one row of the registry: how its file is published, and what its equations say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.weights.convert.official import Shapes

Pairs = Iterator[tuple[Tensor, Tensor]]
"""(found, expected) outputs of one network."""
Cases = dict[str, "Case"]
"""By row of the registry."""

_BUFFERS = ("num_batches_tracked", "running_mean", "running_var", "kernel", "resample_filter")
_MORE_BUFFERS = ("noise_const", "w_avg")


@dataclass(frozen=True)
class Case:
    """A published file of random numbers, and the outputs that belong to them."""

    shapes: Shapes
    """Every entry of the network in the file of the published size, whatever size is written."""
    write: Callable[[Path], None]
    """Writes the whole file; always the same numbers."""
    outputs: Callable[[Any], Pairs]
    """What the network gives that was imported from it, and what the equations say of the same numbers."""
    looks_like: str
    """What the import must call it: the row, unless a smaller size tells it from the published one."""

    @property
    def parameters(self) -> int:
        """Learned numbers of the published size."""
        learned = (
            shape
            for name, shape in self.shapes.items()
            if not name.endswith(_BUFFERS + _MORE_BUFFERS) and "noises." not in name
        )
        return sum(math.prod(shape) for shape in learned)


def largest_error(pairs: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """The largest difference of all outputs, and the least range (largest minus smallest number) of one.

    The second says that there was something to compare: a network that says the same to everything is easily
    met.
    """
    error, spread = 0.0, math.inf
    for found, expected in pairs:
        assert found.shape == expected.shape, (found.shape, expected.shape)
        difference = float((found - expected).abs().max())
        error = max(error, difference if math.isfinite(difference) else math.inf)
        spread = min(spread, float(expected.max() - expected.min()))
    return error, spread


def at_unit_scale(found: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """Both by the largest expected value, for outputs that random numbers make very large or very small."""
    scale = float(expected.abs().max())
    return found / scale, expected / scale


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, always the same."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 0) -> Tensor:
    """Numbers in [0, 1), always the same."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
