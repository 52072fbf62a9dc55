"""Does a batch on a cluster keep its workers busy, and lose or double nothing when they are killed?

Short clips of talking heads with the shipped networks, on a cluster of two nodes with processes of their own
and as many workers as this machine has cores, against a pool of as many processes that each load the networks
once and call `SegTalker.dub`, with one thread each.

    throughput_vs_parallel_local  rows per second of the batch over those of the pool, both warm: the first
                                  rows of each run are left out; median of interleaved pairs
    lost_rows                     after SIGKILL of a worker, of a node and of the driver (whose line is given
                                  again): good rows without output, or not told of as done or found
    duplicated_rows               outputs that were made again although they were finished
    differing_frames              decoded frames of all outputs that differ from the dubs by hand
    corrupt_reported              share of the damaged rows that failed with a reason that names the file
    split_differing_frames        of a video in 20 ranges on any worker, against the dub in one piece
    split_duration_error          seconds by which any of its frames, or the end of its sound, is elsewhere
    peak_memory_growth            peak memory of a worker that makes a video of four times the length, in
                                  ranges of the same length, over that of one that makes it once

200 short clips in five pairs of 40, 60 for every kill, and a video of 5 minutes; with --quick three pairs
of 20, 10 for every kill, ranges of a second and 20 s.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks._batch import (
    ByHand,
    Corpus,
    count_differing,
    duration_error,
    frame_hashes,
    list_rows,
    rate,
    rows_of,
    struck_batch,
)
from benchmarks._clip import SMOKE_SIZE, portrait_clip, smoke_config, tone
from benchmarks._ray import VICTIMS
from benchmarks._report import log, main, resident_bytes, table
from benchmarks._serve_load import draw_inputs
from ray_jobs.local_cluster import LocalCluster, local_cluster
from segtalker.batch.config import BatchConfig
from segtalker.batch.outcome import Outcome
from segtalker.batch.rows import DubRow
from segtalker.batch.run import dub_rows
from segtalker.batch.tasks import Task
from segtalker.dub_config import DubConfig
from segtalker.pipeline import SegTalker

WORKERS = 2
_COLD = 2 * WORKERS
_CPUS = 2
_RANGES = 20
_CFG = DubConfig()


def run(quick: bool) -> dict[str, Any]:
    """All figures."""
    os.environ.update({"RAY_worker_niceness": str(os.nice(0))})  # by default they give way to the pool's
    pairs, clips, struck, seconds = (3, 20, 10, 20) if quick else (5, 40, 60, 300)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log("drawing the clips ...")
        inputs = draw_inputs(folder, 0.6, 0.01)
        corpus = list_rows(folder / "all.jsonl", inputs, clips, 0)
        few = list_rows(folder / "few.jsonl", inputs, struck, 2 if quick else 6)
        with local_cluster(2, _CPUS) as cluster:
            ratios, true = _throughput(cluster, corpus, folder, pairs)
            struck_rows = [struck_batch(cluster, victim, few, folder / victim, true) for victim in VICTIMS]
            table(struck_rows)
            split = _split(cluster, folder, seconds)
        growth = _memory_growth(folder, seconds)
    return {
        "throughput_vs_parallel_local": round(statistics.median(ratios), 3),
        "throughput_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "pairs": pairs,
        "rows": pairs * clips,
        **{
            name: sum(row[name] for row in struck_rows)
            for name in ("lost_rows", "duplicated_rows", "differing_frames")
        },
        "corrupt_reported": round(statistics.mean(row["corrupt_reported"] for row in struck_rows), 3),
        **split,
        "peak_memory_growth": growth,
    }


def _throughput(
    cluster: LocalCluster, corpus: Corpus, folder: Path, pairs: int
) -> tuple[list[float], list[list[str]]]:
    """Ratios of the batch over the dubs by hand, one a pair; and the frames of the clips by hand."""
    import ray

    from ray_jobs.dub import ray_workers
    from ray_jobs.pool import Pool

    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    by_hand, ratios = ByHand(replace(_CFG, threads=1), WORKERS), []
    batch = BatchConfig(scratch=str(folder / "scratch"))
    first = folder / "hand0"
    for number in range(pairs):
        rates = {}
        for kind in ("batch", "hand")[:: 1 if number % 2 else -1]:
            out = folder / f"{kind}{number}"
            rows = rows_of(corpus, out)
            if kind == "hand":
                rates[kind] = rate(by_hand(rows), _COLD)
                continue
            with ray_workers(rows, _CFG, batch, str(out), Pool(WORKERS, WORKERS)) as runner:
                tasks = [Task(row=row, kind="begin") for row in rows]
                rates[kind] = rate(map(_must_be_done, (answer.outcome for answer in runner(tasks))), _COLD)
        ratios.append(rates["batch"] / rates["hand"])
        shown = f"batch {rates['batch']:.2f}, by hand {rates['hand']:.2f} rows a second"
        log(f"pair {number}: {shown}, ratio {ratios[-1]:.3f}")
    by_hand.close()
    ray.shutdown()
    return ratios, [frame_hashes(Path(row.output)) for row in rows_of(corpus, first)[:3]]


def _must_be_done(outcome: Outcome | None) -> Outcome:
    if outcome is None or outcome.state != "done":
        raise RuntimeError(f"a good row was not dubbed: {outcome}")
    return outcome


def _split(cluster: LocalCluster, folder: Path, seconds: int) -> dict[str, Any]:
    """A long video over the cluster's workers, and in one piece here."""
    import ray

    from ray_jobs.dub import ray_workers
    from ray_jobs.pool import Pool

    log(f"dubbing {seconds} s in {_RANGES} ranges, and in one piece ...")
    cfg, row = _long_row(folder, seconds, folder / "split")
    batch = BatchConfig(chunk_frames=seconds * 25 // _RANGES, scratch=str(folder / "scratch"))
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    out = str(folder / "split")
    with ray_workers([row], cfg, batch, out, Pool(WORKERS, WORKERS)) as runner:
        (outcome,) = dub_rows([row], cfg, batch, out, runner).outcomes
    ray.shutdown()
    _must_be_done(outcome)
    whole = folder / "whole.mp4"
    SegTalker(replace(cfg, threads=1)).dub(row.video, row.speech, whole, quiet=True)
    split = Path(row.output)
    return {
        "split_differing_frames": count_differing(frame_hashes(split), frame_hashes(whole)),
        "split_duration_error": duration_error(split, whole),
        "split_ranges": outcome.chunks,
        "split_seconds": outcome.duration_s,
        "split_frames": outcome.num_frames,
    }


def _long_row(folder: Path, seconds: int, out: Path) -> tuple[DubConfig, DubRow]:
    """A moving portrait with random networks of 32 px."""
    video, speech = folder / f"long{seconds}.mp4", folder / f"long{seconds}.wav"
    if not video.is_file():
        portrait_clip(video, seconds, SMOKE_SIZE)
        tone(speech, seconds)
    row = DubRow(id=f"long{seconds}", video=str(video), speech=str(speech), output=str(out / "long.mp4"))
    return smoke_config(folder), row


def _memory_growth(folder: Path, seconds: int) -> float:
    """Peak of a process that makes `seconds` in ranges, over that of one that makes a quarter of it."""
    log("measuring memory ...")
    peaks = []
    for length in (seconds // 4 // 10 * 10 or 10, seconds):
        command = [sys.executable, "-m", "benchmarks.batch", "--work", str(length), str(folder)]
        result = subprocess.run([*command, str(25 * seconds // _RANGES)], stdout=subprocess.PIPE, check=True)
        peaks.append(json.loads(result.stdout.splitlines()[-1])["peak_mb"])
    log(f"peak memory of a worker: {peaks[0]:.0f} MB, {peaks[1]:.0f} MB")
    return round(peaks[1] / peaks[0], 3)


def _work(seconds: int, folder: Path, chunk_frames: int) -> None:
    """What the measured process does: all tasks of one long video, as one worker."""
    from segtalker.batch.worker import Worker

    out = folder / f"memory{seconds}"
    cfg, row = _long_row(folder, seconds, out)
    batch = BatchConfig(chunk_frames=chunk_frames, scratch=str(folder / "scratch"))
    worker = Worker(cfg, batch, str(out))
    standing = dub_rows([row], cfg, batch, out, lambda tasks: map(worker, tasks))
    _must_be_done(standing.outcomes[0])
    worker.close()
    print(json.dumps({"peak_mb": resident_bytes(peak=True) / 1e6}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        _work(int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    else:
        goals = {"lost_rows": "== 0", "duplicated_rows": "== 0", "differing_frames": "== 0"}
        goals |= {"split_differing_frames": "== 0", "split_duration_error": "== 0"}
        goals |= {"throughput_vs_parallel_local": ">= 0.9", "corrupt_reported": "== 1"}
        main(__doc__, run, targets={**goals, "peak_memory_growth": "<= 1.1"})
