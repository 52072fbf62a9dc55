"""What does a dub through the service cost beside the same dub in one process?

The split graph on this machine and `SegTalker.dub` with the same configuration and threads take turns; both
are warm. In each of five rounds four clips (one with --quick, counted four times) are dubbed in sequence by
the pipeline, then one through the service (upload and download counted), then four through it at once.

    wall_vs_local                         time of the one through the service against that of a local one
    concurrent_throughput_vs_sequential   time of four local ones against that of four at once
    max_batch_seen                        most jobs that must have shared one batch: the calls in it, by
                                          the metrics of the service, over those that a job has under way
    first_byte_share                      time to the first bytes of a streamed dub, against all of its time
    differing_outputs                     videos of the service that do not equal the local one; both are
                                          encoded without loss (rule: see serve_chaos)
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks._clip import tone
from benchmarks._ray import until
from benchmarks._report import log, main, table
from benchmarks._serve import Service, histogram_max, running, service_config, small_segments
from benchmarks._serve_books import differs
from segtalker.media.write import EncodeConfig
from segtalker.pipeline import SegTalker
from segtalker.synthetic.video import demo_clip
from serve.config import ServiceConfig

_ROUNDS, _AT_ONCE = 5, 4
_CHUNK_FRAMES = 10
_BATCH_METRIC = "ray_segtalker_stage_batch_calls"
_SHARED_BATCH = 64  # frames: four calls, each with the new and the own maps of one render batch
_JOB_S = 600.0


def run(quick: bool) -> dict[str, Any]:
    """Ratios of interleaved runs, and their spread."""
    clip_s, streamed_s = (0.8, 4.0) if quick else (3.0, 12.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = _config(folder)
        video = demo_clip(folder / "talk.mp4", 2.0, 0)
        clip = _Clip(video, tone(folder / "speech.wav", clip_s), folder)
        local = SegTalker(config.dub)
        with running(config, folder) as service:
            clip.local(local)  # both sides load and warm up
            _timed(lambda: clip.at_once(service, _AT_ONCE))
            rows = [_round(clip, local, service, 1 if quick else _AT_ONCE) for _ in range(_ROUNDS)]
            table(rows)
            differing = sum(bool(differs(path, clip.local_output)) for path in clip.outputs(_AT_ONCE))
            longer = demo_clip(folder / "long.mp4", streamed_s, 0)
            streamed = _Clip(longer, tone(folder / "long.wav", streamed_s), folder)
            shares = [_first_byte_share(streamed, service) for _ in range(1 if quick else 3)]
            calls = until(lambda: histogram_max(service.metrics(), _BATCH_METRIC), "metric of batches")
    return {
        **_ratio("wall_vs_local", [row["service s"] / row["local s"] for row in rows]),
        **_ratio(
            "concurrent_throughput_vs_sequential",
            [_AT_ONCE * row["local s"] / row["four at once s"] for row in rows],
        ),
        "max_batch_seen": math.ceil(calls / config.driver.chunks),
        "max_calls_in_batch": calls,
        "first_byte_share": round(statistics.median(shares), 3),
        "differing_outputs": differing,
        "threads": config.dub.threads,
    }


def _config(folder: Path) -> ServiceConfig:
    """Every network may use all cores, as in one process."""
    threads = os.cpu_count() or 1
    dub = replace(small_segments(_CHUNK_FRAMES, threads), encode=EncodeConfig(crf=0, preset="veryfast"))
    config = service_config(folder, dub)
    config = replace(config, generator=replace(config.generator, max_replicas=1))
    stages = ("faces", "talker", "encoder", "generator")
    shared = {"threads": threads, "batch": _SHARED_BATCH}
    return replace(config, **{name: replace(getattr(config, name), **shared) for name in stages})


class _Clip:
    """One video and one speech, dubbed on either side."""

    def __init__(self, video: Path, speech: Path, folder: Path) -> None:
        self.video, self.speech, self._folder = video, speech, folder
        self.local_output = folder / "local.mp4"

    def outputs(self, count: int) -> list[Path]:
        return [self._folder / f"{number}.mp4" for number in range(count)]

    def local(self, segtalker: SegTalker) -> None:
        segtalker.dub(self.video, self.speech, self.local_output, quiet=True)

    def at_once(self, service: Service, count: int) -> None:
        """So many jobs through the service, each from its upload to the end of its download."""
        errors: list[Exception] = []

        def dub(output: Path) -> None:
            try:
                service.client().dub(self.video, self.speech, output, timeout_s=_JOB_S)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=dub, args=(output,)) for output in self.outputs(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]


def _round(clip: _Clip, local: SegTalker, service: Service, times: int) -> dict[str, float]:
    alone = [_timed(lambda: clip.local(local)) for _ in range(times)]
    row = {
        "local s": statistics.mean(alone),
        "service s": _timed(lambda: clip.at_once(service, 1)),
        "four at once s": _timed(lambda: clip.at_once(service, _AT_ONCE)),
    }
    log(", ".join(f"{name} {value:.2f}" for name, value in row.items()))
    return row


def _first_byte_share(clip: _Clip, service: Service) -> float:
    """Part of a streamed dub's time after which its first bytes are there."""
    start = time.perf_counter()
    pieces = service.client().stream(clip.video, clip.speech)
    next(pieces)
    first = time.perf_counter() - start
    num_bytes = sum(map(len, pieces))
    whole = time.perf_counter() - start
    log(f"streamed: first bytes after {first:.2f} s of {whole:.2f} s, {num_bytes / 1e3:.0f} kB")
    return first / whole


def _ratio(name: str, values: list[float]) -> dict[str, Any]:
    """The median under this name, and the least and greatest value."""
    return {
        name: round(statistics.median(values), 3),
        f"{name}_spread": [round(min(values), 3), round(max(values), 3)],
    }


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    goals = {"wall_vs_local": "<= 1.15", "concurrent_throughput_vs_sequential": ">= 0.9"}
    more = {"max_batch_seen": ">= 2", "first_byte_share": "<= 0.25", "differing_outputs": "== 0"}
    main(__doc__, run, targets={**goals, **more})
