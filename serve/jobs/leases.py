"""Which claims an observer has seen alive, by its own clock; clocks of machines are not compared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class _Sighting:
    sign: tuple[str, int, int]
    """Folder of the job, fence, and count of the beat; it changes as long as the holder lives."""
    since: float
    looked: float


class Leases:
    """Remembers when each held job last showed a new sign of life to this observer."""

    def __init__(self, lease_s: float, clock: Callable[[], float]) -> None:
        self._lease_s = lease_s
        self._clock = clock
        self._seen: dict[str, _Sighting] = {}
        self._lock = threading.Lock()

    def rests(self, job: str) -> bool:
        """Whether the job was seen held so recently that looking again can wait: a fifth of a lease."""
        with self._lock:
            seen = self._seen.get(job)
            now = self._clock()
            if seen is None or now - seen.since >= self._lease_s:
                return False
            return now - seen.looked < self._lease_s / 5

    def has_expired(self, job: str, folder: str, fence: int, count: int) -> bool:
        """Whether this claim has shown the same sign for a whole lease. count: of its beat, 0 for none."""
        now, sign = self._clock(), (folder, fence, count)
        with self._lock:
            seen = self._seen.get(job)
            since = seen.since if seen is not None and seen.sign == sign else now
            self._seen[job] = _Sighting(sign, since, now)
            return now - since >= self._lease_s

    def forget_all_but(self, jobs: Iterable[str]) -> None:
        """Drop what is remembered of jobs that have ended."""
        kept = set(jobs)
        with self._lock:
            self._seen = {job: seen for job, seen in self._seen.items() if job in kept}

    def forget(self, job: str) -> None:
        """Look at the job anew the next time."""
        with self._lock:
            self._seen.pop(job, None)
