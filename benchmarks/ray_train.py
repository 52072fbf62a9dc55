"""Does Ray Train slow a training down?

One Ray worker and `segtalker train` do the same training with one thread each, both warm, turn and turn
about: while one goes on, the other is stopped by a signal. Steps are counted in their logs, so that start-up
is left out and what else the machine does meets both. The smoke SyncNet, a checkpoint every 100 steps.

    steps_vs_plain  steps per second of the Ray worker over the plain process, median of pairs of turns
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks._ray import REPOSITORY, TRAINER, draw_people, submitted, until, workers
from benchmarks._report import log, main
from ray_jobs.local_cluster import LocalCluster, local_cluster
from segtalker.data.prepare import PrepareConfig
from segtalker.data.prepare_run import prepare_rows
from segtalker.data.quality import QualityConfig

_NETWORK = "syncnet"
_WARM_STEPS = 50


def run(quick: bool) -> dict[str, Any]:
    """The ratio, its spread over the pairs, and both speeds."""
    pairs, turn_s = (31, 1.5) if quick else (101, 3.0)
    with tempfile.TemporaryDirectory() as name, local_cluster(1, 2) as cluster:
        folder = Path(name)
        words = _words(_corpus(folder))
        plain = [
            sys.executable,
            "-m",
            "segtalker",
            "train",
            *words,
            "--out",
            str(folder / "plain"),
            "--quiet",
        ]
        alone = subprocess.Popen(plain, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
        try:
            with submitted(cluster, "ray_jobs.train", *words, "--storage", str(folder / "runs")):
                speeds = _take_turns(_ray_worker(cluster), psutil.Process(alone.pid), pairs, turn_s)
        finally:
            alone.kill()
            alone.wait()
    ratios = [ray / alone for ray, alone in speeds]
    ray, plain_speed = (statistics.median(column) for column in zip(*speeds, strict=True))
    return {
        "steps_vs_plain": round(statistics.median(ratios), 3),
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "pairs": pairs,
        "ray_steps_per_second": round(ray, 2),
        "plain_steps_per_second": round(plain_speed, 2),
    }


def _corpus(folder: Path) -> Path:
    """Two people for training and one held out."""
    log("drawing and preparing the clips ...")
    cfg = PrepareConfig(size=32, syncnet=None, quality=QualityConfig(min_s=0.4))
    prepare_rows(draw_people(folder, 2), cfg, folder / "corpus", workers=2)
    return folder / "corpus"


def _words(corpus: Path) -> list[str]:
    settings = [f"clips.folder={corpus}", "run.max_steps=1000000", "run.save_every=100", "run.log_every=1"]
    settings += ["run.validate_every=0", "run.picture_every=0", "run.threads=1"]
    words = [_NETWORK, f"configs/smoke/{_NETWORK}.yaml"]
    return [*words, *(word for setting in settings for word in ("--set", setting))]


def _ray_worker(cluster: LocalCluster) -> psutil.Process:
    return psutil.Process(until(lambda: workers(cluster, 0, TRAINER), "worker")[0])


def _take_turns(
    ray: psutil.Process, alone: psutil.Process, pairs: int, turn_s: float
) -> list[tuple[float, float]]:
    """Steps per second of both, a pair of turns each; who comes first alternates."""
    logs = {process: _metrics(process) for process in (ray, alone)}
    until(lambda: min(map(_steps, logs.values())) > _WARM_STEPS, "steps of both")
    speeds = []
    for process in logs:
        process.suspend()
    for number in range(pairs):
        found = {}
        for process in (ray, alone)[:: 1 if number % 2 else -1]:
            found[process] = _turn(process, logs[process], turn_s)
        speeds.append((found[ray], found[alone]))
        log(f"pair {number}: Ray {found[ray]:.2f}, plain {found[alone]:.2f} steps a second")
    for process in logs:
        process.resume()
    return speeds


def _turn(process: psutil.Process, metrics: Path, turn_s: float) -> float:
    process.resume()
    time.sleep(turn_s / 10)  # pages and caches come back
    before, started = _steps(metrics), time.perf_counter()
    time.sleep(turn_s)
    steps, elapsed = _steps(metrics) - before, time.perf_counter() - started
    process.suspend()
    return steps / elapsed


def _metrics(process: psutil.Process) -> Path:
    """The log that a training process has open."""

    def opened() -> Path | None:
        paths = (Path(file.path) for file in process.open_files())
        return next((path for path in paths if path.name == "metrics.jsonl"), None)

    return Path(until(opened, "log of the training"))


def _steps(metrics: Path) -> int:
    return metrics.read_bytes().count(b"\n")


if __name__ == "__main__":
    main(__doc__, run, targets={"steps_vs_plain": ">= 0.95"})
