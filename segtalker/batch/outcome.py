"""What came of a row, and the table of all of them."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from segtalker.storage import Uri, join, write_bytes

State = Literal["done", "failed", "found"]
JSON_NAME, CSV_NAME = "outcomes.jsonl", "outcomes.csv"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one row."""

    id: str
    state: State
    """`found`: an earlier run had made it, of the same inputs, settings and weights."""
    reason: str = ""
    """Why it failed; empty otherwise."""
    output: str = ""
    key: str = ""
    """As in the report beside the output; empty where the inputs could not be read."""
    num_frames: int = 0
    duration_s: float = 0.0
    frames: Mapping[str, int] = field(default_factory=dict)
    """Frame plan: reason -> frames."""
    timings_s: Mapping[str, float] = field(default_factory=dict)
    """Stage -> seconds of work in this run; of a row that was found, in the run that made it."""
    wall_s: float = 0.0
    """Seconds that workers gave to it in this run."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of `video`, `speech`, perhaps `photo` and `reference-1`..., and `output`."""
    attempts: int = 1
    """Times that its most often tried part was tried; 1 where nothing went wrong."""
    chunks: int = 1
    """Ranges that were rendered on their own; 1 for a video in one piece."""
    warnings: tuple[str, ...] = ()


def outcome_to_json(outcome: Outcome) -> str:
    """One line."""
    return json.dumps(asdict(outcome), ensure_ascii=False)


def outcome_from_values(values: Mapping[str, Any]) -> Outcome:
    """The outcome of plain values, as stored."""
    return Outcome(**{**values, "warnings": tuple(values["warnings"])})


def write_outcomes(outcomes: Sequence[Outcome], out: Uri) -> None:
    """Put the table into folder or bucket `out`, as JSON lines and as CSV; each is whole or as before."""
    lines = "".join(outcome_to_json(outcome) + "\n" for outcome in outcomes)
    write_bytes(join(out, JSON_NAME), lines.encode())
    text = io.StringIO()
    names = [item.name for item in fields(Outcome)]
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    for outcome in outcomes:
        plain = {name: getattr(outcome, name) for name in names}
        writer.writerow({name: _cell(value) for name, value in plain.items()})
    write_bytes(join(out, CSV_NAME), text.getvalue().encode())


def count_states(outcomes: Iterable[Outcome]) -> Counter[str]:
    """State -> rows."""
    return Counter(outcome.state for outcome in outcomes)


def _cell(value: Any) -> Any:
    """Mappings and lists as `a=1; b=2`, so that a spreadsheet shows something readable."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}={item}" for name, item in value.items())
    return "; ".join(value) if isinstance(value, tuple) else value
