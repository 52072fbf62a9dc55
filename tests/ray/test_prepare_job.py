"""The preparation on a cluster gives what one machine gives, whatever happens to a worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from segtalker.data.prepare_run import prepare_rows
from segtalker.data.shards import ShardReader
from segtalker.errors import SegTalkerError
from tests.data.clips import CONFIG, blob_tools, blob_video, row_of

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    good = [blob_video(folder / f"{name}.mp4", 12) for name in ("ann", "bob", "eve")]
    (folder / "cut.mp4").write_bytes(good[0].read_bytes()[:300])
    return [*good, folder / "cut.mp4"]


def _run(marker: Path | None, always: bool = False):
    """`run_actors` with tools that see drawn blobs; with a `marker`, a worker dies, once or `always`."""
    from ray_jobs.prepare import Preparer, run_actors

    class BlobPreparer(Preparer):
        load = staticmethod(lambda cfg: blob_tools())

        def __call__(self, row: dict[str, str]) -> dict[str, str]:
            if marker is not None and "bob" in row["row"] and (always or not marker.exists()):
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(row)

    return lambda rows, cfg, out, workers: run_actors(rows, cfg, out, workers, BlobPreparer)


def test_a_killed_worker_loses_and_doubles_nothing(cluster, videos, tmp_path, monkeypatch):
    rows = [row_of(video, identity=video.stem) for video in videos]
    marker = tmp_path / "killed"
    outcomes = prepare_rows(rows, CONFIG, tmp_path / "out", 2, runner=_run(marker))
    assert marker.exists()
    assert [(o.clip, o.status) for o in outcomes] == [
        ("ann", "done"), ("bob", "done"), ("cut", "failed"), ("eve", "done"),
    ]  # fmt: skip
    assert len(ShardReader(tmp_path / "out")) == sum(outcome.samples for outcome in outcomes)

    monkeypatch.setattr("segtalker.data.prepare_run.load_tools", lambda cfg: blob_tools())
    alone = prepare_rows(rows, CONFIG, tmp_path / "alone")
    assert [o.key for o in alone] == [o.key for o in outcomes]
    first, second = (ShardReader(tmp_path / name) for name in ("out", "alone"))
    for i in range(len(first)):
        assert (first.read(i, "maps") == second.read(i, "maps")).all()


def test_a_clip_that_kills_its_workers_fails_and_the_others_are_done(cluster, videos, tmp_path):
    rows = [row_of(video, identity=video.stem) for video in videos[:3]]
    killing = _run(tmp_path / "killed", always=True)
    outcomes = prepare_rows(rows, CONFIG, tmp_path / "out", 2, runner=killing)
    assert [(o.clip, o.status) for o in outcomes] == [("ann", "done"), ("bob", "failed"), ("eve", "done")]
    assert "its worker died 3 times" in outcomes[1].reason


def test_a_manifest_may_name_videos_from_where_the_command_is_given(cluster, videos, tmp_path, monkeypatch):
    monkeypatch.chdir(videos[0].parent)
    (outcome,) = prepare_rows([row_of(Path("ann.mp4"))], CONFIG, tmp_path / "out", 1, runner=_run(None))
    assert outcome.status == "done"
    monkeypatch.setattr("segtalker.data.prepare_run.load_tools", lambda cfg: blob_tools())
    (here,) = prepare_rows([row_of(videos[0])], CONFIG, tmp_path / "here")
    assert outcome.key == here.key


def test_more_workers_than_the_cluster_holds_are_refused(cluster, videos, tmp_path):
    with pytest.raises(SegTalkerError, match="--workers 99: this cluster has 8 CPUs"):
        prepare_rows([row_of(videos[0])], CONFIG, tmp_path, 99, runner=_run(None))
    assert not list(tmp_path.iterdir())


def test_workers_are_told_where_files_are_wherever_they_stand(tmp_path, monkeypatch):
    from ray_jobs import prepare

    seen = []
    monkeypatch.setattr(prepare.cli_prepare, "run", lambda options, runner: seen.append(options) or 0)
    monkeypatch.chdir(tmp_path)
    assert prepare.main(["hdtf", "lists", "--videos", "videos", "--out", "s3://bucket/out"]) == 0
    assert seen[0].place == str(tmp_path / "lists") and seen[0].videos == str(tmp_path / "videos")
    assert seen[0].out == "s3://bucket/out"


def test_what_a_job_makes_may_not_lie_in_the_folder_that_goes_with_it(tmp_path, monkeypatch, capsys):
    from ray_jobs.prepare import main

    unpacked = tmp_path / "runtime_resources" / "working_dir_files" / "_ray_pkg_0"
    unpacked.mkdir(parents=True)
    monkeypatch.chdir(unpacked)
    assert main(["folder", str(tmp_path), "--out", "data"]) == 2
    assert "--out data: lies in the job's working directory" in capsys.readouterr().err


def test_a_mistake_is_one_line(tmp_path, capsys):
    from ray_jobs.prepare import main

    assert main(["folder", str(tmp_path), "--out", str(tmp_path / "out")]) != 0
    said = capsys.readouterr().err.strip()
    assert said.startswith("ray_jobs.prepare: ") and "no video in it" in said and "\n" not in said
