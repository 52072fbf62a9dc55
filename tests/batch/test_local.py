"""Workers on one machine: processes that may be killed, under a process that may be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from segtalker.batch.config import BatchConfig
from segtalker.batch.local import LocalWorkers
from segtalker.batch.rows import DubRow
from segtalker.batch.run import dub_rows
from segtalker.batch.tasks import Answer, Task
from segtalker.config import to_yaml
from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.errors import SegTalkerError, WeightsError
from tests.batch.dubs import BlobWorker, decoded, draw_rows, here, small_config


class DyingWorker(BlobWorker):
    """Dies on ann's dub the first time, on bob's every time."""

    def __call__(self, task: Task) -> Answer:
        marker = Path(self._out) / "killed"
        if task.row.id == "bob" or (task.row.id == "ann" and not marker.exists()):
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(task)


class HangingWorker(BlobWorker):
    """Sleeps for ever, as a decoder may."""

    def __call__(self, task: Task) -> Answer:
        with self._stall:
            time.sleep(600)
        return super().__call__(task)


def test_dead_workers_are_replaced_and_a_row_that_kills_them_is_given_up(tmp_path):
    cfg = small_config(tmp_path)
    rows = draw_rows(tmp_path, tmp_path / "out", 4, ("ann", "bob", "eve"))
    batch = BatchConfig(attempts=2, scratch=str(tmp_path / "scratch"))
    with LocalWorkers(cfg, batch, str(tmp_path / "out"), 1, DyingWorker) as runner:
        standing = dub_rows(rows, cfg, batch, tmp_path / "out", runner)
    assert [(o.id, o.state, o.attempts) for o in standing.outcomes] == [
        ("ann", "done", 2), ("bob", "failed", 2), ("eve", "done", 1),
    ]  # fmt: skip
    assert "its worker died" in standing.outcomes[1].reason


def test_a_worker_that_does_not_move_is_ended(tmp_path):
    cfg = small_config(tmp_path)
    rows = draw_rows(tmp_path, tmp_path / "out", 4, ("ann",))
    batch = BatchConfig(attempts=1, stall_s=1, scratch=str(tmp_path / "scratch"))
    with LocalWorkers(cfg, batch, str(tmp_path / "out"), 1, HangingWorker) as runner:
        (outcome,) = dub_rows(rows, cfg, batch, tmp_path / "out", runner).outcomes
    assert outcome.state == "failed" and "the video hangs" in outcome.reason
    assert not list((tmp_path / "scratch").glob("*/worker-*")), "its disk is cleared"


class UnbornWorker(BlobWorker):
    """Is killed, or runs out of something, while it loads its networks."""

    def __init__(self, cfg: DubConfig, batch: BatchConfig, out: str) -> None:
        with open(f"{out}.starts", "a") as file:
            file.write("!")
        if cfg.seed == 1:
            raise RuntimeError("CUDA out of memory")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("seed", "starts", "says"),
    [(0, 3, "died whenever it loaded its networks"), (1, 1, "cannot begin: RuntimeError: CUDA out of mem")],
)
def test_workers_that_cannot_begin_end_the_batch_before_it_writes(tmp_path, seed, starts, says):
    out = tmp_path / "out"
    with (
        pytest.raises(SegTalkerError, match=says),
        LocalWorkers(DubConfig(seed=seed), BatchConfig(), str(out), 2, UnbornWorker),
    ):
        raise AssertionError("it cannot begin")
    assert (tmp_path / "out.starts").read_text() == "!" * starts and not out.exists()


class WaitingWorker(BlobWorker):
    """Takes a while for every row but the first; tells which rows it was given."""

    def __init__(self, cfg: DubConfig, batch: BatchConfig, out: str) -> None:
        self._told = Path(out)

    def __call__(self, task: Task) -> Answer:
        (self._told / task.row.id).touch()
        time.sleep(60 * (task.row.id != "0"))
        return Answer(task=task.name)


def test_who_stops_listening_stops_the_workers(tmp_path):
    rows = [DubRow(id=str(number), video="", speech="", output="") for number in range(4)]
    tasks = [Task(row=row, kind="begin") for row in rows]
    with LocalWorkers(DubConfig(), BatchConfig(), str(tmp_path), 1, WaitingWorker) as runner:
        assert next(iter(runner(tasks))).task == "0/begin"
    assert multiprocessing.active_children() == []
    time.sleep(0.2)
    assert multiprocessing.active_children() == [] and not (tmp_path / "2").exists()


def test_missing_weights_end_the_batch_with_one_line(tmp_path):
    cfg = replace(small_config(tmp_path), tsg=NetworkConfig(weights=str(tmp_path / "none.safetensors")))
    rows = draw_rows(tmp_path, tmp_path / "out", 4, ("ann",))
    batch = BatchConfig(scratch=str(tmp_path / "scratch"))
    with (
        pytest.raises(WeightsError, match="none.safetensors"),
        LocalWorkers(cfg, batch, str(tmp_path / "out"), 1, BlobWorker) as runner,
    ):
        dub_rows(rows, cfg, batch, tmp_path / "out", runner)
    assert not (tmp_path / "out").exists()


_BATCH = """
import sys
from segtalker.batch.config import BatchConfig
from segtalker.batch.local import LocalWorkers
from segtalker.batch.rows import read_rows
from segtalker.batch.run import dub_rows
from segtalker.config import load_config
from segtalker.dub_config import DubConfig
from tests.batch.dubs import BlobWorker

if __name__ == "__main__":
    folder = sys.argv[1]
    cfg, out = load_config(DubConfig, f"{folder}/cfg.yaml"), f"{folder}/out"
    batch = BatchConfig(chunk_frames=8, scratch=f"{folder}/scratch")
    with LocalWorkers(cfg, batch, out, 1, BlobWorker) as runner:
        dub_rows(read_rows(f"{folder}/clips.jsonl", out), cfg, batch, out, runner)
"""


def test_after_a_kill_of_the_batch_nothing_is_lost_or_made_twice(tmp_path, monkeypatch):
    cfg = small_config(tmp_path)
    (tmp_path / "cfg.yaml").write_text(to_yaml(cfg))
    rows = draw_rows(tmp_path, tmp_path / "out", 24, ("ann", "bob"))
    script = tmp_path / "run.py"
    script.write_text(_BATCH)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment)
    work = tmp_path / "out" / ".work"
    try:
        end = time.monotonic() + 300
        while len(list(work.glob("*/segments-*"))) < 2:
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.wait()
    psutil.wait_procs(children, timeout=100)
    assert not any(child.is_running() for child in children), "workers end with their batch"
    monkeypatch.setattr("segtalker.batch.lease.LEASE_S", 1.0)  # the killed one left its lease
    kept = {path: path.stat().st_mtime_ns for path in work.glob("*/segments-*")}
    tasks: list[str] = []
    batch = BatchConfig(chunk_frames=8, scratch=str(tmp_path / "scratch"))
    noting = here(cfg, batch, tmp_path / "out", lambda task: tasks.append(task.name))
    standing = dub_rows(rows, cfg, batch, tmp_path / "out", noting)
    assert [(o.id, o.state) for o in standing.outcomes] == [("ann", "done"), ("bob", "done")]
    assert sum("segments" in name for name in tasks) == 6 - len(kept), "finished ranges are not made again"
    alone = tmp_path / "alone"
    whole = replace(rows[0], output=str(alone / "ann.mp4"))
    dub_rows([whole], cfg, replace(batch, chunk_frames=0), alone, here(cfg, batch, alone))
    assert np.array_equal(decoded(Path(rows[0].output)), decoded(Path(whole.output)))
    assert not list((tmp_path / "out").glob("**/*.part"))
