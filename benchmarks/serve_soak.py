"""Does the service grow while it works, and does it scale with the load and back?

For 30 minutes (3 with --quick) bursts of good and bad requests alternate with rest. Memory and open files of
all processes of Ray are taken at the end of each rest, once the generator is back at one replica; the first
bursts warm everything up and do not count.

    rss_growth_ratio      memory (what processes share counts once) of the last third of the rests against
                          the first third
    open_files_growth     files and sockets open at the end, beyond those of the first counted rest
    scaled_up_and_back    times that the generator went from one replica to two and back to one
    failures              requests that did not end as they should
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks._report import log, main, table
from benchmarks._serve import GENERATOR, Service, running, service_config, small_segments
from benchmarks._serve_books import summary
from benchmarks._serve_load import Inputs, Outcome, Player, draw_inputs, mixed, play
from segtalker.client import Retries

_MIX = {"good": 0.7, "cancelled": 0.1, "corrupt": 0.1, "huge": 0.1}
_BURST, _AT_ONCE = 16, 8
_WARM_UP = 2
"""Bursts that do not count."""
_CLIP_S = 0.6
_WITHIN_S = 300.0
_ENDS = {
    "good": {"done"},
    "cancelled": {"cancelled", "done"},
    "corrupt": {"refused", "failed"},
    "huge": {"refused"},
}


def run(quick: bool) -> dict[str, Any]:
    """Growth over the whole time, and what the generator's replicas did."""
    whole_s = 180.0 if quick else 1800.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = service_config(folder, small_segments(8, threads=1))
        inputs = draw_inputs(folder, _CLIP_S, config.limits.upload_mb)
        with running(config, folder) as service, ReplicaLog(service) as replicas:
            rests: list[dict[str, float]] = []
            outcomes: list[Outcome] = []
            end = time.monotonic() + whole_s
            while time.monotonic() < end or len(rests) < _WARM_UP + 2:
                outcomes += _burst(service, inputs, folder, len(rests))  # a few hundred bytes each
                replicas.wait_for_one()
                rests.append({"memory MB": service.memory() / 1e6, "open files": service.open_files()})
                log(f"burst {len(rests)}: {rests[-1]}, replicas {replicas.shown}")
    table(summary(outcomes))
    return {
        **growth(rests[_WARM_UP:]),
        "scaled_up_and_back": rises_and_falls(replicas.counts),
        "generator_replicas": replicas.shown,
        "failures": sum(outcome.ended not in _ENDS[outcome.kind] for outcome in outcomes),
        "requests": len(outcomes),
        "bursts": len(rests),
    }


def growth(rests: list[dict[str, float]]) -> dict[str, float]:
    """Figures of the rests that count."""
    third = max(1, len(rests) // 3)
    first, last = (
        statistics.median(rest["memory MB"] for rest in part) for part in (rests[:third], rests[-third:])
    )
    files = [rest["open files"] for rest in rests]
    return {
        "rss_growth_ratio": round(last / first, 3),
        "open_files_growth": int(min(files[-third:]) - min(files[:third])),
        "memory_mb_first": round(first, 1),
        "memory_mb_last": round(last, 1),
    }


def rises_and_falls(counts: list[int]) -> int:
    """How often one replica became more than one, and later one again."""
    high = [key for key, _ in groupby(count > 1 for count in counts if count)]
    return sum(high[i] and i > 0 and i + 1 < len(high) for i in range(len(high)))


class ReplicaLog(threading.Thread):
    """Notes how many replicas the generator has; a context manager."""

    def __init__(self, service: Service, every_s: float = 0.5) -> None:
        super().__init__(daemon=True)
        self.counts: list[int] = []
        """Each count that differs from the one before."""
        self._service, self._every_s, self._over = service, every_s, threading.Event()

    def __enter__(self) -> ReplicaLog:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.join()

    @property
    def shown(self) -> str:
        """As in `1 -> 2 -> 1`."""
        return " -> ".join(map(str, self.counts))

    def run(self) -> None:
        """The thread."""
        while not self._over.wait(self._every_s):
            count = len(self._service.replicas(GENERATOR))
            if self.counts[-1:] != [count]:
                self.counts.append(count)
                log(f"replicas of the generator: {self.shown}")

    def wait_for_one(self, within_s: float = 60.0) -> None:
        """Wait until the generator is back at one replica, or for so long."""
        end = time.monotonic() + within_s
        while self.counts[-1:] != [1] and time.monotonic() < end:
            time.sleep(self._every_s)


def _burst(service: Service, inputs: Inputs, folder: Path, number: int) -> list[Outcome]:
    """A burst of requests; its jobs and files are deleted."""
    outputs = folder / f"burst{number}"
    outputs.mkdir()
    limits = service.config.limits
    client = service.client(Retries(within_s=_WITHIN_S))
    player = Player(client, service.url, inputs, outputs, limits.idle_s, limits.upload_s + 15, _WITHIN_S)
    outcomes = play(mixed(_BURST, number, _MIX), player, _AT_ONCE, _WITHIN_S)
    for outcome in outcomes:
        if outcome.output is not None:
            outcome.output.unlink()
        if outcome.job is not None and outcome.ended in ("done", "failed", "cancelled"):
            client.job(outcome.job).delete()
        if outcome.ended not in _ENDS[outcome.kind]:
            log(f"request {outcome.number}, {outcome.kind}: {outcome.ended} {outcome.detail}")
    return outcomes


if __name__ == "__main__":
    goals = {"rss_growth_ratio": "<= 1.05", "open_files_growth": "== 0"}
    main(__doc__, run, targets={**goals, "scaled_up_and_back": ">= 1", "failures": "== 0"})
