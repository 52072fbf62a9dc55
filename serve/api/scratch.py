"""Folders for the files of single requests: gone with the request, or at the next start after a kill."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segtalker.errors import StorageError


class Scratch:
    """A folder of this user alone, with one folder for each request."""

    def __init__(self, root: str | None, keep_s: float) -> None:
        """Make the folder, and remove what is older than `keep_s` seconds: its request is long over."""
        base = Path(root).expanduser() if root is not None else Path(tempfile.gettempdir())
        self.root = base / f"segtalker-uploads-{os.getuid()}"
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            is_ours = self.root.stat().st_uid == os.getuid() and not self.root.is_symlink()
        except OSError as error:
            raise StorageError(f"{self.root}: cannot be made ({error.strerror}). Set api.scratch.") from error
        if not is_ours:
            raise StorageError(f"{self.root}: belongs to somebody else. Set api.scratch to another folder.")
        for folder in self.root.glob("request-*"):
            with suppress(FileNotFoundError):  # another process of the service tidies up too
                if folder.stat().st_mtime < time.time() - keep_s:
                    shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder for one request; gone with all its files when the block is left."""
        path = Path(tempfile.mkdtemp(prefix="request-", dir=self.root))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
