"""A whole manifest: what is done stays done, what changed is made anew, and a bad clip stops no other."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import segtalker.data.prepare_run as run_module
from segtalker.data.outcome import SCRATCH
from segtalker.data.prepare_run import OUTCOMES_NAME, prepare_rows, summary
from segtalker.data.shards import ShardReader
from segtalker.errors import DataError
from segtalker.storage import join, read_bytes, write_bytes
from tests.data.clips import CONFIG, blob_tools, blob_video, row_of


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    good = [blob_video(folder / f"{name}.mp4", 12) for name in ("ann", "bob")]
    (folder / "cut.mp4").write_bytes(good[0].read_bytes()[:300])
    return [*good, folder / "cut.mp4"]


@pytest.fixture(autouse=True)
def _blobs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_module, "load_tools", lambda cfg: blob_tools())


def test_a_run_says_what_came_of_every_clip_and_goes_on_where_it_stopped(videos, store):
    write_bytes(join(store, SCRATCH, "left", "half"), b"")
    rows = [row_of(video, identity=video.stem) for video in videos]
    told: list[tuple[int, int | None]] = []
    first = prepare_rows(rows[:1], CONFIG, store)
    outcomes = prepare_rows(rows, CONFIG, store, tell=lambda event: told.append((event.done, event.total)))
    assert [(o.clip, o.status) for o in outcomes] == [("ann", "done"), ("bob", "done"), ("cut", "failed")]
    assert outcomes[0] == first[0] and told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert len(ShardReader(store)) == sum(o.samples for o in outcomes)
    kept = [json.loads(line) for line in read_bytes(join(store, OUTCOMES_NAME)).splitlines()]
    assert [row["status"] for row in kept] == ["done", "done", "failed"]
    said = summary(outcomes)
    assert said.startswith("2 of 3 clips done") and "failed: cut: " in said and "2 people" in said


def test_a_changed_clip_replaces_its_former_samples_and_no_others(videos, store):
    rows = [row_of(video) for video in videos[:2]]
    prepare_rows(rows, CONFIG, store)
    prepare_rows([replace(rows[0], split="val")], CONFIG, store)
    reader = ShardReader(store)
    clips = sorted((row.provenance["clip"], row.split) for row in reader.rows)
    assert set(clips) == {("ann", "val"), ("bob", "train")}


def test_a_folder_of_another_configuration_is_refused(videos, store):
    prepare_rows([row_of(videos[0])], CONFIG, store)
    with pytest.raises(DataError, match="were prepared otherwise"):
        prepare_rows([row_of(videos[0])], replace(CONFIG, size=64), store)


def test_an_interrupted_run_keeps_what_is_done(videos, store, monkeypatch):
    prepare, seen = run_module.prepare_clip, []

    def stop_at_the_second(row, *rest):
        seen.append(row.clip)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return prepare(row, *rest)

    rows = [row_of(video) for video in videos[:2]]
    monkeypatch.setattr(run_module, "prepare_clip", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        prepare_rows(rows, CONFIG, store)
    assert len(read_bytes(join(store, OUTCOMES_NAME)).splitlines()) == 1
    assert len({row.provenance["clip"] for row in ShardReader(store).rows}) == 1


def _die(row: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _nothing(cfg: object, out: object) -> None: ...


def test_a_killed_worker_is_one_line_and_no_endless_wait(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "_work", _die)
    monkeypatch.setattr(run_module, "_start_worker", _nothing)
    with pytest.raises(DataError, match="a worker was killed.*run the same command again"):
        prepare_rows([row_of(video) for video in videos], CONFIG, tmp_path, workers=2)
