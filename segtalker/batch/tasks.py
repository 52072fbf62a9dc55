"""What a worker is asked for, and what it answers; both travel as one line of JSON.

A row begins with `begin`: the whole dub where the video is short, its analysis where it is long. There
follow a `render` for each of its ranges, and a `join` that makes the output of analysis and ranges.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from segtalker.batch.outcome import Outcome, outcome_from_values
from segtalker.batch.plan import ChunkRange
from segtalker.batch.rows import DubRow

Kind = Literal["begin", "render", "join"]


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a row cost up to now."""

    wall_s: float = 0.0
    timings_s: Mapping[str, float] = field(default_factory=dict)
    reused: int = 0
    """Segments that an earlier run had made."""

    def __add__(self, other: Spent) -> Spent:
        stages = {**self.timings_s}
        for stage, seconds in other.timings_s.items():
            stages[stage] = stages.get(stage, 0.0) + seconds
        return Spent(wall_s=self.wall_s + other.wall_s, timings_s=stages, reused=self.reused + other.reused)


@dataclass(frozen=True)
class Cut:
    """A video whose inputs were read; of a long one, what its other tasks need to know."""

    key: str
    settings: str
    """As `MadeOf.settings`."""
    stamps: Mapping[str, str]
    """Kind of input -> stamp of the version that was read."""
    hashes: Mapping[str, str]
    """Kind of input -> SHA-256."""
    ranges: tuple[ChunkRange, ...] = ()
    """Of a long video."""
    finished: tuple[ChunkRange, ...] = ()
    """Ranges that an earlier run had rendered."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One piece of work on one row, by one worker."""

    row: DubRow
    kind: Kind
    attempt: int = 1
    cut: Cut | None = None
    """Of a long video; None for `begin`."""
    part: ChunkRange | None = None
    """The range of `render`."""
    spent: Spent = field(default_factory=Spent)
    """Of all other tasks of the row, for `join` to report."""

    @property
    def name(self) -> str:
        """Unique in a batch."""
        return f"{self.row.id}/{self.part.name if self.part is not None else self.kind}"

    def again(self) -> Task:
        """The next attempt."""
        return replace(self, attempt=self.attempt + 1)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Task:
        """The task that `to_json` wrote."""
        values = json.loads(text)
        row = {**values["row"], "options": tuple(values["row"]["options"])}
        part = values["part"]
        return Task(
            row=DubRow(**row),
            kind=values["kind"],
            attempt=values["attempt"],
            cut=_cut(values["cut"]),
            part=ChunkRange(**part) if part is not None else None,
            spent=Spent(**values["spent"]),
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a task: an outcome of the row, a cut (after `begin`), or neither (after `render`)."""

    task: str
    outcome: Outcome | None = None
    cut: Cut | None = None
    spent: Spent = field(default_factory=Spent)
    may_pass: bool = False
    """A failure that may not come again: another attempt is worth while."""

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Answer:
        """The answer that `to_json` wrote."""
        values = json.loads(text)
        outcome = values["outcome"]
        return Answer(
            task=values["task"],
            outcome=outcome_from_values(outcome) if outcome is not None else None,
            cut=_cut(values["cut"]),
            spent=Spent(**values["spent"]),
            may_pass=values["may_pass"],
        )


def _cut(values: dict[str, Any] | None) -> Cut | None:
    if values is None:
        return None
    ranges = {name: tuple(ChunkRange(**item) for item in values[name]) for name in ("ranges", "finished")}
    return Cut(**{**values, **ranges})
