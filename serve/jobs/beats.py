"""Signs of life of a holder, with how far its work is."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from segtalker import storage
from segtalker.progress import Progress
from serve.jobs.layout import read_json


@dataclass(frozen=True)
class Beat:
    """One sign of life as others read it."""

    count: int = 0
    """Another number than before: alive. 0: none yet."""
    progress: list[dict[str, Any]] = field(default_factory=list)
    eta_s: float | None = None


def read_beat(uri: str) -> Beat:
    """The last sign of a claim; one request."""
    found = read_json(uri) or {}
    return Beat(int(found.get("count", 0)), list(found.get("progress", [])), found.get("eta_s"))


class BeatWriter:
    """Writes beats of one claim, not too often; safe for several threads."""

    def __init__(self, uri: str, least_s: float, clock: Callable[[], float]) -> None:
        self._uri, self._least_s, self._clock = uri, least_s, clock
        self._stages: dict[str, Progress] = {}
        self._begun: tuple[float, int] = (0.0, 0)
        self._current = ""
        self._count = 0
        self._written = -float("inf")
        self._lock = threading.Lock()

    @property
    def progress(self) -> list[dict[str, Any]]:
        """All stages so far, the current one last."""
        with self._lock:
            return [asdict(stage) for stage in self._stages.values()]

    def beat(self, progress: Progress | None) -> None:
        """Note the progress; write it if a stage begins or is complete, or the last beat is `least_s` old."""
        with self._lock:
            is_turn = progress is not None and self._is_turn(progress)
            now = self._clock()
            if progress is not None:
                self._note(progress, now)
            if not is_turn and now - self._written < self._least_s:
                return
            self._count += 1
            self._written = now
            stages = [asdict(stage) for stage in self._stages.values()]
            beat = Beat(self._count, stages, self._eta_s(now))
        # Outside the lock, so that a slow store delays no other thread; any changed count is a sign of life.
        storage.write_bytes(self._uri, json.dumps(asdict(beat)).encode())

    def _is_turn(self, progress: Progress) -> bool:
        """Whether a stage begins with this event, or ends; one that is told again is no news."""
        known = self._stages.get(progress.stage)
        return known is None or (progress != known and progress.done == progress.total)

    def _note(self, progress: Progress, now: float) -> None:
        if progress.stage != self._current:
            self._current = progress.stage
            self._begun = now, progress.done  # work of a former driver must not count into the rate
            self._stages.pop(progress.stage, None)
        self._stages[progress.stage] = progress

    def _eta_s(self, now: float) -> float | None:
        """What is left of the current stage over its mean rate since this driver began it."""
        if not self._stages:
            return None
        current = self._stages[self._current]
        begun, done = self._begun
        if current.total is None or current.done <= done or now <= begun:
            return None
        rate = (current.done - done) / (now - begun)
        return round(max(0, current.total - current.done) / rate, 1)
