"""The page of an evaluation: tables, plots, failures and protocol in one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

import yaml

from segtalker.evaluation.plots import bar_plots, scatter_plots
from segtalker.evaluation.results import Evaluation, MethodResult
from segtalker.evaluation.tables import Cell, Table, further_tables, interval_sentence, paper_table

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; max-width: 1280px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; border-top: 2px solid #222; border-bottom: 2px solid #222; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child, .text td { text-align: left; }
thead tr:last-child th { border-bottom: 1px solid #222; }
thead .group { text-align: center; border-bottom: 1px solid #bbb; font-weight: 600; }
tbody tr.reference { color: #666; }
tbody tr:hover { background: #f3f6fa; }
td small { display: block; color: #777; font-size: .72rem; }
.text td { white-space: normal; }
sup { line-height: 0; }
b { color: #b00020; } u { color: #0050a0; text-underline-offset: 2px; }
.notes { font-size: .85rem; color: #444; padding-left: 1.3rem; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; margin: 1rem 0; }
.plots svg { border: 1px solid #ddd; max-width: 100%; height: auto; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; font-size: .85rem; }
details { margin: 1rem 0; } summary { cursor: pointer; }
@media print { tbody tr:hover { background: none; } }
"""


def result_page(evaluation: Evaluation, title: str = "Evaluation") -> str:
    """The whole page."""
    about = [f"Scored {evaluation.created}." if evaluation.created else "", *evaluation.notes]
    return page(
        title,
        [
            *(f"<p>{escape(sentence)}</p>" for sentence in about if sentence),
            *table_html(paper_table(evaluation), evaluation),
            *_further(evaluation),
            *_plots(evaluation),
            *_failures(evaluation),
            *_remarks(evaluation.methods),
            *_about(evaluation),
        ],
    )


def page(title: str, parts: Iterable[str]) -> str:
    """A document with the style of our pages."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    body = "\n".join([f"<h1>{escape(title)}</h1>", *parts])
    return f'<!doctype html>\n<html lang="en"><head>{head}{view}</head>\n<body>{body}</body></html>\n'


def table_html(table: Table, evaluation: Evaluation) -> Iterator[str]:
    """A table with its caption and footnotes."""
    own = {result.method for result in evaluation.own_methods()}
    groups = "".join(
        f'<th class="group" colspan="{span}">{escape(name)}</th>' for name, span in table.groups()
    )
    heads = "".join(
        f'<th title="{escape(column.meaning, quote=True)}">{escape(column.title)}</th>'
        for column in table.columns
    )
    yield f"<p>{escape(table.caption)} {escape(interval_sentence())}</p>"
    yield f'<div class="wide"><table><thead><tr><th></th><th></th>{groups}</tr>'
    yield f"<tr><th>Method</th><th>Videos</th>{heads}</tr></thead><tbody>"
    for method, videos, cells in table.rows:
        kind = "" if method in own else ' class="reference"'
        values = "".join(f"<td>{_cell(cell)}</td>" for cell in cells)
        yield f"<tr{kind}><td>{escape(method)}</td><td>{escape(videos)}</td>{values}</tr>"
    yield "</tbody></table></div>"
    if table.footnotes:
        items = "".join(f"<li>{escape(note)}</li>" for note in table.footnotes)
        yield f'<ol class="notes">{items}</ol>'


def plain_table(names: Sequence[str], lines: Iterable[Sequence[str]], kind: str = "") -> Iterator[str]:
    """A table of text cells; kind: class of the table."""
    yield f'<div class="wide"><table class="{kind}"><thead><tr>'
    yield "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr></thead><tbody>"
    for line in lines:
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>"
    yield "</tbody></table></div>"


def plots_html(drawn: Mapping[str, str]) -> str:
    """Plots side by side, inside the page."""
    return f'<div class="plots">{"".join(drawn.values())}</div>'


def _cell(cell: Cell) -> str:
    number = {"best": "<b>%s</b>", "second": "<u>%s</u>", "": "%s"}[cell.rank] % escape(cell.text)
    note = f"<sup>{cell.note}</sup>" if cell.note else ""
    interval = f"<small>{escape(cell.interval)}</small>" if cell.interval else ""
    return number + note + interval


def _further(evaluation: Evaluation) -> Iterator[str]:
    for table in further_tables(evaluation):
        yield f"<h2>{escape(table.columns[0].group)}</h2>"
        yield from table_html(table, evaluation)


def _plots(evaluation: Evaluation) -> Iterator[str]:
    for heading, drawn in (("Plots", bar_plots(evaluation)), ("Video by video", scatter_plots(evaluation))):
        if drawn:
            yield f"<h2>{heading}</h2>"
            yield plots_html(drawn)


def _failures(evaluation: Evaluation) -> Iterator[str]:
    lines = [
        (result.method, fail.id, fail.reason) for result in evaluation.methods for fail in result.failures
    ]
    yield f"<h2>Failures ({len(lines)})</h2>"
    if lines:
        yield from plain_table(("Method", "Video", "Reason"), lines, "text")
    else:
        yield "<p>None: every video of every method was scored.</p>"


def _remarks(methods: Sequence[MethodResult]) -> Iterator[str]:
    lines = [
        (result.method, video, note)
        for result in methods
        for video, notes in sorted(result.notes.items())
        for note in notes
    ]
    if lines:
        yield f"<details><summary>Remarks on single videos ({len(lines)})</summary>"
        yield from plain_table(("Method", "Video", "Remark"), lines, "text")
        yield "</details>"


def _about(evaluation: Evaluation) -> Iterator[str]:
    def as_yaml(values: Mapping[str, Any]) -> str:
        return escape(yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True))

    yield f"<h2>Protocol</h2><pre>{as_yaml(evaluation.protocol)}</pre>"
    if evaluation.versions:
        yield f"<details><summary>Versions</summary><pre>{as_yaml(evaluation.versions)}</pre></details>"
