"""Everything that a person reads of an evaluation, written into its folder."""

from __future__ import annotations

from segtalker.evaluation.page import result_page
from segtalker.evaluation.plots import bar_plots, scatter_plots
from segtalker.evaluation.results import Evaluation, write_evaluation
from segtalker.evaluation.tables import further_tables, paper_table, to_latex, to_markdown
from segtalker.storage import Uri, join, remove, write_bytes


def publish(evaluation: Evaluation, folder: Uri, title: str = "Evaluation") -> None:
    """Write tables (Markdown, LaTeX, HTML), plots, CSV files and `result.json`, each whole or not at all."""
    tables = [paper_table(evaluation), *further_tables(evaluation)]
    write_bytes(join(folder, "table.md"), "\n".join(map(to_markdown, tables)).encode())
    write_bytes(join(folder, "table.tex"), "\n".join(map(to_latex, tables)).encode())
    write_bytes(join(folder, "table.html"), result_page(evaluation, title).encode())
    remove(join(folder, "plots"))  # of figures that an earlier run had
    for name, picture in {**bar_plots(evaluation), **scatter_plots(evaluation)}.items():
        write_bytes(join(folder, "plots", name), picture.encode())
    write_evaluation(evaluation, folder)
