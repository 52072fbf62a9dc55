"""Does anything get lost when a worker process, a node or the driver of a Ray job is killed?

On a cluster of two nodes with processes of their own, a preparation and a training are each struck by one
SIGKILL half-way: of a worker, of a node's raylet (its workers die with it, another node takes its place) or
of the job's driver (the same line is then submitted again). Ten times each, once with --quick.

    recovered             share of jobs that ended well, the trainings from the last committed checkpoint
    lost_clips            clips that are not there at the end, or not as the outcomes say
    duplicated_clips      clips that were made again although they were finished, or that are there twice
    train_max_difference  of any weight from an undisturbed training of as many workers
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from benchmarks._ray import (
    PREPARER,
    TRAINER,
    VICTIMS,
    committed_step,
    draw_people,
    finished_clips,
    run_job,
    starts,
    strike,
    submitted,
    until,
    workers,
)
from benchmarks._report import log, main, table
from ray_jobs.local_cluster import LocalCluster, local_cluster
from segtalker.data.manifest import write_manifest

_CPUS = 2
_CLIPS_EACH = 3
_STEPS, _SAVE_EVERY = 160, 20


def run(quick: bool) -> dict[str, Any]:
    """Counts over all strikes."""
    times = 1 if quick else 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = _draw(folder)
        with local_cluster(2, _CPUS) as cluster:
            corpus = folder / "corpus"
            _must(run_job(cluster, *_prepare_line(manifest, corpus)))
            _must(run_job(cluster, *_train_line(corpus, folder / "alone")))
            expected = _weights(folder / "alone")
            rows: list[dict[str, Any]] = []
            for number in range(times):
                for victim in VICTIMS:
                    place = folder / f"{victim}{number}"
                    prepared = _struck_preparation(cluster, victim, manifest, place / "clips")
                    trained = _struck_training(cluster, victim, corpus, place / "runs", expected)
                    rows.append({"victim": victim, **prepared, **trained})
                    table(rows[-1:])
    table(rows)
    jobs = [row[kind] for row in rows for kind in ("prepared", "trained")]
    return {
        "recovered": round(sum(jobs) / len(jobs), 3),
        "lost_clips": sum(row["lost"] for row in rows),
        "duplicated_clips": sum(row["duplicated"] for row in rows),
        "train_max_difference": max(row["difference"] for row in rows),
        "strikes": 2 * len(rows),
    }


def _draw(folder: Path) -> Path:
    """A manifest of short videos of a few people."""
    log("drawing the clips ...")
    write_manifest(draw_people(folder, _CLIPS_EACH), folder / "manifest.jsonl")
    return folder / "manifest.jsonl"


def _prepare_line(manifest: Path, out: Path) -> list[str]:
    line = ["ray_jobs.prepare", "manifest", str(manifest), "--out", str(out), "--workers", "2"]
    return line + _set("size=32", "syncnet=null", "quality.min_s=0.4")


def _train_line(corpus: Path, storage: Path) -> list[str]:
    line = ["ray_jobs.train", "syncnet", "configs/smoke/syncnet.yaml", "--storage", str(storage)]
    line += ["--workers", "2", "--cpus-per-worker", str(_CPUS)]
    steps = (f"run.max_steps={_STEPS}", f"run.save_every={_SAVE_EVERY}", "run.validate_every=0")
    return line + _set(f"clips.folder={corpus}", *steps, "run.picture_every=0")


def _set(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def _struck_preparation(cluster: LocalCluster, victim: str, manifest: Path, out: Path) -> dict[str, int]:
    line = _prepare_line(manifest, out)
    log(f"preparing; the {victim} will be killed")
    with submitted(cluster, *line) as job:
        until(lambda: workers(cluster, 0, PREPARER) and workers(cluster, 1, PREPARER), "workers", job)
        until(lambda: finished_clips(out), "finished clip", job)
        strike(cluster, victim, PREPARER)
        before = finished_clips(out)
        code = job.wait(280)
    again = run_job(cluster, *line)[0] if victim == "driver" and code else code
    after = finished_clips(out)
    file = out / "outcomes.jsonl"
    done = [json.loads(row) for row in file.read_text().splitlines()] if file.is_file() else []
    keys = {row["key"] for row in done if row["status"] == "done"}
    copies = Counter(name.rpartition("-")[0] for name in after)
    wanted = len(manifest.read_text().splitlines())
    return {
        "prepared": int(again == 0 and len(before) < wanted),
        "lost": wanted - len(keys & set(after)) + len(set(before) - set(after)),
        "duplicated": sum(count - 1 for count in copies.values())
        + sum(after.get(name, seal) != seal for name, seal in before.items()),
    }


def _struck_training(
    cluster: LocalCluster, victim: str, corpus: Path, storage: Path, expected: dict[str, Tensor]
) -> dict[str, float]:
    line = _train_line(corpus, storage)
    log(f"training; the {victim} will be killed")
    with submitted(cluster, *line) as job:
        committed = until(lambda: committed_step(storage), "committed checkpoint", job)
        strike(cluster, victim, TRAINER)
        code = job.wait(280)
    again = run_job(cluster, *line)[0] if victim == "driver" and code else code
    begun = starts(storage)
    # Checkpoints that were reported before the strike may still be committed after it.
    went_on = len(begun) == 2 and committed <= begun[1] < _STEPS
    found = _weights(storage) if again == 0 else {}
    missing = float("inf")
    return {
        "trained": int(again == 0 and went_on),
        "from_step": begun[-1] if begun else 0,
        "difference": max(
            (float((found[name] - value).abs().max()) if name in found else missing)
            for name, value in expected.items()
        ),
    }


def _weights(storage: Path) -> dict[str, Tensor]:
    return load_file(next(storage.glob("*/syncnet.safetensors")))


def _must(job: tuple[int, str]) -> None:
    code, printed = job
    if code:
        raise RuntimeError(f"an undisturbed job failed:\n{printed}")


if __name__ == "__main__":
    goals = {"recovered": "== 1", "lost_clips": "== 0", "duplicated_clips": "== 0"}
    main(__doc__, run, targets={**goals, "train_max_difference": "<= 1e-5"})
