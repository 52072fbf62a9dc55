"""An evaluation on a cluster gives the numbers of one process, whatever happens to a worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from segtalker.evaluation.run import evaluate
from segtalker.evaluation.tasks import plan_tasks
from tests.dubbing import write_speech
from tests.evaluation.test_score import CHEAP, clip
from tests.evaluation.tiny import tiny_tools

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    for name in ("true", "ours", "speech"):
        (root / name).mkdir()
    for name, frames in (("ann", 20), ("bob", 24)):
        clip(root / "true" / f"{name}.mp4", frames=frames)
        clip(root / "ours" / f"{name}.mp4", lambda image, _: image // 2 * 2, frames=frames)
        write_speech(root / "speech" / f"{name}.wav", 0.8)
    return root


def _tasks(root: Path):
    from segtalker.evaluation.tasks import Truth

    return plan_tasks({"ours": str(root / "ours")}, Truth(str(root / "true"), speech=str(root / "speech")))


def _runner(marker: Path | None = None, always: bool = False):
    """`run_actors` with tools that see drawn blobs; with a `marker`, a worker dies, once or `always`."""
    from ray_jobs.evaluate import Scorer, run_actors

    class BlobScorer(Scorer):
        load = staticmethod(lambda protocol: tiny_tools())

        def __call__(self, row: dict[str, str]) -> dict[str, str]:
            dies = marker is not None and "bob" in row["pair"] and row["method"] == "ours"
            if dies and (always or not marker.exists()):
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(row)

    return lambda tasks, protocol, out, workers: run_actors(tasks, protocol, out, workers, BlobScorer)


def test_a_cluster_with_a_killed_worker_gives_the_numbers_of_one_process(
    cluster, folders, tmp_path, monkeypatch
):
    marker = tmp_path / "killed"
    there = evaluate(_tasks(folders), CHEAP, tmp_path / "there", 2, runner=_runner(marker))
    assert marker.exists()
    monkeypatch.setattr("segtalker.evaluation.run.load_tools", lambda protocol: tiny_tools())
    here = evaluate(_tasks(folders), CHEAP, tmp_path / "here")
    assert [result.method for result in there.methods] == [result.method for result in here.methods]
    for one, other in zip(there.methods, here.methods, strict=True):
        assert one.videos.keys() == other.videos.keys() == {"ann", "bob"} and not one.failures
        assert one.videos == other.videos and one.whole == other.whole


def test_a_video_that_kills_its_workers_fails_and_the_others_are_scored(cluster, folders, tmp_path):
    killing = _runner(tmp_path / "killed", always=True)
    result = evaluate(_tasks(folders), CHEAP, tmp_path / "out", 2, runner=killing).method("ours")
    assert list(result.videos) == ["ann"]
    assert [(failure.id, failure.reason[:26]) for failure in result.failures] == [
        ("bob", "its worker died 3 times: p")
    ]


def test_what_was_scored_is_found_again(cluster, folders, tmp_path, monkeypatch):
    out = tmp_path / "out"
    first = evaluate(_tasks(folders), CHEAP, out, 2, runner=_runner())
    records = {path: path.stat().st_mtime_ns for path in out.glob("records/*")}
    assert len(records) == 2 * 4  # two videos of ours, and the true ones, which are also the input
    monkeypatch.setattr("segtalker.evaluation.run.load_tools", lambda protocol: tiny_tools())
    again = evaluate(_tasks(folders), CHEAP, out)
    assert {path: path.stat().st_mtime_ns for path in out.glob("records/*")} == records
    assert again.method("ours").videos == first.method("ours").videos


def test_the_command_scores_as_the_local_one_does_elsewhere(tmp_path, monkeypatch):
    from ray_jobs import evaluate as job

    seen = []
    monkeypatch.setattr(job.cli_evaluate, "run", lambda *given: seen.append(given) or 0)
    monkeypatch.chdir(tmp_path)
    assert (
        job.main(
            ["run", "--method", "ours=made", "--references", "true", "--out", "result", "--workers", "2"]
        )
        == 0
    )
    ((options, runner, _),) = seen
    assert options.action == "run" and options.out == str(tmp_path / "result") and runner is job.run_actors


def test_a_mistake_is_one_line(tmp_path, capsys):
    from ray_jobs.evaluate import main

    assert main(["run", "--method", "ours", "--out", str(tmp_path / "out")]) != 0
    said = capsys.readouterr().err.strip()
    assert said.startswith("ray_jobs.evaluate: --method ours: expected NAME=PLACE") and "\n" not in said
