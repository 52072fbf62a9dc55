"""How far a batch is, in figures and on its page."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from segtalker.batch.books import Books
from segtalker.batch.outcome import Outcome
from segtalker.batch.standing import Standing, in_words
from segtalker.batch.summary import progress_line, render_page, summary_lines
from segtalker.progress import Progress

DONE = Outcome(id="a", state="done", num_frames=50, duration_s=2.0, frames={"synthesized": 40})
FAILED = Outcome(id="b", state="failed", reason="<b>: no <film>", attempts=3)


def standing(*outcomes: Outcome, total: int = 10, moving: float = 0.0, is_over: bool = False) -> Standing:
    return Standing(total, outcomes, moving, 100.0, is_over)


def test_the_estimate_counts_what_this_run_has_worked_on():
    found = [replace(DONE, id=f"f{i}", state="found") for i in range(4)]
    assert standing(*found).remaining_s is None
    assert standing(*found, DONE, FAILED).remaining_s == pytest.approx(4 * 50)
    assert standing(*found, DONE, FAILED, moving=0.5).remaining_s == pytest.approx(3.5 * 40)
    assert standing(DONE, total=1).remaining_s == 0.0
    assert standing(*found, DONE, FAILED).rows_per_hour == pytest.approx(72)
    assert standing(*found, DONE).video_speed == pytest.approx(0.02)


def test_the_page_stands_alone_and_says_what_went_wrong():
    page = render_page(standing(DONE, FAILED))
    assert "Batch running: 2 of 10 rows" in page and 'http-equiv="refresh"' in page
    assert "&lt;b&gt;: no &lt;film&gt;" in page and "about left" in page
    for foreign in ("http://", "https://", "src=", "<script", "@import", "url("):
        assert foreign not in page
    timed = replace(DONE, timings_s={"sgi": 5.0})
    assert "<td>sgi</td>" in render_page(standing(timed))
    assert "<td>sgi</td>" not in render_page(standing(replace(timed, state="found"))), "of an earlier run"
    over = render_page(standing(DONE, total=1, is_over=True))
    assert "Batch finished: 1 of 1 rows" in over and "refresh" not in over
    assert "Batch stopped" in render_page(standing(DONE, is_over=True))


def test_a_terminal_gets_the_first_reasons():
    many = [replace(FAILED, id=f"b{i}") for i in range(8)]
    lines = summary_lines(standing(DONE, *many, total=9, is_over=True)).splitlines()
    assert lines[0] == "9 rows: 1 done, 0 found, 8 failed"
    assert len([line for line in lines if line.startswith("failed: b")]) == 5 and "3 more" in lines[-1]


def test_a_log_gets_a_line_with_pace_and_what_is_left(tmp_path, monkeypatch, caplog):
    assert progress_line(standing()) == "0 of 10 rows ended, 0 failed; 0 rows/h, time left not known yet"
    line = "2 of 10 rows ended, 1 failed; 72 rows/h, about 6 min 40 s left"
    assert progress_line(standing(DONE, FAILED)) == line
    monkeypatch.setattr("segtalker.batch.books._EVERY_S", 0.02)
    monkeypatch.setattr("segtalker.batch.books._SAID_EVERY_S", 0.04)
    caplog.set_level("INFO", "segtalker.batch")
    with Books(["a"], tmp_path, lambda event: None):
        end = time.monotonic() + 30
        while not any(record.name == "segtalker.batch.pace" for record in caplog.records):
            assert time.monotonic() < end
            time.sleep(0.01)
    assert caplog.messages[0] == f"1 rows; progress: {tmp_path}/summary.html"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(41.6, "42 s"), (185, "3 min 05 s"), (7810, "2 h 10 min"), (93600, "1 d 02 h"), (3599.7, "1 h 00 min")],
)
def test_spans_of_time_are_words(seconds, words):
    assert in_words(seconds) == words


def test_the_table_is_there_amid_the_batch_and_in_the_order_of_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("segtalker.batch.books._EVERY_S", 0.02)
    told: list[Progress] = []
    with Books(["a", "b"], tmp_path, told.append) as books:
        books.add(FAILED)
        table, page = tmp_path / "outcomes.jsonl", tmp_path / "summary.html"
        end = time.monotonic() + 30
        while "Batch running: 1 of 2 rows" not in page.read_text():  # the page is written after the table
            assert time.monotonic() < end
            time.sleep(0.01)
        assert json.loads(table.read_text())["id"] == "b"
        books.add(DONE)
    assert [json.loads(line)["id"] for line in table.read_text().splitlines()] == ["a", "b"]
    assert [(event.done, event.total) for event in told] == [(0, 2), (1, 2), (2, 2)]
