"""What an evaluation found, as a folder: figures by video and method, failures, and the protocol they obey.

`result.json` holds all of it and is written last, so that a folder with it is whole; the CSV files beside it
are for spreadsheets.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from segtalker.errors import DataError
from segtalker.evaluation.columns import REFERENCE_ROWS, in_order
from segtalker.evaluation.statistics import LEVEL, Estimate, estimate
from segtalker.storage import Uri, join, read_if_exists, write_bytes

RESULT_NAME = "result.json"
PER_VIDEO_NAME = "per_video.csv"
FAILURES_NAME = "failures.csv"
SUMMARY_NAME = "summary.csv"
_FORMAT = 1

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Failure:
    """A video that has no figures."""

    id: str
    reason: str


@dataclass(frozen=True)
class MethodResult:
    """Everything about one method: a row of the table."""

    method: str
    videos: Mapping[str, Figures]
    """Video -> figure -> value; None where it could not be measured on this video."""
    whole: Figures = field(default_factory=dict)
    """Figures of the set as a whole (FID, FVD)."""
    failures: Sequence[Failure] = ()
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Video -> what a reader should know of how it was scored."""

    def values(self, figure: str) -> dict[str, float | None]:
        """The figure of every video."""
        return {video: figures.get(figure) for video, figures in self.videos.items()}


@dataclass(frozen=True)
class Evaluation:
    """Methods that were scored under one protocol."""

    protocol: Mapping[str, Any]
    methods: Sequence[MethodResult]
    absent: Mapping[str, str] = field(default_factory=dict)
    """Figure -> why it was not measured."""
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    """UTC, ISO 8601."""
    notes: Sequence[str] = ()
    """What holds for the whole evaluation."""

    def method(self, name: str) -> MethodResult:
        """A method by its name; `DataError` names those that there are."""
        for result in self.methods:
            if result.method == name:
                return result
        names = ", ".join(f"'{result.method}'" for result in self.methods)
        raise DataError(f"no method '{name}' was scored; there are {names}.")

    def own_methods(self) -> list[MethodResult]:
        """Without the rows that stand in every table."""
        return [result for result in self.methods if result.method not in REFERENCE_ROWS]

    def figure_names(self) -> list[str]:
        """Every figure that any video or set has a value of, in the order of tables."""
        found: set[str] = set()
        for result in self.methods:
            for figures in (*result.videos.values(), result.whole):
                found |= {name for name, value in figures.items() if value is not None}
        return [column.name for column in in_order(found)]

    @property
    def seed(self) -> int:
        """Of resampling, as the protocol has it."""
        return int(self.protocol.get("seed", 0))

    def estimate(self, result: MethodResult, figure: str, level: float = LEVEL) -> Estimate | None:
        """What the table shows: the figure of the set, else the mean over its videos with an interval."""
        whole = result.whole.get(figure)
        if whole is not None:
            return Estimate(whole, None, None, len(result.videos))
        return estimate(list(result.values(figure).values()), self.seed, level)


def write_evaluation(evaluation: Evaluation, folder: Uri) -> None:
    """Store an evaluation, each file whole or not at all, `result.json` last."""
    write_bytes(join(folder, PER_VIDEO_NAME), per_video_csv(evaluation).encode())
    write_bytes(join(folder, FAILURES_NAME), failures_csv(evaluation).encode())
    write_bytes(join(folder, SUMMARY_NAME), summary_csv(evaluation).encode())
    text = json.dumps({"format": _FORMAT, **_finite(asdict(evaluation))}, indent=1, ensure_ascii=False)
    write_bytes(join(folder, RESULT_NAME), (text + "\n").encode())


def read_evaluation(folder: Uri) -> Evaluation:
    """An evaluation that was stored; `DataError` where the folder has none."""
    uri = join(folder, RESULT_NAME)
    data = read_if_exists(uri)
    if data is None:
        raise DataError(
            f"{folder}: no {RESULT_NAME} in it. Name a folder that 'segtalker evaluate run' has finished."
        )
    try:
        values = json.loads(data)
        if values.pop("format") != _FORMAT:
            raise ValueError("of another version")
        methods = [_method(method) for method in values.pop("methods")]
        return Evaluation(methods=methods, **values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{uri}: not a result of an evaluation ({error}). Evaluate again.") from error


def per_video_csv(evaluation: Evaluation) -> str:
    """A line a method and video; an empty cell where a figure was not measured."""
    names = [name for name in evaluation.figure_names() if any(name in _own(m) for m in evaluation.methods)]
    lines = [
        {"method": result.method, "id": video, **{name: _plain(figures.get(name)) for name in names}}
        for result in evaluation.methods
        for video, figures in sorted(result.videos.items())
    ]
    return csv_text(("method", "id", *names), lines)


def failures_csv(evaluation: Evaluation) -> str:
    """A line a method and video that could not be scored."""
    lines = [
        {"method": result.method, "id": failure.id, "reason": failure.reason}
        for result in evaluation.methods
        for failure in result.failures
    ]
    return csv_text(("method", "id", "reason"), lines)


def summary_csv(evaluation: Evaluation) -> str:
    """A line a method and figure: the mean, its interval, and how many videos it is of."""
    lines = []
    for result in evaluation.methods:
        for name in evaluation.figure_names():
            found = evaluation.estimate(result, name)
            if found is not None:
                lines.append({"method": result.method, "figure": name, **_estimate_cells(found)})
    return csv_text(("method", "figure", "mean", "low", "high", "videos"), lines)


def csv_text(names: Sequence[str], lines: Iterable[Mapping[str, Any]]) -> str:
    """A CSV file of these columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _own(result: MethodResult) -> set[str]:
    return {name for figures in result.videos.values() for name in figures}


def _estimate_cells(found: Estimate) -> dict[str, Any]:
    cells = {name: _plain(getattr(found, name)) for name in ("mean", "low", "high")}
    return {**cells, "videos": found.videos}


def _plain(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else repr(float(value))


def _method(values: Mapping[str, Any]) -> MethodResult:
    failures = [Failure(**failure) for failure in values["failures"]]
    return MethodResult(**{**values, "failures": failures})


def _finite(values: Any) -> Any:
    """The same with None for NaN and infinity, which JSON has no words for."""
    if isinstance(values, Mapping):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
