"""What Prometheus sees of a stage, and the same figures for whoever asks a replica."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ray.serve import metrics

_SECONDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30]
_STATS = ("waiting", "calls", "frames", "batches", "largest_batch", "failures")
_CALLS = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0]


class StageMetrics:
    """Counts of one replica; frames/s is the rate of `segtalker_stage_frames`."""

    def __init__(self, stage: str) -> None:
        tags: dict[str, Any] = {"tag_keys": ("stage",)}
        self._frames = metrics.Counter("segtalker_stage_frames", "Frames that a stage has worked on.", **tags)
        self._failures = metrics.Counter("segtalker_stage_failures", "Calls that ended in an error.", **tags)
        self._seconds = metrics.Histogram(
            "segtalker_stage_seconds", "Time of one batch, waiting not counted.", _SECONDS, **tags
        )
        self._calls = metrics.Histogram(
            "segtalker_stage_batch_calls", "Calls of callers in one batch.", _CALLS, **tags
        )
        self._waiting = metrics.Gauge("segtalker_stage_queue", "Calls that wait or are worked on.", **tags)
        for metric in (self._frames, self._failures, self._seconds, self._calls, self._waiting):
            metric.set_default_tags({"stage": stage})
        self._lock = threading.Lock()
        self._stats = dict.fromkeys(_STATS, 0.0)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around a call from its arrival to its answer."""
        self._count(waiting=1)
        self._waiting.set(self._stats["waiting"])
        try:
            yield
        finally:
            self._count(waiting=-1)
            self._waiting.set(self._stats["waiting"])

    @contextmanager
    def batch(self, calls: int, frames: int) -> Iterator[None]:
        """Around the work on one batch of `calls` calls with `frames` frames together."""
        start = time.perf_counter()
        try:
            yield
        except Exception:
            if calls == 1:  # of several, each is worked on again by itself
                self._failures.inc()
                self._count(failures=1)
            raise
        self._seconds.observe(time.perf_counter() - start)
        self._calls.observe(calls)
        self._frames.inc(frames)
        self._count(calls=calls, frames=frames, batches=1)
        with self._lock:
            self._stats["largest_batch"] = max(self._stats["largest_batch"], calls)

    def stats(self) -> dict[str, float]:
        """The counts so far; `largest_batch` is the most calls in one batch, `waiting` those of now."""
        with self._lock:
            return dict(self._stats)

    def _count(self, **more: float) -> None:
        with self._lock:
            for name, value in more.items():
                self._stats[name] += value


def total(parts: Iterable[StageMetrics]) -> dict[str, float]:
    """The counts of several stages of one process together."""
    every = [part.stats() for part in parts]
    return {
        name: (max if name == "largest_batch" else sum)(stats[name] for stats in every) for name in _STATS
    }
