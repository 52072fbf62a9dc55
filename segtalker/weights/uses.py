"""Which weights a configuration names, told by the configuration itself.

A training loads them, notes whose they are, and `segtalker doctor` says which are missing: all three ask
here, so that none keeps a list of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

AUTO = "auto"
"""The place of weights that are used where the cache holds them, and done without where it does not."""

CACHE = "cache:"
"""Before the name of a row of the registry: its file in the cache, which has to be there."""

Role = Literal["start", "loss", "tool"]


@dataclass(frozen=True)
class WeightsUse:
    """One file of weights that a configuration names, or could."""

    key: str
    """Where, as in `networks.arcface`."""
    place: str | None
    """A path, a URI, `cache:ROW`, `auto` for `row` in the cache, or None where nothing is given."""
    network: str
    """What it must be: a name of `checkpoint.NETWORKS`; empty for a pack that is used as published."""
    role: Role
    """`start`: what is trained begins with it; `loss`: a loss looks through it; `tool`: neither."""
    row: str = ""
    """Name in the registry of what `auto` stands for."""
    term: str = ""
    """The loss term that is off without it."""

    @property
    def by_itself(self) -> bool:
        """Whether it takes part where the cache holds it, without being named."""
        return self.place == AUTO and bool(self.row)

    @property
    def published(self) -> str | None:
        """The row of the registry whose file in the cache it is; None if it lies elsewhere."""
        if self.by_itself:
            return self.row
        if self.place is None or not self.place.startswith(CACHE):
            return None
        return self.place.removeprefix(CACHE)


@runtime_checkable
class NamesWeights(Protocol):
    """A configuration that may name weights."""

    def weights(self) -> tuple[WeightsUse, ...]:
        """All that take part with these values: a loss of weight 0 looks through nothing."""


def weights_of(cfg: Any) -> tuple[WeightsUse, ...]:
    """What a configuration says; one that cannot name any says nothing."""
    return cfg.weights() if isinstance(cfg, NamesWeights) else ()
