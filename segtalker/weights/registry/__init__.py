"""Every foreign network that SegTalker can use: what it is, where it comes from, its terms, and who reads it.

A row is data. Most published files become a safetensors file of ours on their way into the cache
(`weights.importing`); the others are used as they are. `weights.store` knows where the cache keeps each,
`weights.fetching` how it gets there.
"""

from __future__ import annotations

from segtalker.weights.registry import faces, measures, synthesis
from segtalker.weights.registry.row import Published, WeightsRow, WheelMember

__all__ = ["ROWS", "Published", "WeightsRow", "WheelMember", "groups", "rows_of", "with_source"]

ROWS: tuple[WeightsRow, ...] = (*faces.ROWS, *synthesis.ROWS, *measures.ROWS)


def groups() -> tuple[str, ...]:
    """Names of the groups, in the order of the rows."""
    return tuple(dict.fromkeys(row.group for row in ROWS))


def rows_of(name: str) -> tuple[WeightsRow, ...]:
    """The row called `name`, or every row of the group `name`; empty if there is neither."""
    return tuple(row for row in ROWS if name in (row.name, row.group))


def with_source(source: WheelMember | Published) -> tuple[WeightsRow, ...]:
    """Every row that comes out of one published file."""
    return tuple(row for row in ROWS if row.source == source)
