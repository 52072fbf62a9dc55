"""Two runs are compared video by video: chance is told apart, and what got worst is named."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segtalker.errors import DataError
from segtalker.evaluation.compare import compare, names_of
from segtalker.evaluation.comparison_page import to_csv, to_html, to_markdown, write_comparison
from segtalker.evaluation.results import Evaluation, MethodResult
from tests.evaluation.made_up import made_up


def _run(shift: float = 0.0, noise: float = 0.2, videos: int = 12, name: str = "ours") -> Evaluation:
    rng = np.random.default_rng(round(abs(shift) * 100) + videos)
    figures = {
        f"v{i:02d}": {
            "psnr": 30 + i * 0.1 + shift + noise * rng.normal(),
            "f_lmd": 2 + i * 0.01,
            "odd": 1.0 + i,
        }
        for i in range(videos)
    }
    return Evaluation({"size": 256, "seed": 0}, [MethodResult(name, figures, {"fid": 10.0 - shift})])


def _verdicts(first: Evaluation, second: Evaluation) -> dict[str, str]:
    return {found.column.name: found.verdict for found in compare(("a", first), ("b", second)).figures}


def test_a_clear_gain_is_better_a_loss_is_worse_and_no_change_is_not_told_apart():
    assert _verdicts(_run(), _run(1.0)) == {"psnr": "better", "f_lmd": "not told apart", "odd": ""}
    assert _verdicts(_run(), _run(-1.0))["psnr"] == "worse"
    assert _verdicts(_run(0.0, noise=3.0), _run(0.02, noise=3.0))["psnr"] == "not told apart"


def test_a_difference_is_second_minus_first_with_an_interval_around_it():
    (psnr, *_) = [f for f in compare(("a", _run()), ("b", _run(1.0))).figures if f.column.name == "psnr"]
    difference = psnr.difference
    assert difference.mean == pytest.approx(psnr.second - psnr.first) == pytest.approx(1.0, abs=0.2)
    assert difference.low is not None and difference.high is not None
    assert difference.low < difference.mean < difference.high and difference.videos == 12


def test_many_figures_are_corrected_for():
    found = compare(("a", _run()), ("b", _run(1.0))).figures
    psnr = next(f for f in found if f.column.name == "psnr")
    assert psnr.p_corrected == pytest.approx(3 * (psnr.difference.p_value or 0))


def test_the_videos_that_got_worst_come_first_with_the_figure_that_did():
    second = _run()
    videos = {video: dict(figures) for video, figures in second.methods[0].videos.items()}
    videos["v03"]["f_lmd"], videos["v07"]["f_lmd"] = 9.0, 4.0
    second = replace(second, methods=[replace(second.methods[0], videos=videos)])
    worst = compare(("a", _run()), ("b", second)).worst
    assert [video.id for video in worst] == ["v03", "v07"]
    assert worst[0].figure.name == "f_lmd" and worst[0].second == 9.0


def test_videos_that_only_one_has_are_left_out_and_told():
    first, second = _run(videos=12), _run(videos=10)
    result = compare(("a", first), ("b", second))
    assert {found.difference.videos for found in result.figures} == {10}
    assert result.notes == [
        "2 videos of 'ours (a)' have no figures for 'ours (b)' and are left out; "
        "the first, 'v10': it was not among its videos."
    ]


def test_two_methods_of_one_run_are_compared_by_name():
    run = ("run", made_up())
    result = compare(run, run, ("theirs", "ours"))
    assert result.first.method == "theirs" and result.second.method == "ours"
    verdicts = {found.column.name: found.verdict for found in result.figures}
    assert verdicts["psnr"] == "not told apart"  # of five videos no p-value can be below 2 / 32
    assert any("'clip5': no video" in note for note in result.notes)
    assert [(column.name, a, b) for column, a, b in result.whole] == [("fid", 20.0, 12.0)]


def test_several_methods_without_a_choice_and_no_shared_video_are_refused():
    with pytest.raises(DataError, match=r"run: holds 2 methods \('ours', 'theirs'\)\. Say which"):
        compare(("run", made_up()), ("run", made_up()))
    other = Evaluation({"size": 256}, [MethodResult("ours", {"elsewhere": {"psnr": 1.0}})])
    with pytest.raises(DataError, match="no video was scored for both"):
        compare(("a", _run()), ("b", other))


def test_runs_under_protocols_that_measure_otherwise_are_refused():
    other = replace(_run(), protocol={"size": 128, "seed": 0})
    with pytest.raises(
        DataError, match=r"a and b were scored under different protocols \(size: 256 and 128\)"
    ):
        compare(("a", _run()), ("b", other))
    stated = replace(_run(), protocol={"size": 256, "seed": 5, "codec": "H.265", "made": {"x": 1}})
    assert compare(("a", _run()), ("b", stated)).figures


def test_other_networks_are_told():
    first, second = (replace(_run(), versions={"network of lpips": net}) for net in ("x", "y"))
    assert compare(("a", first), ("b", second)).notes == [
        "The network of lpips differs between the two: figures by it do not compare."
    ]


def test_runs_are_named_by_where_they_differ():
    assert names_of("runs/a/", "runs/b") == ("a", "b")
    assert names_of("x/eval", "y/eval") == ("x/eval", "y/eval")


def test_a_comparison_is_written_as_text_table_and_page(tmp_path: Path):
    result = compare(("a", _run()), ("b", _run(1.0)))
    write_comparison(result, tmp_path)
    rows = {row["figure"]: row for row in csv.DictReader(io.StringIO((tmp_path / "compare.csv").read_text()))}
    assert rows["psnr"]["verdict"] == "better" and rows["psnr"]["videos"] == "12"
    assert (tmp_path / "compare.md").read_text() == to_markdown(result)
    text = to_markdown(result)
    assert "| PSNR ↑ |" in text and "| better |" in text and "| FID ↓ | 10.000 | 9.000 | -1.000 |" in text
    assert "ours (b) (second) against ours (a) (first)" in to_html(result) and "<svg" in to_html(result)
    assert to_csv(result) == (tmp_path / "compare.csv").read_text()
