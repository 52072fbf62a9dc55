"""What the benchmark of batches shares: drawn rows, dubs by hand, and what came of a batch."""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import zip_longest
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av

from benchmarks._ray import PREPARER, run_job, strike, submitted, until, workers
from benchmarks._report import log
from benchmarks._serve_load import Inputs
from ray_jobs.local_cluster import LocalCluster
from segtalker.batch.rows import DubRow, read_rows
from segtalker.dub_config import DubConfig
from segtalker.media.read import frame_times, read_frames
from segtalker.pipeline import SegTalker

_PATIENCE_S = 900  # of a machine that is busy with others
_talker: SegTalker


@dataclass(frozen=True)
class Corpus:
    """Manifest rows over a few drawn clips, some of which are damaged."""

    manifest: Path
    num_good: int
    num_corrupt: int


def list_rows(manifest: Path, inputs: Inputs, good: int, corrupt: int) -> Corpus:
    """Write a manifest; its rows repeat the three clips, as many takes of one person would."""
    lines = []
    for number in range(good):
        video, speech = inputs.clips[number % len(inputs.clips)]
        lines.append({"id": f"good{number:04d}", "video": str(video), "speech": str(speech)})
    damaged = [video for video in inputs.corrupt if video.stem != "half"]  # which may still hold a picture
    for number in range(corrupt):
        video = damaged[number % len(damaged)]
        lines.append({"id": f"corrupt{number:04d}", "video": str(video), "speech": str(inputs.clips[0][1])})
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Corpus(manifest, good, corrupt)


def rows_of(corpus: Corpus, out: Path, kind: str = "") -> list[DubRow]:
    """The rows whose id begins with `kind`."""
    return [row for row in read_rows(corpus.manifest, out) if row.id.startswith(kind)]


class ByHand:
    """Dubs by a pool of processes, networks loaded once in each: what one would write in an evening."""

    def __init__(self, cfg: DubConfig, workers: int) -> None:
        context = get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, context, _load, (cfg,))

    def __call__(self, rows: Sequence[DubRow]) -> Iterator[str]:
        """Outputs as they come."""
        for row in rows:
            Path(row.output).parent.mkdir(parents=True, exist_ok=True)
        jobs = [self._pool.submit(_dub, row.video, row.speech, row.output) for row in rows]
        for job in as_completed(jobs):
            yield job.result()

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown()


def _load(cfg: DubConfig) -> None:
    global _talker
    _talker = SegTalker(cfg)
    _ = _talker.stages.backend, _talker.stages.parser, _talker.stages.networks
    gc.collect()
    gc.freeze()  # as workers of a batch do: without it every dub is a second slower


def _dub(video: str, speech: str, output: str) -> str:
    return _talker.dub(video, speech, output, quiet=True).output


def rate(ended: Iterator[Any], cold: int) -> float:
    """Items a second after the first `cold`, which were still loading."""
    times = [time.perf_counter() for _ in ended]
    return (len(times) - cold) / (times[-1] - times[cold - 1])


def frame_hashes(video: Path) -> list[str]:
    """A digest of every decoded frame."""
    return [hashlib.sha256(frame.image.tobytes()).hexdigest() for frame in read_frames(video)]


def count_differing(found: Sequence[str], wanted: Sequence[str]) -> int:
    """Frames that differ, or are on one side only."""
    return sum(one != other for one, other in zip_longest(found, wanted))


def duration_error(found: Path, wanted: Path) -> float:
    """Seconds by which any frame, or the end of the sound, comes at another time."""
    times, true = frame_times(found), frame_times(wanted)
    frames = max(abs(float(a - b)) for a, b in zip(times, true, strict=True))
    return max(frames, abs(sound_seconds(found) - sound_seconds(wanted)))


def sound_seconds(video: Path) -> float:
    """From the zero of the pictures to the end of the last block of sound."""
    with av.open(str(video)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.pts is not None]
        last = packets[-1]
        assert last.pts is not None and last.time_base is not None
        return float((last.pts + (last.duration or 0)) * last.time_base)


def outcomes_in(out: Path) -> dict[str, dict[str, Any]]:
    """Id -> outcome of the table in a batch's folder."""
    file = out / "outcomes.jsonl"
    lines = file.read_text().splitlines() if file.is_file() else []
    return {line["id"]: line for line in map(json.loads, lines)}


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """Output -> inode and time, which change if it is made again."""
    stats = {path.name: path.stat() for path in out.glob("good*.mp4")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


def struck_batch(
    cluster: LocalCluster, victim: str, corpus: Corpus, out: Path, true: list[list[str]]
) -> dict[str, Any]:
    """A batch as a job, one SIGKILL amid it, and what is there in the end."""
    line = ["ray_jobs.dub", str(corpus.manifest), "--out", str(out), "--workers", "2", "--quiet"]
    log(f"dubbing; the {victim} will be killed")
    with submitted(cluster, *line) as job:
        for wanted in (
            lambda: workers(cluster, 0, PREPARER) and workers(cluster, 1, PREPARER),
            lambda: finished(out),
        ):
            until(wanted, "worker on each node, or finished row", job, _PATIENCE_S)
        strike(cluster, victim, PREPARER)
        before = finished(out)
        code = job.wait(_PATIENCE_S)
    if victim == "driver" and code:
        code, printed = run_job(cluster, *line, timeout_s=_PATIENCE_S)
        log(printed.splitlines()[-1] if printed else "")
    told, after = outcomes_in(out), finished(out)
    good = rows_of(corpus, out, "good")
    ended = {row.id for row in good if told.get(row.id, {}).get("state") in ("done", "found")}
    bad = rows_of(corpus, out, "corrupt")
    named = [row for row in bad if Path(row.video).name in told.get(row.id, {}).get("reason", "")]
    there = [row for row in good if Path(row.output).is_file()]
    differing = [count_differing(frame_hashes(Path(row.output)), true[_clip(row)]) for row in there]
    return {
        "victim": victim,
        "exit": code,
        "finished before": len(before),
        "lost_rows": len(good) - len(ended & {row.id for row in there}),
        "duplicated_rows": sum(after.get(name) != stat for name, stat in before.items()),
        "differing_frames": sum(differing),
        "corrupt_reported": len(named) / len(bad),
    }


def _clip(row: DubRow) -> int:
    """Which of the three clips a row dubs."""
    return int(row.id.removeprefix("good")) % 3
