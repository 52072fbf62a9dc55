"""Is preparing clips on a Ray cluster as fast as a plain process pool, and does memory stay the same?

    throughput_vs_pool  clips per second of two Ray actors over those of two processes, on the same cores,
                        both warm: the first outcomes of each run are left out; median of interleaved pairs
    rss_ratio           peak memory of all processes of a cluster, its driver among them: 200 clips of 6 s
                        over 20 (40 over 8 with --quick); each count has a cluster of its own
    spilled_bytes       what the object store put on the disk meanwhile

The clips are one synthetic person; shards of 32 px, real face models.
"""

from __future__ import annotations

import json
import logging
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from benchmarks._ray import memory_of
from benchmarks._report import log, main, table
from ray_jobs.local_cluster import local_cluster
from segtalker.data.manifest import ClipRow
from segtalker.data.outcome import Outcome
from segtalker.data.prepare import PrepareConfig
from segtalker.data.prepare_run import run_processes
from segtalker.data.quality import QualityConfig
from segtalker.synthetic.video import demo_clip

WORKERS = 2
_CONFIG = PrepareConfig(size=32, syncnet=None, quality=QualityConfig(min_s=0.4))
_COLD = 2 * WORKERS  # outcomes of a run that do not count: the workers were still loading
_FRAME = (240, 240)


def run(quick: bool) -> dict[str, Any]:
    """Ratios of time and of memory."""
    pairs, clips, counts = (5, 12, (8, 40)) if quick else (9, 40, (20, 200))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log("drawing the clips ...")
        short, long = (demo_clip(folder / f"{s}.mp4", s, 0, _FRAME) for s in (1.2, 6.0))
        rows = [_measure(count, long, folder / f"memory{count}") for count in counts]
        table(rows)
        ratios = _throughput(short, folder, pairs, clips)
    few, many = rows
    return {
        "throughput_vs_pool": round(statistics.median(ratios), 3),
        "throughput_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "pairs": len(ratios),
        "rss_ratio": round(many["peak_rss_mb"] / few["peak_rss_mb"], 3),
        "spilled_bytes": few["spilled_bytes"] + many["spilled_bytes"],
        "clips": list(counts),
        "peak_rss_mb": [row["peak_rss_mb"] for row in rows],
    }


def _throughput(video: Path, folder: Path, pairs: int, clips: int) -> list[float]:
    """Ratios of Ray over the pool, one a pair; who comes first alternates."""
    import ray

    from ray_jobs.prepare import run_actors

    rows, ratios = _rows(video, clips), []
    with local_cluster(1, WORKERS + 1) as cluster:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        for number in range(pairs):
            rates = {}
            for runner in (run_actors, run_processes)[:: 1 if number % 2 else -1]:
                out = folder / f"{runner.__name__}{number}"
                rates[runner] = _rate(runner(rows, _CONFIG, out, WORKERS))
            ratios.append(rates[run_actors] / rates[run_processes])
            shown = f"Ray {rates[run_actors]:.2f}, pool {rates[run_processes]:.2f} clips a second"
            log(f"pair {number}: {shown}, ratio {ratios[-1]:.3f}")
        ray.shutdown()
    return ratios


def _rate(outcomes: Iterable[Outcome]) -> float:
    """Outcomes a second after the first ones."""
    times = []
    for outcome in outcomes:
        _check(outcome)
        times.append(time.perf_counter())
    return (len(times) - _COLD) / (times[-1] - times[_COLD - 1])


def _measure(count: int, video: Path, out: Path) -> dict[str, Any]:
    log(f"preparing {count} clips of 6 s ...")
    command = [sys.executable, "-m", "benchmarks.ray_prepare", "--prepare", str(count), str(video), str(out)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return {"clips": count, **json.loads(result.stdout.splitlines()[-1])}


def _prepare(count: int, video: Path, out: Path) -> None:
    """What the measured process does; it is the driver."""
    import ray
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    from ray_jobs.prepare import run_actors

    with local_cluster(1, WORKERS + 1) as cluster, _PeakMemory() as memory:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        for outcome in run_actors(_rows(video, count), _CONFIG, out, WORKERS):
            _check(outcome)
        stats = get_memory_info_reply(get_state_from_address(cluster.address)).store_stats
        ray.shutdown()
    figures = {"peak_rss_mb": round(memory.peak / 1e6, 1), "spilled_bytes": int(stats.spilled_bytes_total)}
    print(json.dumps(figures))


class _PeakMemory(threading.Thread):
    """Samples the memory of this process and of all below it; a context manager."""

    def __init__(self, every_s: float = 0.3) -> None:
        super().__init__(daemon=True)
        self.peak, self._every_s, self._end = 0, every_s, threading.Event()

    def __enter__(self) -> _PeakMemory:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self.join()

    def run(self) -> None:
        """The thread."""
        own = psutil.Process()
        while not self._end.wait(self._every_s):
            self.peak = max(self.peak, memory_of([own, *own.children(recursive=True)]))


def _rows(video: Path, count: int) -> list[ClipRow]:
    return [ClipRow(clip=f"clip{i}", source=str(video), identity="one", split="train") for i in range(count)]


def _check(outcome: Outcome) -> None:
    if outcome.status != "done":
        raise RuntimeError(f"{outcome.clip}: {outcome.status}: {outcome.reason}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--prepare"]:
        _prepare(int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        goals = {"throughput_vs_pool": ">= 0.85", "rss_ratio": "<= 1.1", "spilled_bytes": "== 0"}
        main(__doc__, run, targets=goals)
