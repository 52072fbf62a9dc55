"""Inputs and outputs in buckets: fetched once a node, in bounded room, put whole."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segtalker import storage
from segtalker.batch.config import BatchConfig
from segtalker.batch.inputs import InputCache
from segtalker.batch.rows import read_rows
from segtalker.batch.run import dub_rows
from segtalker.errors import StorageError
from tests.batch.dubs import decoded, draw_rows, here, small_config


@pytest.fixture
def fetched(monkeypatch) -> list[str]:
    """A memory bucket with two files of 10 bytes; the list tells what was fetched."""
    names: list[str] = []

    def get(uri, local):
        names.append(str(uri).rpartition("/")[2])
        storage.get_file(uri, local)

    monkeypatch.setattr("segtalker.batch.inputs.get_file", get)
    for name in ("a.mp4", "b.mp4"):
        storage.write_bytes(f"memory://batch/{name}", name.encode() * 2)
    return names


def test_a_file_is_fetched_once_and_again_when_it_changes(fetched, tmp_path):
    cache = InputCache(tmp_path, 1000)
    for stamp in ("1", "1", "2"):
        with cache.file("memory://batch/a.mp4", stamp) as path:
            assert path.read_bytes() == b"a.mp4a.mp4" and path.suffix == ".mp4"
    assert fetched == ["a.mp4", "a.mp4"]


def test_a_local_file_is_used_where_it_is(fetched, tmp_path):
    with InputCache(tmp_path / "cache", 1000).file(f"file://{tmp_path}/x.mp4", "1") as path:
        assert path == tmp_path / "x.mp4"
    assert fetched == [] and not (tmp_path / "cache").exists()


def test_what_nobody_uses_makes_room_and_what_is_in_use_stays(fetched, tmp_path):
    cache = InputCache(tmp_path, 10)
    with cache.file("memory://batch/a.mp4", "1") as first:
        with cache.file("memory://batch/b.mp4", "1") as second:
            assert first.is_file() and second.is_file(), "both are in use"
        assert first.is_file()
    with cache.file("memory://batch/b.mp4", "2") as third:
        assert third.is_file() and not first.is_file() and not second.is_file()


def test_what_killed_processes_left_half_fetched_goes(fetched, tmp_path):
    old, new = tmp_path / ".x.mp4.0.part", tmp_path / ".y.mp4.0.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    with InputCache(tmp_path, 1000).file("memory://batch/a.mp4", "1"):
        assert not old.exists() and new.exists()


def test_what_is_not_there_is_said(fetched, tmp_path):
    with (
        pytest.raises(StorageError, match="none.mp4"),
        InputCache(tmp_path, 10).file("memory://batch/none.mp4", "1"),
    ):
        raise AssertionError("it is not there")
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_batch_between_buckets_equals_one_on_a_disk(store, tmp_path):
    cfg = small_config(tmp_path)
    rows = draw_rows(tmp_path, tmp_path / "out", 12, ("ann",))
    for path in (rows[0].video, rows[0].speech):
        storage.put_file(Path(path), f"{store}/in/{Path(path).name}")
    line = {"video": "ann.mp4", "speech": "ann.wav", "output": "deep/ann.mp4"}
    bad = {"video": "none.mp4", "speech": "ann.wav", "output": "none.mp4"}
    mixed = {"video": rows[0].video, "speech": "ann.wav", "output": f"{tmp_path}/mixed.mp4"}
    text = "\n".join(map(json.dumps, (line, bad, mixed)))
    storage.write_bytes(f"{store}/in/clips.jsonl", text.encode())
    batch = BatchConfig(chunk_frames=8, scratch=str(tmp_path / "scratch"))
    out = f"{store}/out"
    there = read_rows(f"{store}/in/clips.jsonl", out)
    made, failed, beside = dub_rows(there, cfg, batch, out, here(cfg, batch, out)).outcomes
    assert (made.state, made.chunks) == ("done", 2) and made.output == f"{out}/deep/ann.mp4"
    assert failed.state == "failed" and "none.mp4" in failed.reason and failed.attempts == 1
    assert (beside.state, beside.key) == ("done", made.key) and (tmp_path / "mixed.mp4").is_file()
    names = storage.list_files(out)
    assert [name for name in names if "work" not in name] == [
        "batch.yaml", "deep/ann.mp4", "deep/ann.report.json", "outcomes.csv", "outcomes.jsonl",
        "summary.html",
    ]  # fmt: skip
    told = json.loads(storage.read_bytes(f"{out}/deep/ann.report.json"))
    assert told["video"] == f"{store}/in/ann.mp4" and str(tmp_path / "scratch") not in json.dumps(told)
    again = dub_rows(there[:1], cfg, batch, out, here(cfg, batch, out)).outcomes
    assert [outcome.state for outcome in again] == ["found"]

    (here_too,) = dub_rows(
        rows, cfg, replace(batch, chunk_frames=0), tmp_path / "out", here(cfg, batch, tmp_path / "out")
    ).outcomes
    assert here_too.key == made.key
    storage.get_file(made.output, tmp_path / "fetched.mp4")
    assert np.array_equal(decoded(tmp_path / "fetched.mp4"), decoded(Path(rows[0].output)))
