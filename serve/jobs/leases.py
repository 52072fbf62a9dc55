"""How long an observer has seen jobs unchanged, by its own clock; clocks of machines are not compared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class _Sighting:
    sign: tuple[str, int, int]
    """Folder of the job, number in its log, and count of the beat; it changes as long as the holder lives."""
    since: float
    looked: float
    enough_s: float


class Leases:
    """Remembers when each job that may not be taken yet last showed a new sign to this observer."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, _Sighting] = {}
        self._lock = threading.Lock()

    def rests(self, job: str) -> bool:
        """Whether the job was seen so recently that looking again can wait: a fifth of its time."""
        with self._lock:
            seen = self._seen.get(job)
            now = self._clock()
            if seen is None or now - seen.since >= seen.enough_s:
                return False
            return now - seen.looked < seen.enough_s / 5

    def has_passed(self, job: str, sign: tuple[str, int, int], enough_s: float) -> bool:
        """Whether the job has shown the same sign for so long: a lease of its holder, or a rest.

        sign: folder of the job, number in its log, and count of the last beat, 0 for none.
        """
        now = self._clock()
        with self._lock:
            seen = self._seen.get(job)
            since = seen.since if seen is not None and seen.sign == sign else now
            self._seen[job] = _Sighting(sign, since, now, enough_s)
            return now - since >= enough_s

    def forget_all_but(self, jobs: Iterable[str]) -> None:
        """Drop what is remembered of jobs that have ended."""
        kept = set(jobs)
        with self._lock:
            self._seen = {job: seen for job, seen in self._seen.items() if job in kept}

    def forget(self, job: str) -> None:
        """Look at the job anew the next time."""
        with self._lock:
            self._seen.pop(job, None)
