"""Rows are worked off to the last in rounds; needs no cluster."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.ray


def test_rows_without_an_answer_come_back_and_an_answer_that_comes_twice_counts_once(monkeypatch, capsys):
    from ray_jobs import rounds
    from ray_jobs.pool import Pool

    handed: list[list[str]] = []

    def run_round(rows, *told):
        handed.append([row["key"] for row in rows])
        for row in rows:
            if row["key"] == "twice":  # as after a node was lost that had answered
                yield row
            if row["key"] in ("plain", "twice") or (row["key"] == "late" and len(handed) == 2):
                yield row

    monkeypatch.setattr(rounds, "run_round", run_round)
    rows = {name: {"key": name} for name in ("plain", "twice", "late", "never")}
    found = list(rounds.run_rounds(rows, None, (), Pool(1, 1), "job", lambda answer: answer["key"]))
    assert sorted(name for name, _ in found) == ["late", "never", "plain", "twice"]
    assert [name for name, answer in found if answer is None] == ["never"]
    assert handed == [["plain", "twice", "late", "never"], ["late", "never"], ["never"]]
    assert "job: workers died on 2 rows: once more" in capsys.readouterr().err
