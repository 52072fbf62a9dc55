"""Folders for work in progress: gone with the work, with the process, or at the next start after a kill."""

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
    """A folder of this process alone, with one folder for each piece of work.

    A lock by the operating system, which frees it when its holder dies, tells a killed process's folder from
    one that is in use. A lock stands before its folder does, so a folder whose lock is free is abandoned.
    """

    def __init__(self, root: str | None, name: str, holder: str, remedy: str) -> None:
        """Make `root`/NAME-USER/HOLDER-..., and remove what killed holders left there.

        root: the system's folder for temporary files by default. `StorageError` ends with the `remedy`.
        """
        self._remedy = remedy
        base = Path(root).expanduser() if root is not None else Path(tempfile.gettempdir())
        self.base = base = base / f"{name}-{os.getuid()}"
        try:
            base.mkdir(parents=True, exist_ok=True, mode=0o700)
            if base.is_symlink() or base.stat().st_uid != os.getuid():
                raise StorageError(f"{base}: belongs to somebody else. {remedy}")
            for folder in base.glob(f"{holder}-*/"):
                _remove_if_abandoned(folder)
            self._lock, lock_name = tempfile.mkstemp(prefix=f"{holder}-", suffix=".lock", dir=base)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock_file = Path(lock_name)
            self.folder = self._lock_file.with_suffix("")
            self.folder.mkdir()
        except OSError as error:
            raise StorageError(f"{base}: cannot be used ({error.strerror}). {remedy}") from error

    @contextmanager
    def folder_for(self, work: str) -> Iterator[Path]:
        """A folder for one attempt at a piece of work; gone with all its files when the block is left."""
        try:
            path = Path(tempfile.mkdtemp(prefix=f"{work}-", dir=self.folder))
        except OSError as error:
            raise StorageError(f"{self.folder}: cannot be used ({error.strerror}). {self._remedy}") from error
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
