"""The work folder of one dub: what an interrupted run finds again, and how results get their final name.

The folder stands beside the output as `.NAME.segtalker/KEY`, where KEY is a digest of the contents of the
inputs and of every setting that changes the result: a run with other inputs never meets foreign leftovers.
It is removed once the video is complete, unless the caller named a folder of their own.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segtalker.errors import SegTalkerError, StorageError

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EEXIST: "a part of the path is a file",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOENT: "no file can be made there",
    errno.EFBIG: "the file is larger than is allowed there",
    errno.EIO: "the disk reports an error",
}
_SUFFIXES = (".mp4", ".m4v", ".mov")
"""Names under which players expect what is in an mp4."""


OnKeep = Callable[[Path, str], None]
"""Is given the folder of a run and the name of a file in it."""


@dataclass(frozen=True)
class Workspace:
    """One run's folder; all of its files may vanish at any time between runs."""

    folder: Path
    stays: bool
    """The caller asked for this folder, so it stays when the run is done."""
    on_keep: OnKeep | None = None
    """Told of every file that is finished; a service copies it to where other machines find it."""

    def path(self, *parts: str) -> Path:
        """A path inside; its parent exists."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def keep(self, path: Path) -> None:
        """A file, or all files of a folder, are finished: a run that goes on from here will find them."""
        if self.on_keep is None:
            return
        files = [path] if path.is_file() else sorted(path.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        for file in files:  # a folder's index is written last, and so it is told last
            self.on_keep(self.folder, file.relative_to(self.folder).as_posix())

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        """Tidy up after success, and after an error that left nothing to go on from."""
        of_use = "segments/*.mp4" if kind is not None and issubclass(kind, SegTalkerError) else "**/*.*"
        if kind is None or not any(self.folder.glob(of_use)):
            self.remove()

    def remove(self) -> None:
        """Delete the folder (and its parent once that is empty), unless the caller wants it."""
        if self.stays:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()


def open_workspace(
    output: Path, key: str, work_dir: Path | str | None = None, on_keep: OnKeep | None = None
) -> Workspace:
    """Make or find the folder of (output, key); leftovers of other keys of the same output are removed."""
    output.parent.mkdir(parents=True, exist_ok=True)
    if work_dir is not None:
        folder = Path(work_dir) / f"{output.stem}-{key}"
        folder.mkdir(parents=True, exist_ok=True)
        return Workspace(folder, True, on_keep)
    root = output.parent / f".{output.name}.segtalker"
    folder = root / key
    for stale in root.iterdir() if root.is_dir() else ():
        if stale != folder:
            shutil.rmtree(stale, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return Workspace(folder, False, on_keep)


def check_output(output: Path, beside: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Raise `StorageError` before any work where `output` could not be written; nothing is left behind.

    beside: what is written next to it and must not replace an input either.
    """
    if output.is_dir():
        raise StorageError(f"{output}: is a folder; give a file name such as {output / 'dubbed.mp4'}.")
    if output.suffix.lower() not in _SUFFIXES:
        raise StorageError(f"{output}: videos are written as mp4; give a name such as {output.stem}.mp4.")
    for path in (output, *beside):
        if any(source.exists() and path.exists() and source.samefile(path) for source in inputs):
            raise StorageError(f"{path}: is an input of this dub; choose another output name.")
    with explain_os_errors(output):
        folder = next(parent for parent in output.parents if parent.exists())
        longest = max((path.name for path in (output, *beside)), key=lambda name: len(os.fsencode(name)))
        probe = folder / f".{longest}.{os.getpid()}.{threading.get_ident()}.part"  # as files are named later
        probe.touch()
        probe.unlink()


@contextlib.contextmanager
def explain_os_errors(place: Path) -> Iterator[None]:
    """Turn what the operating system says about a full or closed disk into one line with a remedy.

    place: what the user chose to write to; it is named where the system names no file, or only ours.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        named = str(error.filename or place)
        where = place if named.endswith(".part") else named  # nobody has heard of our temporary files
        raise StorageError(
            f"{where}: cannot write: {_REASONS[error.errno]}. Mend that, or choose another place, and run "
            "the same command again; finished parts are kept."
        ) from error


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a small file so that `path` is either whole or as before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if isinstance(data, str):
            temporary.write_text(data, encoding="utf-8")
        else:
            temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def content_digest(*paths: Path) -> str:
    """Hexadecimal SHA-256 over the contents of files, in order."""
    digest = hashlib.sha256()
    for path in paths:
        part = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                part.update(block)
        digest.update(part.digest())
    return digest.hexdigest()


def run_key(*parts: str) -> str:
    """A short name for everything that decides a result."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
