"""From which published networks weights come, and under which licences: terms travel with what is trained.

Every file of ours says it in its `info`: an imported one names what it was published as, a trained one what
its training started from and looked through, those networks' own origins included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from segtalker.weights.registry import rows_of


@dataclass(frozen=True)
class Origin:
    """A published network."""

    row: str
    """Its name in the registry; of no published size, that of what it looks like."""
    licence: str
    """Terms and what they forbid."""


@dataclass(frozen=True)
class Lineage:
    """The published networks behind weights, each once; `a | b` are those of both."""

    based_on: tuple[Origin, ...] = ()
    """Networks whose tensors these weights began with."""
    shaped_by: tuple[Origin, ...] = ()
    """Networks that a loss looked through while these weights learned."""

    def __or__(self, other: Lineage) -> Lineage:
        return Lineage(
            tuple(dict.fromkeys(self.based_on + other.based_on)),
            tuple(dict.fromkeys(self.shaped_by + other.shaped_by)),
        )

    def through_loss(self) -> Lineage:
        """Of weights that learned by a loss on a network of this lineage."""
        return Lineage(shaped_by=tuple(dict.fromkeys(self.based_on + self.shaped_by)))

    def told(self) -> dict[str, list[dict[str, str]]]:
        """As `info` of a weights file holds it, two lists of row and licence."""
        return {key: [asdict(origin) for origin in getattr(self, key)] for key in LISTS}


LISTS = ("based_on", "shaped_by")
"""Keys of the two lists in the `info` of a weights file."""


def published_as(row: str) -> Lineage:
    """Of a network that was published as `row`."""
    return Lineage((Origin(row, licence_of(row)),))


def lineage_in(info: Mapping[str, Any]) -> Lineage:
    """What the `info` of a weights file says; files from before lineage was kept say nothing."""
    lists = (info.get(key, ()) for key in LISTS)
    return Lineage(*(tuple(Origin(**origin) for origin in origins) for origins in lists))


def lineage_lines(lineage: Lineage) -> list[str]:
    """For people, a line each."""
    lines = [f"based on: {origin.row}; licence: {origin.licence}" for origin in lineage.based_on]
    lines += [f"shaped by (losses): {origin.row}; licence: {origin.licence}" for origin in lineage.shaped_by]
    return lines or ["based on: nothing that others published, as far as the file knows"]


def licence_of(row: str) -> str:
    """The licence of a row of the registry and what it forbids; for what is not in it, whose it is."""
    found = rows_of(row)
    return found[0].terms if found else "its publisher's"
