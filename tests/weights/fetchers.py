"""Processes that fetch at the same time, and what a fetch leaves behind."""

from __future__ import annotations

import errno
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from unittest import mock

from segtalker import locks
from segtalker.weights import registry, store
from segtalker.weights.fetching import fetch
from segtalker.weights.registry import WeightsRow

SPAWN = multiprocessing.get_context("spawn")
"""Of processes that share nothing with this one but the environment, which names the cache."""
PATIENCE_S = 60
"""For a process to be there, on a machine that is busy."""

Fetched = tuple[bytes, bool]
"""What a process has at the end, and whether it waited for another one."""


def fetch_together(row: WeightsRow, count: int, with_locks: bool = True) -> list[Fetched]:
    """Let `count` processes fetch a row at once, on a file system that knows locks or one that does not."""
    ready, done = SPAWN.Barrier(count), SPAWN.Queue()
    processes = [SPAWN.Process(target=_fetch, args=(row, with_locks, ready, done)) for _ in range(count)]
    for process in processes:
        process.start()
    found = [done.get(timeout=PATIENCE_S) for _ in processes]
    for process in processes:
        process.join(PATIENCE_S)
    return found


def fetch_alone(row: WeightsRow) -> None:
    """Fetch a row; for a process of its own."""
    with _listed(row):
        fetch([row.name])


@contextmanager
def no_locks() -> Iterator[None]:
    """A file system on which nothing can be locked."""

    def flock(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    with mock.patch.object(locks.fcntl, "flock", flock):
        yield


def leftovers(cache: Path) -> list[str]:
    """Whatever a fetch has not tidied up."""
    return [str(path) for path in (cache / ".downloads").rglob("*") if path.is_file()]


def _fetch(row: WeightsRow, with_locks: bool, ready: Barrier, done: Queue[Fetched]) -> None:
    said: list[str] = []
    with _listed(row), nullcontext() if with_locks else no_locks():
        ready.wait(PATIENCE_S)
        (path,) = fetch([row.name], say=said.append)
    done.put((path.read_bytes(), any("waiting for another process" in line for line in said)))


@contextmanager
def _listed(row: WeightsRow) -> Iterator[None]:
    """A registry of this row alone, in a process that does not have the test's."""
    with mock.patch.object(registry, "ROWS", (row,)), mock.patch.object(store, "ROWS", (row,)):
        yield
