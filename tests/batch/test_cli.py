"""The command `segtalker batch`: what it refuses, what it prints, and with which code it ends."""

from __future__ import annotations

import argparse
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from segtalker import cli_batch
from segtalker.batch.lease import Lease
from segtalker.cli import main
from segtalker.dub_config import DubConfig
from segtalker.errors import StorageError
from tests.batch.dubs import draw_rows, here, small_config


def batch(words: list[str], cfg: DubConfig, tmp_path: Path, quiet: bool = True) -> int:
    """The command with a worker in this process that finds drawn faces."""
    parser = argparse.ArgumentParser()
    cli_batch.add_arguments(parser)
    return cli_batch.run(
        parser.parse_args([*words, *["--quiet"] * quiet, "--scratch", str(tmp_path / "scratch")]),
        lambda rows, _, batch, out: nullcontext(here(cfg, batch, out)),
    )


def test_it_says_what_came_of_the_rows(tmp_path, capsys):
    draw_rows(tmp_path, tmp_path, 4, ("ann", "bob"))
    (tmp_path / "bob.mp4").write_bytes(b"no film")
    words = [str(tmp_path / "clips.jsonl"), "--out", str(tmp_path / "out")]
    cfg = small_config(tmp_path)
    assert batch(words, cfg, tmp_path) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "2 rows: 1 done, 0 found, 1 failed" and "rows/h" in said[1]
    assert said[2].startswith("failed: bob: ") and "bob.mp4" in said[2]
    assert said[3] == f"outcomes: {tmp_path}/out/outcomes.csv, {tmp_path}/out/summary.html"
    assert batch([*words, "--strict"], cfg, tmp_path) == 1
    assert "2 rows: 0 done, 1 found, 1 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--workers", "2:8"], 2, "on one machine, give a number"),
        (["--stall", "0"], 2, "--stall 0: must be at least 1 second"),
        (["--cache-gb", "nan"], 2, "--cache-gb nan: must be at least 0"),
        (["--attempts", "0"], 2, "--attempts 0: must be at least 1"),
        (["--chunk-frames", "-1"], 2, "--chunk-frames -1"),
        (["--set", "sync_mod=loop"], 2, "did you mean 'sync_mode'"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(tmp_path, capsys, words, code, says):
    draw_rows(tmp_path, tmp_path, 4, ("ann",))
    assert main(["batch", str(tmp_path / "clips.jsonl"), "--out", str(tmp_path / "out"), *words]) == code
    said = capsys.readouterr().err.strip()
    assert said.startswith("segtalker batch: ") and says in said and "\n" not in said
    assert not (tmp_path / "out").exists()


def test_a_second_batch_is_refused_before_it_begins_workers(tmp_path):
    draw_rows(tmp_path, tmp_path, 4, ("ann",))
    parser = argparse.ArgumentParser()
    cli_batch.add_arguments(parser)
    out = tmp_path / "out"
    words = parser.parse_args([str(tmp_path / "clips.jsonl"), "--out", str(out), "--quiet"])

    @contextmanager
    def workers(*told):
        raise AssertionError("workers were begun")
        yield

    with Lease(out), pytest.raises(StorageError, match="works there. Wait until it ends"):
        cli_batch.run(words, workers)


def test_a_check_touches_nothing(tmp_path, capsys):
    draw_rows(tmp_path, tmp_path, 4, ("ann",))
    assert main(["batch", str(tmp_path / "clips.jsonl"), "--out", str(tmp_path / "out"), "--check"]) == 0
    assert "1 row; settings are right" in capsys.readouterr().out and not (tmp_path / "out").exists()


def test_a_check_names_the_rows_that_would_fail(tmp_path, capsys):
    draw_rows(tmp_path, tmp_path, 4, ("ann",))
    manifest = tmp_path / "rows.csv"
    manifest.write_text(
        "id,video,speech,options\nann,ann.mp4,ann.wav,\ntypo,ann.mp4,ann.wav,sync_mod=loop\n"
        "gone,gone.mp4,ann.wav,\n"
    )
    assert main(["batch", str(manifest), "--out", str(tmp_path / "out"), "--check"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("would fail: typo: ") and "did you mean 'sync_mode'" in said[0]
    assert said[1].startswith("would fail: gone: ") and "gone.mp4" in said[1]
    assert said[2] == f"{manifest}: 3 rows; 2 would fail."


def test_it_says_at_once_where_to_look(tmp_path, capsys):
    draw_rows(tmp_path, tmp_path, 4, ("ann",))
    words = [str(tmp_path / "clips.jsonl"), "--out", str(tmp_path / "out")]
    assert batch(words, small_config(tmp_path), tmp_path, quiet=False) == 0
    assert f"1 rows; progress: {tmp_path}/out/summary.html" in capsys.readouterr().err


def test_help_shows_a_manifest(capsys):
    with pytest.raises(SystemExit):
        main(["batch", "--help"])
    said = capsys.readouterr().out
    assert "id,video,speech,output,speaker,options" in said and "example: segtalker batch" in said
