"""Two methods, or two runs of one: what differs by more than chance, and which videos got worst.

Only videos that both have are compared, each with itself. p-values are of a paired sign-flip test, corrected
for the number of figures (Holm): a figure is called better or worse where the corrected one is below 0.05.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from segtalker.errors import DataError
from segtalker.evaluation.columns import Column, in_order
from segtalker.evaluation.results import Evaluation, MethodResult
from segtalker.evaluation.statistics import Difference, holm, paired_difference, shared_values
from segtalker.storage import Uri

Verdict = Literal["better", "worse", "not told apart", ""]
SIGNIFICANT = 0.05
_STATEMENTS = ("seed", "reference_rule", "codec", "made")
"""Lines of a protocol that change no figure of a video."""


@dataclass(frozen=True)
class FigureComparison:
    """One figure over the videos that both have."""

    column: Column
    first: float
    second: float
    difference: Difference
    """Second minus first."""
    p_corrected: float | None = None

    @property
    def verdict(self) -> Verdict:
        """What can be said of the second; nothing where neither way is better, or of too few videos."""
        if self.p_corrected is None or self.column.better == "none":
            return ""
        change = self.column.badness(self.second) - self.column.badness(self.first)
        if self.p_corrected >= SIGNIFICANT or change == 0:
            return "not told apart"
        return "worse" if change > 0 else "better"


@dataclass(frozen=True)
class WorseVideo:
    """A video that got worse."""

    id: str
    by: float
    """Mean over figures of the change for the worse, in standard deviations of the figure over all videos."""
    figure: Column
    """The one that got worst."""
    first: float
    second: float


@dataclass(frozen=True)
class Comparison:
    """The second method by the first."""

    first: MethodResult
    second: MethodResult
    figures: Sequence[FigureComparison]
    whole: Sequence[tuple[Column, float, float]]
    """Figures of the sets: no test is possible."""
    worst: Sequence[WorseVideo]
    notes: Sequence[str]


def compare(
    first: tuple[str, Evaluation],
    second: tuple[str, Evaluation],
    methods: tuple[str | None, str | None] = (None, None),
    worst: int = 5,
) -> Comparison:
    """Compare a method of each evaluation; (name of the run, evaluation) tells equal names apart.

    methods: by default the only one of each. `DataError` where protocols differ in what they measure, where
    several methods could be meant, or where no video is in both.
    """
    check_protocols(first, second)
    one, other = (
        _chosen(run, name) for run, name in zip((first, second), methods, strict=True)
    )  # fmt: skip
    if one.method == other.method:
        one, other = (
            replace(result, method=f"{result.method} ({run[0]})")
            for result, run in ((one, first), (other, second))
        )
    shared = one.videos.keys() & other.videos.keys()
    if not shared:
        raise DataError(f"no video was scored for both '{one.method}' and '{other.method}'.")
    figures = _with_correction(list(_figures(one, other, first[1].seed)))
    sets = in_order(name for name in one.whole.keys() & other.whole.keys())
    whole = [
        (column, a, b)
        for column in sets
        if (a := one.whole[column.name]) is not None and (b := other.whole[column.name]) is not None
    ]
    notes = [*_networks(first[1], second[1]), *_lost(one, other), *_lost(other, one)]
    return Comparison(one, other, figures, whole, _worst(one, other, sorted(shared))[:worst], notes)


def check_protocols(first: tuple[str, Evaluation], second: tuple[str, Evaluation]) -> None:
    """`DataError` names a line in which the protocols measure differently."""
    (one_name, one), (other_name, other) = first, second
    for key in sorted(one.protocol.keys() | other.protocol.keys()):
        a, b = one.protocol.get(key), other.protocol.get(key)
        if a != b and key not in _STATEMENTS:
            raise DataError(
                f"{one_name} and {other_name} were scored under different protocols ({key}: {a} and {b}), so "
                "their figures do not compare. Score both under one."
            )


def names_of(first: Uri, second: Uri) -> tuple[str, str]:
    """Short names of two runs: what differs in their places."""
    short = [str(place).rstrip("/").rsplit("/", 1)[-1] for place in (first, second)]
    return (short[0], short[1]) if short[0] != short[1] else (str(first), str(second))


def _chosen(run: tuple[str, Evaluation], name: str | None) -> MethodResult:
    if name is not None:
        return run[1].method(name)
    own = run[1].own_methods()
    if len(own) != 1:
        names = ", ".join(f"'{result.method}'" for result in own)
        raise DataError(
            f"{run[0]}: holds {len(own)} methods ({names}). Say which, as in --methods ours ours."
        )
    return own[0]


def _figures(one: MethodResult, other: MethodResult, seed: int) -> Iterator[FigureComparison]:
    names = {name for result in (one, other) for figures in result.videos.values() for name in figures}
    for column in in_order(names):
        first, second = one.values(column.name), other.values(column.name)
        difference = paired_difference(first, second, seed)
        if difference is not None:
            pairs = list(shared_values(first, second).values())
            means = np.mean(pairs, axis=0)
            yield FigureComparison(column, float(means[0]), float(means[1]), difference)


def _with_correction(figures: Sequence[FigureComparison]) -> list[FigureComparison]:
    known = {
        found.column.name: found.difference.p_value
        for found in figures
        if found.difference.p_value is not None
    }
    corrected = holm(known)
    return [replace(found, p_corrected=corrected.get(found.column.name)) for found in figures]


def _worst(one: MethodResult, other: MethodResult, videos: Sequence[str]) -> list[WorseVideo]:
    """Videos by how much worse they got, those that did."""
    changes: dict[str, list[tuple[float, Column]]] = {video: [] for video in videos}
    names = {name for video in videos for name in one.videos[video].keys() & other.videos[video].keys()}
    for column in in_order(names):
        pairs = shared_values(one.values(column.name), other.values(column.name))
        change = {video: column.badness(b) - column.badness(a) for video, (a, b) in pairs.items()}
        spread = float(np.std(list(pairs.values()))) if pairs else 0.0
        for video, value in change.items():
            changes[video].append((value / spread if spread > 0 else 0.0, column))
    found = []
    for video, by_figure in changes.items():
        by = float(np.mean([value for value, _ in by_figure])) if by_figure else 0.0
        if by > 0:
            _, figure = max(by_figure, key=lambda item: item[0])
            values = (result.videos[video][figure.name] or 0.0 for result in (one, other))
            found.append(WorseVideo(video, by, figure, *values))
    return sorted(found, key=lambda video: (-video.by, video.id))


def _lost(one: MethodResult, other: MethodResult) -> list[str]:
    """What one has and the other has not: a method must not win by failing on what is hard."""
    reasons = {failure.id: failure.reason for failure in other.failures}
    missing = sorted(one.videos.keys() - other.videos.keys())
    if not missing:
        return []
    why = reasons.get(missing[0], "it was not among its videos")
    return [
        f"{len(missing)} videos of '{one.method}' have no figures for '{other.method}' and are left out; the "
        f"first, '{missing[0]}': {why}."
    ]


def _networks(first: Evaluation, second: Evaluation) -> list[str]:
    names = sorted(name for name in first.versions.keys() & second.versions.keys() if "network of" in name)
    differ = [name for name in names if first.versions[name] != second.versions[name]]
    return [f"The {name} differs between the two: figures by it do not compare." for name in differ]
