"""Which weights a configuration names, told by the configuration itself.

A training loads them, notes whose they are, and `segtalker doctor` says which are missing: all three ask
here, so that none keeps a list of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

AUTO = "auto"
"""The place of weights that are used where the cache holds them, and done without where it does not."""

Role = Literal["start", "loss", "tool"]


@dataclass(frozen=True)
class WeightsUse:
    """One file of weights that a configuration names, or could."""

    key: str
    """Where, as in `networks.arcface`."""
    place: str | None
    """A path, a URI, `auto` for `row` in the cache, or None where nothing is given."""
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


@runtime_checkable
class NamesWeights(Protocol):
    """A configuration that may name weights."""

    def weights(self) -> tuple[WeightsUse, ...]:
        """All that take part with these values: a loss of weight 0 looks through nothing."""


def weights_of(cfg: Any) -> tuple[WeightsUse, ...]:
    """What a configuration says; one that cannot name any says nothing."""
    return cfg.weights() if isinstance(cfg, NamesWeights) else ()
