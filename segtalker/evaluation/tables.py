"""Tables of an evaluation as Markdown and LaTeX, in the layout of Table 1 of arXiv 2409.03605.

Methods are rows, figures are columns under the paper's two groups; the best is bold, the second underlined,
the interval of the mean over videos stands beside it, and what was not measured is n/a with the reason below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from segtalker.evaluation.columns import REFERENCE_ROWS, Column, in_order, paper_columns
from segtalker.evaluation.results import Evaluation, MethodResult
from segtalker.evaluation.statistics import LEVEL, Estimate

Rank = Literal["", "best", "second"]
NOT_MEASURED = "n/a"
_RANKS = "Bold: best method, underlined: second best."
_FURTHER = f"further figures. {_RANKS}"
_LEAST_SHARE = 0.95
"""Of the videos of the method that has most; one with fewer is not ranked."""
_UNEQUAL = (
    "Rows are not all of the same videos, so their means differ by more than the methods: "
    "'segtalker evaluate compare' takes the videos that two have in common. A method that lacks more than "
    f"{1 - _LEAST_SHARE:.0%} of the videos is not ranked."
)


@dataclass(frozen=True)
class Cell:
    """One figure of one method, ready to print."""

    text: str
    interval: str = ""
    rank: Rank = ""
    note: int | None = None
    """Number of a footnote, from 1."""


@dataclass(frozen=True)
class Table:
    """A table that any format can print."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[tuple[str, str, Sequence[Cell]]]
    """Method, scored videos of all (`11 / 12`), cells."""
    footnotes: Sequence[str]

    def groups(self) -> Iterator[tuple[str, int]]:
        """Headings over the columns, and how many columns each spans."""
        for name, columns in groupby(self.columns, key=lambda column: column.group):
            yield name, len(list(columns))


def paper_table(evaluation: Evaluation) -> Table:
    """The paper's columns, measured or not."""
    return _table(evaluation, paper_columns(), f"Means over videos. {_RANKS}")


def further_tables(evaluation: Evaluation) -> list[Table]:
    """All other figures that were measured, a table for each group."""
    known = {column.name for column in paper_columns()}
    others = in_order(name for name in evaluation.figure_names() if name not in known)
    groups = dict.fromkeys(column.group for column in others)
    return [
        _table(evaluation, [column for column in others if column.group == group], f"{group}: {_FURTHER}")
        for group in groups
    ]


def to_markdown(table: Table) -> str:
    """A Markdown table with its footnotes."""
    header = ["Method", "Videos", *(column.title for column in table.columns)]
    lines = [_pipes(header), _pipes(["---", "---:", *["---:"] * len(table.columns)])]
    for method, videos, cells in table.rows:
        lines.append(_pipes([_escaped(method), videos, *map(_markdown_cell, cells)]))
    notes = [f"- ({place}) {note}" for place, note in enumerate(table.footnotes, start=1)]
    return "\n".join([f"{table.caption} {interval_sentence()}", "", *lines, "", *notes]).rstrip() + "\n"


def to_latex(table: Table) -> str:
    """A LaTeX table; it wants the package booktabs."""
    start, heads, rules = 3, [], []
    for name, span in table.groups():
        heads.append(rf"\multicolumn{{{span}}}{{c}}{{{_tex(name)}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    lines = [
        r"\begin{table*}[t]",
        r"\centering\footnotesize",
        rf"\caption{{{_tex(f'{table.caption} {interval_sentence()}')}}}",
        rf"\begin{{tabular}}{{l r *{{{len(table.columns)}}}{{c}}}}",
        r"\toprule",
        rf" & & {' & '.join(heads)} \\",
        " ".join(rules),
        rf"Method & Videos & {' & '.join(_tex_heading(column) for column in table.columns)} \\",
        r"\midrule",
    ]
    for method, videos, cells in table.rows:
        lines.append(rf"{_tex(method)} & {videos} & {' & '.join(map(_tex_cell, cells))} \\")
        if method == table.rows[_last_reference(table)][0]:
            lines.append(r"\midrule")
    lines += [r"\bottomrule", r"\end{tabular}"]
    for place, note in enumerate(table.footnotes, start=1):
        lines.append(rf"\par\raggedright\scriptsize $^{{{place}}}$ {_tex(note)}")
    return "\n".join([*lines, r"\end{table*}"]) + "\n"


def interval_sentence() -> str:
    """What the brackets are."""
    return f"Brackets: {LEVEL:.0%} interval of the mean (BCa bootstrap over videos)."


def _table(evaluation: Evaluation, columns: Sequence[Column], caption: str) -> Table:
    footnotes: list[str] = []
    columns_of_cells = [_cells(evaluation, column, footnotes) for column in columns]
    rows = [
        (result.method, _count(result), [cells[place] for cells in columns_of_cells])
        for place, result in enumerate(evaluation.methods)
    ]
    if len({frozenset(result.videos) for result in evaluation.methods}) > 1:
        footnotes.append(_UNEQUAL)
    return Table(caption, columns, rows, footnotes)


def _cells(evaluation: Evaluation, column: Column, footnotes: list[str]) -> list[Cell]:
    """The column's cell of every method; reasons for what is missing are added to the footnotes."""
    found = [evaluation.estimate(result, column.name) for result in evaluation.methods]
    of_none = all(estimate is None for estimate in found)
    ranks = _ranks(_ranked(evaluation), evaluation.methods, found, column)
    return [
        _missing(evaluation, result, column, of_none, footnotes)
        if estimate is None
        else Cell(_number(estimate.mean, column), _interval(estimate, column), rank)
        for result, estimate, rank in zip(evaluation.methods, found, ranks, strict=True)
    ]


def _missing(
    evaluation: Evaluation, result: MethodResult, column: Column, of_none: bool, footnotes: list[str]
) -> Cell:
    if result.videos:
        what = column.heading if of_none else f"{column.heading} of {result.method}"
        why = "could not be measured on any video"
        if column.name in evaluation.absent:
            what, why = column.heading, f"was not measured. {evaluation.absent[column.name]}"
    else:
        what, why = result.method, "not one of its videos could be scored"
    note = f"{what}: {why.rstrip('.')}."
    if note not in footnotes:
        footnotes.append(note)
    return Cell(NOT_MEASURED, note=footnotes.index(note) + 1)


def _ranked(evaluation: Evaluation) -> set[str]:
    """Methods that take part in the order: no reference rows, and none that failed on what may be hardest."""
    own = evaluation.own_methods()
    most = max((len(result.videos) for result in own), default=0)
    return {result.method for result in own if len(result.videos) >= _LEAST_SHARE * most}


def _ranks(
    ranked: set[str], methods: Sequence[MethodResult], found: Sequence[Estimate | None], column: Column
) -> list[Rank]:
    """Best and second; those that print alike share a rank."""
    own = [
        column.badness(float(_number(estimate.mean, column)))
        if estimate is not None and result.method in ranked
        else None
        for result, estimate in zip(methods, found, strict=True)
    ]
    order = sorted({value for value in own if value is not None})
    if column.better == "none" or len(order) < 2:
        return [""] * len(own)
    places: dict[float, Rank] = {order[0]: "best"}
    if sum(value is not None for value in own) > 2:
        places[order[1]] = "second"
    return ["" if value is None else places.get(value, "") for value in own]


def _number(value: float, column: Column) -> str:
    return f"{value * column.scale:.{column.digits}f}"


def _interval(found: Estimate, column: Column) -> str:
    if found.low is None or found.high is None or found.low == found.high:
        return ""
    return f"[{_number(found.low, column)}, {_number(found.high, column)}]"


def _count(result: MethodResult) -> str:
    scored = len(result.videos)
    return f"{scored} / {scored + len(result.failures)}" if result.failures else str(scored)


def _last_reference(table: Table) -> int:
    """Row under which the paper draws a line: the last that is no method, else the last of all."""
    places = [place for place, row in enumerate(table.rows) if row[0] in REFERENCE_ROWS]
    return places[-1] if places else len(table.rows) - 1


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _markdown_cell(cell: Cell) -> str:
    number = {"best": "**%s**", "second": "<u>%s</u>", "": "%s"}[cell.rank] % cell.text
    return " ".join(filter(None, (number, cell.interval, f"({cell.note})" if cell.note else "")))


def _tex_cell(cell: Cell) -> str:
    command = {"best": r"\textbf{%s}", "second": r"\underline{%s}", "": "%s"}[cell.rank]
    interval = rf" {{\tiny {cell.interval}}}" if cell.interval else ""
    mark = f"$^{{{cell.note}}}$" if cell.note else ""
    return command % cell.text + mark + interval


def _tex_heading(column: Column) -> str:
    arrow = {"higher": r" $\uparrow$", "lower": r" $\downarrow$", "zero": r" $\to 0$", "none": ""}
    scale = "" if column.scale == 1 else rf" $\times {column.scale:g}$"
    return _tex(column.heading) + arrow[column.better] + scale


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(char, f"\\{char}" if char in "&%$#_{}" else char) for char in text)
