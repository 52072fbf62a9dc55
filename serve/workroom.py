"""Folders for the work on jobs: gone with the job, with the process, or at the next start after a kill."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segtalker.errors import StorageError


class Workroom:
    """A folder of this process alone, with one folder for each job.

    A lock by the operating system, which frees it when its holder dies, tells a killed process's folder from
    one that is in use. A lock stands before its folder does, so a folder whose lock is free is abandoned.
    """

    def __init__(self, root: str | None) -> None:
        """Make it under `root`, and remove what killed processes left there. `StorageError`: it cannot be."""
        base = Path(root).expanduser() if root is not None else Path(tempfile.gettempdir())
        base = base / f"segtalker-jobs-{os.getuid()}"
        try:
            base.mkdir(parents=True, exist_ok=True, mode=0o700)
            if base.is_symlink() or base.stat().st_uid != os.getuid():
                raise StorageError(f"{base}: belongs to somebody else. Set api.scratch to another folder.")
            for folder in base.glob("driver-*/"):
                _remove_if_abandoned(folder)
            self._lock, name = tempfile.mkstemp(prefix="driver-", suffix=".lock", dir=base)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock_file = Path(name)
            self.folder = self._lock_file.with_suffix("")
            self.folder.mkdir()
        except OSError as error:
            raise StorageError(f"{base}: cannot be used ({error.strerror}). Set api.scratch.") from error

    @contextmanager
    def folder_for(self, job: str) -> Iterator[Path]:
        """A folder for one attempt at a job; gone with all its files when the block is left."""
        try:
            path = Path(tempfile.mkdtemp(prefix=f"{job}-", dir=self.folder))
        except OSError as error:
            raise StorageError(f"{self.folder}: cannot be used ({error.strerror}).") from error
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder with whatever is still in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock_file.unlink(missing_ok=True)
        os.close(self._lock)


def _remove_if_abandoned(folder: Path) -> None:
    lock = folder.with_name(f"{folder.name}.lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
    except BlockingIOError:
        pass  # its process lives
    finally:
        os.close(handle)
