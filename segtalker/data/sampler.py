"""Which sample comes when, as a pure function: nothing to replay on resume, nothing for ranks to disagree on.

Global sample number n belongs to epoch e = n // N and is item k = n % N of it. The clip shown there is
permutation(seed, e)[k], and whatever is drawn for it (windows, augmentation, negatives) comes from a
generator keyed by (seed, e, k). World size, rank, workers and restarts do not enter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtalker.errors import ConfigError

_ORDER, _ITEM = 0, 1  # keeps the stream that orders an epoch apart from those of its items


@dataclass(frozen=True)
class Draw:
    """One sample to make."""

    index: int
    """Position in the data set, 0..N-1."""
    epoch: int
    item: int
    """Global index within the epoch."""
    seed: int

    def generator(self) -> np.random.Generator:
        """The generator that everything random about this sample comes from."""
        return np.random.default_rng((self.seed, _ITEM, self.epoch, self.item))


class IndexedSampler:
    """Endless shuffled epochs over `num_samples`, `batch_size` samples a step over all ranks together."""

    def __init__(self, num_samples: int, batch_size: int, seed: int) -> None:
        if num_samples < 1 or batch_size < 1:
            raise ConfigError(
                f"cannot draw batches of {batch_size} from {num_samples} samples: both must be >= 1."
            )
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.position = 0
        """Global number of the next sample; the loop moves it on."""

    def at(self, number: int) -> Draw:
        """The sample with global number `number`."""
        epoch, item = divmod(number, self.num_samples)
        index = int(_permutation(self.num_samples, self.seed, epoch)[item])
        return Draw(index=index, epoch=epoch, item=item, seed=self.seed)

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> list[Draw]:
        """This rank's share of the batch of a step; the shares of all ranks in order are the whole batch."""
        if self.batch_size % world_size:
            raise ConfigError(
                f"the global batch of {self.batch_size} cannot be shared by {world_size} workers. "
                "Choose a batch size that they divide."
            )
        share = self.batch_size // world_size
        first = step * self.batch_size + rank * share
        return [self.at(number) for number in range(first, first + share)]

    def advance(self) -> None:
        """Count one step's batch as consumed."""
        self.position += self.batch_size

    def state_dict(self) -> dict[str, int]:
        """The position, and what it is only valid with."""
        return {
            "position": self.position,
            "num_samples": self.num_samples,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Take up a position; refuses one of other data, batch size or seed."""
        for name in ("num_samples", "batch_size", "seed"):
            if values[name] != getattr(self, name):
                raise ConfigError(
                    f"the checkpoint has {name} {values[name]}, this run {getattr(self, name)}. "
                    "Resume with the same data and settings, or start in another folder with --out."
                )
        self.position = int(values["position"])


@lru_cache(maxsize=2)
def _permutation(num_samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, _ORDER, epoch)).permutation(num_samples)
