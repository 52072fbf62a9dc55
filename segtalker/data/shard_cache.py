"""Corpora in a bucket, read through one cache a machine that all its processes share.

A corpus counts as far as it is sealed: `segtalker prepare` seals the folder of each clip, `put_folder` a
whole corpus; what has no MANIFEST.json is left out, as if it were not there. The indices are fetched once and
together; a shard when the first process needs it, because a run often needs only some of them, and terabytes
would delay its start. A file of the cache is named after its SHA-256, so it is never stale, and complete, so
it can be deleted at any time. One process fetches, the others wait for its lock; the system frees the lock of
a process that was killed.

The cache is `$SEGTALKER_SHARD_CACHE`, else `shards` in the cache of weights. Take a disk of the machine with
room for what its ranks read: sooner or later that is the whole training split.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segtalker import locks
from segtalker.data.shard_index import INDEX_NAME, Row, parse_index
from segtalker.errors import DataError, StorageError
from segtalker.storage import (
    MANIFEST,
    fingerprint,
    get_file,
    join,
    parse_manifest,
    read_files,
    stamp_files,
    write_bytes,
)
from segtalker.weights.store import cache_dir

_VARIABLE = "SEGTALKER_SHARD_CACHE"


@dataclass(frozen=True)
class RemoteFile:
    """A file in a bucket as it was sealed."""

    uri: str
    bytes: int
    sha256: str


def shard_cache_dir() -> Path:
    """The folder of fetched shards; it need not exist yet."""
    chosen = os.environ.get(_VARIABLE)
    return Path(chosen).expanduser() if chosen else cache_dir() / "shards"


def open_bucket(corpus: str) -> tuple[list[Row], dict[Path, RemoteFile]]:
    """The rows of a corpus, and where the shards that they name come from, by their paths in the cache."""
    rows: list[Row] = []
    remote: dict[Path, RemoteFile] = {}
    for part in _catalogue(corpus.rstrip("/")):
        sealed = {name: RemoteFile(**told) for name, told in part["files"].items()}
        where = join(part["uri"], INDEX_NAME)
        for row in parse_index(part["index"].encode(), Path(), where):
            if row.shard.name not in sealed:
                raise DataError(
                    f"{where}: names {row.shard}, which was not sealed. Prepare the corpus again."
                )
            file = sealed[row.shard.name]
            path = shard_cache_dir() / f"{file.sha256}{row.shard.suffix}"
            rows.append(replace(row, shard=path))
            remote[path] = file
    return rows, remote


def fetch_once(file: RemoteFile, path: Path) -> None:
    """Bring a file to `path` in the cache unless it is there: complete and as sealed, or not at all."""
    if _is_there(file, path):
        return
    with alone(path.name):
        if _is_there(file, path):
            return
        for left in path.parent.glob(f".*{path.name}*"):  # by a process that was killed
            left.unlink()
        free = shutil.disk_usage(path.parent).free
        if free < file.bytes:
            raise StorageError(
                f"{path.parent}: {free / 1e9:.1f} GB are free, {file.uri} needs {file.bytes / 1e9:.1f}. "
                f"Name a larger disk by {_VARIABLE}, or delete what is there."
            )
        fetched = path.with_name(f".{path.name}")
        get_file(file.uri, fetched)
        if fingerprint(fetched) != {"bytes": file.bytes, "sha256": file.sha256}:
            size = fetched.stat().st_size
            fetched.unlink()
            raise StorageError(_not_as_sealed(file, size))
        os.replace(fetched, path)


def _is_there(file: RemoteFile, path: Path) -> bool:
    # The content was checked on the way in; the size tells of a machine that lost power meanwhile.
    return path.is_file() and path.stat().st_size == file.bytes


def _catalogue(corpus: str) -> list[dict[str, Any]]:
    """The sealed parts of a corpus; fetched when something in the bucket has changed, else as kept here."""
    kept = shard_cache_dir() / f"{hashlib.sha256(corpus.encode()).hexdigest()}.json"
    with alone(kept.name):
        stamps = stamp_files(corpus)
        listing = {n: s for n, s in stamps.items() if n.rpartition("/")[2] in (MANIFEST, INDEX_NAME)}
        with suppress(OSError, ValueError, KeyError):  # absent, or damaged: then it is made again
            held = json.loads(kept.read_bytes())
            if held["listing"] == listing:
                return held["parts"]
        parts = _fetch_parts(corpus, listing)
        write_bytes(kept, json.dumps({"listing": listing, "parts": parts}).encode())
        return parts


def _fetch_parts(corpus: str, listing: Mapping[str, str]) -> list[dict[str, Any]]:
    """URI, index and sealed files of every part, in the order in which a local corpus is read."""
    folders = [n[: -len(MANIFEST)] for n in listing if n.endswith(MANIFEST) and n.count("/") <= 1]
    sealed: dict[str, dict[str, Any]] = {}
    for folder, data in zip(folders, read_files([join(corpus, f, MANIFEST) for f in folders]), strict=True):
        files = parse_manifest(data, join(corpus, folder))["files"]
        sealed |= {folder + name: {"uri": join(corpus, folder, name), **told} for name, told in files.items()}
    parts = sorted(
        {n.rpartition("/")[0] for n in sealed if n.endswith(f"/{INDEX_NAME}") and n.count("/") == 1}
    )
    if INDEX_NAME in sealed:
        parts = [""]
    if not parts:
        raise DataError(
            f"{corpus}: no sealed folder with an {INDEX_NAME}, so this is no finished corpus. "
            f"Prepare into the bucket, or copy a finished corpus together with its {MANIFEST} files."
        )
    names = [f"{part}/{INDEX_NAME}".lstrip("/") for part in parts]
    indices = read_files([sealed[name]["uri"] for name in names])
    return [
        {
            "uri": join(corpus, part),
            "index": _as_sealed(RemoteFile(**sealed[name]), index).decode(errors="replace"),
            "files": {
                n.rpartition("/")[2]: told for n, told in sealed.items() if n.rpartition("/")[0] == part
            },
        }
        for part, name, index in zip(parts, names, indices, strict=True)
    ]


def _as_sealed(file: RemoteFile, data: bytes) -> bytes:
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise StorageError(_not_as_sealed(file, len(data)))
    return data


def _not_as_sealed(file: RemoteFile, size: int) -> str:
    return (
        f"{file.uri}: not the file that was sealed ({size} of {file.bytes} bytes). "
        "Copy or make its folder again."
    )


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep the other processes of this machine from the file `name` of the cache."""
    root = shard_cache_dir()
    with ExitStack() as held:
        try:
            # One lock for all names that begin alike: their number stays small.
            held.enter_context(locks.alone(root / "locks" / name[:2]))
        except OSError as error:
            raise StorageError(
                f"{root}: cannot write the cache of shards ({error.strerror}). "
                f"Name a folder that can be written by {_VARIABLE}."
            ) from error
        yield
