"""One process at a time: a lock by the operating system, which frees it when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(lock: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Keep every other process that asks for the file `lock` waiting while the block runs.

    It holds on one machine, and between machines where their file system passes locks on, as NFS does. The
    file is never deleted: who waits has it open. on_wait: called once if another process is inside. Raises
    `OSError` where the file cannot be made or the file system knows no locks.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
