"""A downloaded archive becomes a folder, without trusting what it says of itself."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from segtalker.errors import StorageError, WeightsError

MOST_FILES = 64
MOST_BYTES = 4 << 30
"""Of all files together, unpacked."""
_BLOCK_BYTES = 1 << 20
_ENCRYPTED = 0x1
NO_DIRECTORY = (zipfile.BadZipFile, ValueError, NotImplementedError)
"""What Python raises on an archive's damaged list of files: names that are no text, places before the file's
begin (`ValueError`), unknown versions (`NotImplementedError`)."""
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""As which damage shows: a wrong checksum, a stream that ends, or (`RuntimeError`, of which
`NotImplementedError` is one) a file that is marked as encrypted or as packed in a way that does not exist."""


def unpack(archive: Path, folder: Path) -> None:
    """Put the files of a zip archive into a new folder; one folder around all of them is left out.

    Nothing is written outside `folder`: names that lead out of it, links and special files are refused, and
    so are archives of more than `MOST_FILES` files or `MOST_BYTES`, whatever sizes they declare. Raises
    `StorageError` if the disk is full.
    """
    try:
        with zipfile.ZipFile(archive) as contents:
            infos = [info for info in contents.infolist() if not info.is_dir()]
            names = [_safe_name(info, archive) for info in infos]
            if (
                not infos
                or len(infos) > MOST_FILES
                or len({str(name).lower() for name in names}) < len(names)
            ):
                raise WeightsError(
                    f"{archive}: refused: {len(infos)} files; expected 1 to {MOST_FILES} of different names."
                )
            around = {name.parts[0] for name in names}
            strip = 1 if len(around) == 1 and all(len(name.parts) > 1 for name in names) else 0
            left = MOST_BYTES
            for info, name in zip(infos, names, strict=True):
                path = folder.joinpath(*name.parts[strip:])
                with writing(f"{name} of {archive}", folder.parent):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with contents.open(info) as source, path.open("xb") as target:
                        left -= _copy(source, target, left, archive)
    except DAMAGE as error:
        raise WeightsError(f"{archive}: a damaged archive ({error}). Fetch it again.") from error


@contextmanager
def writing(what: str, folder: Path, variable: str = "SEGTALKER_CACHE") -> Iterator[None]:
    """Turn what a disk raises while `what` is written into one sentence; `variable` sets its `folder`."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{what}: cannot be written into {folder}: {error.strerror or error}. "
            f"Free some space there, or set {variable} to a folder on a larger disk."
        ) from error


def _safe_name(info: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    """Name of a file in an archive, if it stays below the folder that it is unpacked into."""
    name = PurePosixPath(info.filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    leads_out = name.is_absolute() or ".." in name.parts or any(c in info.filename for c in "\\:\0")
    if leads_out or kind not in (0, stat.S_IFREG) or info.flag_bits & _ENCRYPTED or not name.parts:
        raise WeightsError(f"{archive}: refused: {info.filename!r} is no plain file inside the archive.")
    return name


def _copy(source: IO[bytes], target: IO[bytes], most: int, archive: Path) -> int:
    """Bytes copied; `WeightsError` as soon as they are more than `most`."""
    total = 0
    while block := source.read(_BLOCK_BYTES):
        total += len(block)
        if total > most:
            raise WeightsError(f"{archive}: refused: it unpacks to more than {MOST_BYTES} bytes.")
        target.write(block)
    return total
