"""Tables between the keys of a published network and ours: strict, and good in both directions.

Every key of the published layout stands in the table: renamed (`Entry`), a constant that our code computes
itself (`constants`, compared, so that a network with another filter is refused), or dropped with a reason
(`dropped`). What a file has or lacks beyond that is an error that lists the keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from segtalker.errors import WeightsError
from segtalker.weights.checkpoint import all_finite
from segtalker.weights.pickles.tensors import StoredTensor

Shape = tuple[int, ...]
_SHOWN = 3
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Entry:
    """One tensor under both names; the layouts may differ in dimensions of size 1."""

    official: str
    ours: str
    official_shape: Shape
    our_shape: Shape

    def __post_init__(self) -> None:
        assert math.prod(self.official_shape) == math.prod(self.our_shape)


@dataclass(frozen=True)
class Dropped:
    """Keys that a file may have and that we have no use for."""

    pattern: str
    """Regular expression for the whole key."""
    why: str


BATCH_COUNTERS = Dropped(r"(.+\.)?num_batches_tracked", "counts training batches; no network reads it")
"""Of batch norm; files older than PyTorch 0.4.1 have none."""


@dataclass(frozen=True)
class KeyTable:
    """All keys of one network in a published layout."""

    entries: tuple[Entry, ...]
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    dropped: tuple[Dropped, ...] = ()

    def to_ours(self, official: Mapping[str, StoredTensor], place: str) -> dict[str, Tensor]:
        """Our tensors, in fp32 where they are of floating point; `WeightsError` lists what does not fit."""
        missing, unknown = self.differences(official)
        if missing or unknown:
            raise WeightsError(
                f"{place}: not all keys are as published: {_some('lacks', missing)}, "
                f"{_some('does not know', unknown)}. Use the publisher's own file."
            )
        for entry in self.entries:
            if (found := official[entry.official].shape) != entry.official_shape:
                raise WeightsError(
                    f"{place}: '{entry.official}' is {list(found)}, expected {list(entry.official_shape)}: "
                    "a network of another shape."
                )
        for name, value in self.constants.items():
            if name in official and not _same(official[name].load(), value):
                raise WeightsError(
                    f"{place}: '{name}' is not the filter that this network computes with. "
                    "Networks with other filters cannot be used."
                )
        ours = {
            entry.ours: _full(official[entry.official].load()).reshape(entry.our_shape)
            for entry in self.entries
        }
        for entry in self.entries:
            if not all_finite(ours[entry.ours]):
                raise WeightsError(f"{place}: '{entry.official}' holds NaN or infinity. Fetch it again.")
        return ours

    def to_official(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The published layout of our tensors, with its constants and without what we drop."""
        tensors = {entry.official: ours[entry.ours].reshape(entry.official_shape) for entry in self.entries}
        return {**tensors, **self.constants}

    def differences(self, official: Iterable[str]) -> tuple[list[str], list[str]]:
        """Keys that are missing, and keys that nobody knows."""
        names = set(official)
        wanted = {entry.official for entry in self.entries}
        extra = names - wanted - set(self.constants)
        return sorted(wanted - names), sorted(name for name in extra if self.why_dropped(name) is None)

    def why_dropped(self, name: str) -> str | None:
        """The reason why a key of the published layout is left out, if it is one of those."""
        return next((rule.why for rule in self.dropped if re.fullmatch(rule.pattern, name)), None)


def same_shape(pairs: Iterable[tuple[str, str]], shapes: Mapping[str, Shape]) -> tuple[Entry, ...]:
    """Entries for (official, ours) whose tensors are the same; `shapes` are ours."""
    return tuple(Entry(official, ours, shapes[ours], shapes[ours]) for official, ours in pairs)


def identity_table(shapes: Mapping[str, Shape], dropped: tuple[Dropped, ...] = ()) -> KeyTable:
    """The table of a network whose modules have the published names; `shapes` are ours."""
    names = [name for name in shapes if not re.fullmatch(BATCH_COUNTERS.pattern, name)]
    return KeyTable(same_shape(((name, name) for name in names), shapes), {}, (BATCH_COUNTERS, *dropped))


def _some(what: str, names: list[str]) -> str:
    shown = ", ".join(repr(name[:_LONGEST_NAME]) for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what} {shown or 'none'}{more}"


def _full(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _same(found: Tensor, value: Tensor) -> bool:
    return found.shape == value.shape and bool(torch.allclose(found.float(), value, atol=1e-5))
