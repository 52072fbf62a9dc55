"""A comparison of two methods as Markdown, CSV and a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from segtalker.evaluation.columns import Column
from segtalker.evaluation.compare import SIGNIFICANT, Comparison, FigureComparison
from segtalker.evaluation.page import page, plain_table, plots_html
from segtalker.evaluation.plots import scatter
from segtalker.evaluation.results import csv_text
from segtalker.storage import Uri, join, write_bytes

_HEADER = ("Figure", "First", "Second", "Difference", "95% interval", "p", "p (Holm)", "Videos", "Second is")
_WORST_HEADER = ("Video", "Change (SD)", "Worst figure", "First", "Second")


def to_markdown(comparison: Comparison) -> str:
    """Tables for a terminal or a page of text."""
    lines = [_title(comparison), ""]
    lines += _markdown(_HEADER, _lines(comparison))
    if comparison.worst:
        lines += ["", f"Videos that got worst with {comparison.second.method}:", ""]
        lines += _markdown(_WORST_HEADER, _worst_lines(comparison))
    return "\n".join([*lines, "", _explanation(), *(f"- {note}" for note in comparison.notes)]) + "\n"


def to_csv(comparison: Comparison) -> str:
    """A line a figure, with all digits."""
    lines = [
        {
            "figure": found.column.name, "first": found.first, "second": found.second,
            "difference": found.difference.mean, "low": found.difference.low, "high": found.difference.high,
            "p": found.difference.p_value, "p_corrected": found.p_corrected,
            "videos": found.difference.videos, "verdict": found.verdict,
        }
        for found in comparison.figures
    ]  # fmt: skip
    names = (
        "figure", "first", "second", "difference", "low", "high", "p", "p_corrected", "videos", "verdict",
    )  # fmt: skip
    return csv_text(names, lines)


def to_html(comparison: Comparison) -> str:
    """A page with both tables, and every figure by video."""
    pictures = {
        found.column.name: scatter(comparison.first, comparison.second, found.column)
        for found in comparison.figures
    }
    parts = [
        f"<p>{escape(_explanation())}</p>",
        *plain_table(_HEADER, _lines(comparison)),
        f"<h2>Videos that got worst ({len(comparison.worst)})</h2>",
        *plain_table(_WORST_HEADER, _worst_lines(comparison)),
        "<h2>Video by video</h2>",
        plots_html({name: picture for name, picture in pictures.items() if picture is not None}),
        "<h2>Remarks</h2>",
        *plain_table(("Remark",), [(note,) for note in comparison.notes] or [("None.",)], "text"),
    ]
    return page(_title(comparison), parts)


def write_comparison(comparison: Comparison, folder: Uri) -> None:
    """Store `compare.md`, `compare.csv` and `compare.html`."""
    for name, text in (
        ("compare.md", to_markdown(comparison)),
        ("compare.csv", to_csv(comparison)),
        ("compare.html", to_html(comparison)),
    ):
        write_bytes(join(folder, name), text.encode())


def _title(comparison: Comparison) -> str:
    return f"{comparison.second.method} (second) against {comparison.first.method} (first)"


def _explanation() -> str:
    return (
        "Difference is second minus first, mean over the videos that both have, with its BCa interval. "
        f"p is of a paired sign-flip test; second is better or worse where p (Holm) is below {SIGNIFICANT}. "
        "Figures of sets are of all videos of each, and have no test."
    )


def _lines(comparison: Comparison) -> list[tuple[str, ...]]:
    lines = [_line(found) for found in comparison.figures]
    for column, first, second in comparison.whole:
        numbers = (_number(value, column) for value in (first, second))
        change = _number(second - first, column, signed=True)
        lines.append((column.title, *numbers, change, "", "", "", "", ""))
    return lines


def _line(found: FigureComparison) -> tuple[str, ...]:
    column, difference = found.column, found.difference
    interval = ""
    if difference.low is not None and difference.high is not None:
        ends = (_number(end, column, signed=True) for end in (difference.low, difference.high))
        interval = f"[{', '.join(ends)}]"
    return (
        column.title,
        _number(found.first, column),
        _number(found.second, column),
        _number(difference.mean, column, signed=True),
        interval,
        *("" if p is None else f"{p:.4f}" for p in (difference.p_value, found.p_corrected)),
        str(difference.videos),
        found.verdict,
    )


def _worst_lines(comparison: Comparison) -> list[tuple[str, ...]]:
    return [
        (
            video.id,
            f"{video.by:+.2f}",
            video.figure.title,
            _number(video.first, video.figure),
            _number(video.second, video.figure),
        )
        for video in comparison.worst
    ]


def _number(value: float, column: Column, signed: bool = False) -> str:
    return f"{value * column.scale:{'+' if signed else ''}.{column.digits}f}"


def _markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    rows = [header, ["---"] * len(header), *lines]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
