"""The benchmark of published weights: what it measures of a file, and how it sums up."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import weights
from benchmarks._weights import Passage, Subject, bring_in, compare, write
from segtalker.errors import SegTalkerError, WeightsError
from segtalker.weights.registry import ROWS, rows_of

SPEECH = Subject("avhubert_base", "speech", full=False)
FIGURES = ("max_error", "rows_without_test", "load_seconds_1024", "peak_memory_ratio")


@pytest.mark.slow
def test_the_table_and_its_figures_are_of_the_rows_of_the_registry(monkeypatch, capsys):
    """Each step in its own process; the files of the 1024 px generator are left out."""
    monkeypatch.setattr(weights, "ROWS", rows_of("speech") + rows_of("iris_landmark"))
    monkeypatch.setattr(weights, "passed", lambda subject: (1000, [Passage(1, 2, 1100)]))
    figures = weights.run(quick=True)
    assert set(FIGURES) <= figures.keys() and figures["rows"] == 3 and figures["rows_without_test"] == 0
    assert 0 < figures["max_error"] < 1e-4 and figures["max_error_of"].startswith("avhubert_")
    assert figures["used_as_published"] == "iris_landmark"
    shown = capsys.readouterr().err
    lines = [line.split() for line in shown.splitlines() if line.startswith("avhubert_large ")]
    assert lines[-1][1:3] == ["312910976", "395"]
    peak_mb = float(lines[-1][-1])
    assert 1 < peak_mb < 100  # the network has 2 MB, what torch loads for its first steps some 20


def test_a_file_is_measured_and_compared(tmp_path: Path):
    size = write(SPEECH, tmp_path / "published")
    assert size == (tmp_path / "published").stat().st_size > 1e6
    passage = bring_in(SPEECH, tmp_path / "published", tmp_path / "ours")
    assert passage.import_s > 0 and passage.load_s > 0 and passage.peak_bytes >= 0
    error, spread = compare(SPEECH, tmp_path / "ours")
    assert 0 < error < 1e-4 and spread > 1


def test_a_file_that_is_taken_for_another_is_not_measured(tmp_path: Path):
    write(SPEECH, tmp_path / "published")
    with pytest.raises(WeightsError, match="looks like avhubert, not like avhubert_large"):
        bring_in(Subject("avhubert_large", "speech", True), tmp_path / "published", tmp_path / "ours")


def test_the_slower_layout_and_the_worst_memory_count(monkeypatch):
    costs = {
        False: (1000, [Passage(1.0, 0.5, 700), Passage(3.0, 0.5, 900), Passage(2.0, 0.25, 800)]),
        True: (500, [Passage(1.0, 0.5, 300), Passage(1.0, 0.5, 600), Passage(9.0, 0.5, 500)]),
    }
    monkeypatch.setattr(weights, "passed", lambda subject: costs[subject.port])
    layouts = [Subject(weights.GENERATOR, "generator", True, port) for port in (False, True)]
    quick = weights.generator_figures(layouts, [])
    assert (quick["load_seconds_1024_import"], quick["load_seconds_1024_load"]) == (2.0, 0.5)
    assert (quick["load_seconds_1024"], quick["load_seconds_1024_range"]) == (2.5, "1.50..9.50")
    assert (quick["peak_memory_ratio"], quick["largest_other_file"]) == (1.2, "not run")
    rows = [
        {"network": weights.GENERATOR, "file_mb": 400.0, "peak_mb": 4000.0},
        {"network": "e4s", "file_mb": 300.0, "peak_mb": 450.0},
        {"network": "bisenet", "file_mb": 50.0, "peak_mb": 100.0},
    ]
    full = weights.generator_figures(layouts, rows)
    assert (full["peak_memory_ratio"], full["largest_other_file"]) == (1.5, "e4s")


@pytest.mark.slow
def test_a_row_that_pytest_finds_no_test_for_is_named(monkeypatch):
    rows = [row.name for row in ROWS]
    assert weights.rows_without_test([*rows, "stylegan3_ffhq"]) == ["stylegan3_ffhq"]
    monkeypatch.setattr(weights, "TESTS", weights.TESTS[:1])
    assert weights.rows_without_test(rows) == [row.name for row in ROWS if row.network is None]
    monkeypatch.setattr(weights, "TESTS", ("test_cases.py::test_of_nothing",))
    with pytest.raises(SegTalkerError, match="test_of_nothing: pytest cannot collect them"):
        weights.rows_without_test(rows)


def test_goals_are_those_of_the_figures():
    assert set(weights.TARGETS) == set(FIGURES)
