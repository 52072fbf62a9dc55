"""A result is a folder that reads back as it was written, and says what it lacks."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from segtalker.errors import DataError
from segtalker.evaluation.columns import REAL
from segtalker.evaluation.results import (
    RESULT_NAME,
    MethodResult,
    failures_csv,
    per_video_csv,
    read_evaluation,
    summary_csv,
    write_evaluation,
)
from tests.evaluation.made_up import VIDEOS, made_up


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_result_reads_back_as_it_was_written(tmp_path: Path):
    write_evaluation(made_up(), tmp_path)
    assert read_evaluation(tmp_path) == made_up()


def test_nan_is_stored_as_absent_in_json_that_any_reader_takes(tmp_path: Path):
    odd = replace(made_up(), methods=[MethodResult("odd", {"a": {"psnr": math.nan}}, {"fid": math.inf})])
    write_evaluation(odd, tmp_path)
    json.loads((tmp_path / RESULT_NAME).read_text(), parse_constant=pytest.fail)
    (read,) = read_evaluation(tmp_path).methods
    assert read.videos["a"]["psnr"] is None and read.whole["fid"] is None


def test_a_folder_without_a_result_is_one_line_with_the_remedy(tmp_path: Path):
    with pytest.raises(DataError, match="no result.json in it. Name a folder that 'segtalker evaluate run'"):
        read_evaluation(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 9}', '{"format": 1, "methods": [{}]}'])
def test_a_damaged_result_is_one_line_with_its_name(tmp_path: Path, text: str):
    (tmp_path / RESULT_NAME).write_text(text)
    with pytest.raises(DataError, match=rf"{RESULT_NAME}: not a result of an evaluation"):
        read_evaluation(tmp_path)


def test_the_table_of_videos_has_a_line_a_method_and_video_and_no_figures_of_the_set():
    rows = _rows(per_video_csv(made_up()))
    assert len(rows) == 4 * len(VIDEOS) - 1
    assert list(rows[0]) == ["method", "id", "f_lmd", "psnr", "expert_offset", "closure"]
    assert float(rows[0]["psnr"]) == 110.0 and rows[1]["closure"] == ""


def test_failures_are_listed_with_their_reasons():
    assert _rows(failures_csv(made_up())) == [{"method": "ours", "id": "clip5", "reason": "no video"}]


def test_the_summary_has_means_of_videos_and_figures_of_the_set():
    rows = {(row["method"], row["figure"]): row for row in _rows(summary_csv(made_up()))}
    theirs = rows["theirs", "psnr"]
    assert float(theirs["mean"]) == pytest.approx(28.0) and theirs["videos"] == "6"
    assert float(theirs["low"]) < 28.0 < float(theirs["high"])
    assert rows["ours", "fid"] == {
        "method": "ours", "figure": "fid", "mean": "12.0", "low": "", "high": "", "videos": "5",
    }  # fmt: skip
    assert rows["theirs", "closure"]["videos"] == "1" and rows["theirs", "closure"]["low"] == ""


def test_a_method_that_was_not_scored_is_named_with_those_that_were():
    with pytest.raises(DataError, match="no method 'our' was scored; there are 'real', 'copy the input', 'o"):
        made_up().method("our")
    assert made_up().method(REAL).whole["fid"] == 0.0
