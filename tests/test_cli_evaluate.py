"""`segtalker evaluate`: what is wrong is one line before any work, and results are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtalker.cli import main
from segtalker.errors import ConfigError, DataError
from segtalker.evaluation import run, scoring
from segtalker.evaluation.results import read_evaluation, write_evaluation
from tests.dubbing import talking_clip, write_speech
from tests.evaluation.fake_score import FakeTools
from tests.evaluation.made_up import made_up


def _says(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and what stands on standard error, which is one line."""
    code = main(words)
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return code, said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An output and its reference, as far as names go."""
    for name in ("ours", "true"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mp4").write_text(name)
    return tmp_path


def test_a_run_scores_folders_into_a_result(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    fake = FakeTools()
    monkeypatch.setattr(run, "load_tools", lambda protocol: fake)
    monkeypatch.setattr(scoring, "score_row", fake.score)
    words = ["--method", f"ours={folder}/ours", "--references", f"{folder}/true", "--set", "max_frames=9"]
    assert main(["evaluate", "run", *words, "--out", str(folder / "out"), "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "ours: 1 scored, 0 failed" in shown and f"{folder}/out/table.html" in shown
    result = read_evaluation(folder / "out")
    assert result.protocol["max_frames"] == 9 and set(result.method("ours").videos) == {"a"}


@pytest.mark.parametrize(
    ("words", "why", "code"),
    [
        (["--method", "ours"], "--method ours: expected NAME=PLACE", ConfigError.exit_code),
        (["--method", "x={f}/ours", "--method", "x={f}/ours"], "'x' is named twice", ConfigError.exit_code),
        (["--method", "real={f}/ours"], "cannot be called 'real'", DataError.exit_code),
        (["--method", "ours={f}/absent"], "there is no such folder", DataError.exit_code),
        (["--method", "ours={f}/ours", "--references", "{f}/none"], "no video of this name", None),
        (["--method", "ours={f}/ours", "--set", "crpo=own"], "did you mean 'crop'?", ConfigError.exit_code),
        (["--method", "ours={f}/ours", "--set", "metrics=[psnr]"], "unknown 'psnr'", ConfigError.exit_code),
        (["--method", "ours={f}/p.jsonl"], "line 1: not a pair: no 'output'", DataError.exit_code),
    ],
)
def test_a_mistake_is_one_line_before_any_work(
    folder: Path, words: list[str], why: str, code: int | None, capsys: pytest.CaptureFixture[str]
):
    (folder / "p.jsonl").write_text('{"id": "a"}\n')
    (folder / "none").mkdir()
    (folder / "none" / "other.mp4").write_text("x")
    given = [word.format(f=folder) for word in words]
    found, said = _says(["evaluate", "run", *given, "--out", str(folder / "out"), "--quiet"], capsys)
    assert why in said and found == (code or DataError.exit_code)
    assert not (folder / "out").exists()


def test_two_methods_of_a_result_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_evaluation(made_up(), tmp_path / "a")
    place = str(tmp_path / "a")
    words = ["evaluate", "compare", place, place, "--methods", "ours", "theirs", "--out", str(tmp_path / "c")]
    assert main(words) == 0
    assert "theirs (second) against ours (first)" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "c").iterdir()} == {"compare.md", "compare.csv", "compare.html"}


def test_a_comparison_of_what_is_no_result_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    _, said = _says(["evaluate", "compare", str(tmp_path), str(tmp_path)], capsys)
    assert "no result.json in it" in said


def test_another_method_is_run_and_told_how_to_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    talking_clip(tmp_path / "v.mp4", 4)
    write_speech(tmp_path / "s.wav", 0.2)
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        '{"id": "a", "video": "v.mp4", "speech": "s.wav"}\n{"id": "b", "video": "n", "speech": "s.wav"}\n'
    )
    out = tmp_path / "copied"
    assert main(["evaluate", "methods", "copy", str(rows), "--out", str(out), "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "copy: 1 of 2 videos" in shown and "failed: b: " in shown
    assert f"segtalker evaluate run --method copy={out}/pairs.jsonl" in shown and (out / "a.mp4").is_file()


def test_a_method_without_its_checkout_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code, said = _says(["evaluate", "methods", "wav2lip", "rows.jsonl", "--out", str(tmp_path)], capsys)
    assert "wav2lip: name the folder of its code (--checkout)" in said and code == ConfigError.exit_code


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["self", "{f}/data"], "manifest.jsonl"),
        (["cross", "{f}/data", "--out", "s3://bucket/out"], "name one that all workers see"),
        (["self", "{f}/data", "--variant", ":a=b"], "each needs a name of its own"),
        (
            ["self", "{f}/data", "--variant", "x:paste.detail_tranfer=false"],
            "did you mean 'paste.detail_transfer'",
        ),
        (["self", "{f}/data", "--clips", "-1"], "must not be negative"),
        (["self", "{f}/data", "--dub-set", "sgi.weigths=x"], "did you mean 'sgi.weights'"),
    ],
)
def test_a_mistake_in_a_driven_run_is_one_line(
    tmp_path: Path, words: list[str], why: str, capsys: pytest.CaptureFixture[str]
):
    given = [word.format(f=tmp_path) for word in words]
    out = [] if "--out" in given else ["--out", str(tmp_path / "out")]
    _, said = _says(["evaluate", *given, *out, "--quiet"], capsys)
    assert why in said
