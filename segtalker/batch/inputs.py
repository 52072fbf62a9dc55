"""Inputs in buckets, each fetched once a node: a bounded folder that all workers of the node share.

A file is named by its URI and the stamp of its content, so another version is another file. One process
fetches, the others wait. A file that is in use is locked; where room is wanted, those that nobody uses go,
the one that was used longest ago first.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from segtalker import locks
from segtalker.errors import StorageError
from segtalker.storage import Uri, get_file, is_local, local_path

_ABANDONED_S = 3600
"""A fetch that has written nothing for so long was of a process that was killed."""


class InputCache:
    """Fetched files below `folder`, `most_bytes` together as far as they are not all in use."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes

    @contextmanager
    def file(self, uri: Uri, stamp: str) -> Iterator[Path]:
        """The file on this machine's disk while the block runs. stamp: of the version that is wanted."""
        if is_local(uri):
            yield local_path(uri)
            return
        name = hashlib.sha256(f"{uri}\n{stamp}".encode()).hexdigest()[:40]
        path = self._folder / f"{name}{PurePosixPath(str(uri)).suffix}"
        handle = self._open(uri, path)
        try:
            yield path
        finally:
            os.close(handle)

    def _open(self, uri: Uri, path: Path) -> int:
        """Fetch the file unless it is there; returns a handle whose lock keeps it there."""
        try:
            with locks.alone(self._folder / "locks" / path.name[:2]):
                if not path.is_file():
                    for left in self._folder.glob(f".{path.name}.*"):  # by a process that was killed
                        left.unlink()
                    get_file(uri, path)
                handle = os.open(path, os.O_RDONLY)
                fcntl.flock(handle, fcntl.LOCK_SH)
                os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))  # used, but not changed
        except OSError as error:
            raise StorageError(
                f"{self._folder}: cannot keep {uri} ({error.strerror}). Name another folder by --scratch."
            ) from error
        self._make_room()
        return handle

    def _make_room(self) -> None:
        with locks.alone(self._folder / "locks" / "room"):
            for path in self._folder.glob(".*.part"):
                with suppress(FileNotFoundError):  # just finished
                    if time.time() - path.stat().st_mtime > _ABANDONED_S:
                        path.unlink()
            files = [path for path in self._folder.iterdir() if path.is_file()]
            stats = {path: path.stat() for path in files if not path.name.startswith(".")}
            used = sum(stat.st_size for stat in stats.values())
            for path in sorted(stats, key=lambda path: stats[path].st_atime_ns):
                if used <= self._most_bytes:
                    return
                if self._remove_unused(path):
                    used -= stats[path].st_size

    def _remove_unused(self, path: Path) -> bool:
        """Delete a file unless a process uses it, or is about to."""
        with locks.alone(self._folder / "locks" / path.name[:2]), suppress(BlockingIOError):
            handle = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                return True
            finally:
                os.close(handle)
        return False
