"""Files and folders on a disk or in a bucket, by one name: a path or an fsspec URI such as `s3://bucket/key`.

A write is whole or absent: on a disk through a temporary file and a rename, in a bucket by one upload. A
folder counts only with its MANIFEST.json, which is written last and holds the size and SHA-256 of every file;
a folder that was left half-written, or changed later, is refused by name of the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec.core

from segtalker.errors import SegTalkerError, StorageError

MANIFEST = "MANIFEST.json"
Uri = str | Path
_BLOCK_BYTES = 1 << 20
_STAMPED = ("size", "ETag", "etag", "LastModified", "last_modified", "created", "mtime")


def join(uri: Uri, *parts: str) -> str:
    """`uri` with parts appended by one slash each; empty parts add nothing."""
    stripped = [part.strip("/") for part in parts]
    return "/".join([str(uri).rstrip("/") if str(uri) != "/" else "", *filter(None, stripped)])


def is_local(uri: Uri) -> bool:
    """Whether the name is a path on this machine's disk."""
    return "://" not in str(uri) or str(uri).startswith("file://")


def local_path(uri: Uri) -> Path:
    """A local name, with or without `file://`, as a path."""
    return Path(str(uri).removeprefix("file://"))


def exists(uri: Uri) -> bool:
    """Whether a file or folder of this name is there."""
    filesystem, path = _resolve(uri)
    with _explained(uri, "look it up"):
        return bool(filesystem.exists(path))


def list_files(uri: Uri) -> list[str]:
    """All files under a folder, relative to it, sorted; an absent folder is empty."""
    filesystem, path = _resolve(uri)
    with _explained(uri, "list it"):
        root = path.rstrip("/") + "/"
        return sorted(str(name).removeprefix(root) for name in filesystem.find(path))


def list_names(uri: Uri) -> list[str]:
    """What lies directly in a folder, files and folders, sorted; an absent folder is empty.

    One request to a store however much lies below; another writer's unfinished local files are left out.
    """
    filesystem, path = _resolve(uri)
    with _explained(uri, "list it"):
        found: list[str] = []
        with suppress(FileNotFoundError):
            found = filesystem.ls(path, detail=False)
        names = {str(name).rstrip("/").rsplit("/", 1)[-1] for name in found}
        return sorted(name for name in names if not (name.startswith(".") and name.endswith(".part")))


def stamp_files(folder: Uri) -> dict[str, str]:
    """As `list_files`, each with a text that changes when the file is written again; reads none of them."""
    filesystem, path = _resolve(folder)
    with _explained(folder, "list it"):
        root = path.rstrip("/") + "/"
        found = sorted(filesystem.find(path, detail=True).items())
        return {str(name).removeprefix(root): _stamp(info) for name, info in found}


def stamp_file(uri: Uri) -> str:
    """A text that changes when the file is written again; nothing of it is read."""
    filesystem, path = _resolve(uri)
    with _explained(uri, "look it up"):
        return _stamp(filesystem.info(path))


def read_files(uris: Sequence[Uri]) -> list[bytes]:
    """The contents of small files of one store, fetched side by side where the store allows it."""
    if not uris:
        return []
    filesystem, paths = _resolve(uris[0])[0], [_resolve(uri)[1] for uri in uris]
    with _explained(uris[0], f"read it (or one of {len(uris) - 1} more)"):
        found = filesystem.cat(paths)
        return [bytes(found[path]) for path in paths]


def read_bytes(uri: Uri, start: int | None = None, stop: int | None = None) -> bytes:
    """The whole content of a file, or only its bytes [start, stop)."""
    filesystem, path = _resolve(uri)
    with _explained(uri, "read it"):
        return bytes(filesystem.cat_file(path, start=start, end=stop))


def read_if_exists(uri: Uri) -> bytes | None:
    """The whole content of a small file, None if it is absent; one request instead of two."""
    filesystem, path = _resolve(uri)
    with _explained(uri, "read it"):
        with suppress(FileNotFoundError):
            return bytes(filesystem.cat_file(path))
        return None


def write_bytes(uri: Uri, data: bytes) -> None:
    """Write a file, whole or not at all; an existing one is replaced."""
    filesystem, path = _resolve(uri)
    with _explained(uri, "write it"):
        if not is_local(uri):
            filesystem.pipe_file(path, data)
            return
        with _local_write(Path(path)) as temporary:
            temporary.write_bytes(data)


def create(uri: Uri, data: bytes) -> bool:
    """Write a file only if none of this name exists; returns whether it was written.

    Of several writers at once exactly one is told True, on disks (hard link) and on stores with conditional
    put (S3 If-None-Match, memory).
    """
    filesystem, path = _resolve(uri)
    with _explained(uri, "create it"):
        try:
            if not is_local(uri):
                _create_in_store(filesystem, path, data)
                return True
            (target := Path(path)).parent.mkdir(parents=True, exist_ok=True)
            temporary = _temporary(target)
            try:
                temporary.write_bytes(data)
                os.link(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)
            return True
        except FileExistsError:
            return False


def put_file(local: Path, uri: Uri) -> None:
    """Copy a local file to `uri`, whole or not at all."""
    filesystem, path = _resolve(uri)
    with _explained(uri, "write it"):
        if not is_local(uri):
            filesystem.put_file(str(local), path)
            return
        with _local_write(Path(path)) as temporary:
            shutil.copyfile(local, temporary)


def get_file(uri: Uri, local: Path) -> None:
    """Copy a file to this machine's disk, whole or not at all."""
    filesystem, path = _resolve(uri)
    with _explained(uri, "fetch it"), _local_write(local) as temporary:
        filesystem.get_file(path, str(temporary))


def remove(uri: Uri) -> None:
    """Delete a file or a folder; absent is fine."""
    filesystem, path = _resolve(uri)
    with _explained(uri, "delete it"):
        if filesystem.exists(path):
            with suppress(FileNotFoundError):  # somebody else deletes it as well
                filesystem.rm(path, recursive=True)


def content_sample(uri: Uri) -> str:
    """Hexadecimal digest of a file's size and of its first, middle and last megabyte.

    Names the content of a long video without reading all of it, the same on a disk and in a bucket.
    """
    filesystem, path = _resolve(uri)
    with _explained(uri, "read it"):
        size = int(filesystem.size(path))
        digest = hashlib.sha256(str(size).encode())
        with filesystem.open(path, "rb") as file:
            for start in sorted({0, max(0, (size - _BLOCK_BYTES) // 2), max(0, size - _BLOCK_BYTES)}):
                file.seek(start)
                digest.update(file.read(_BLOCK_BYTES))
        return digest.hexdigest()


def seal_folder(uri: Uri, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write MANIFEST.json over all files of a folder and return it; from now on the folder exists.

    extra: further keys for the manifest (what made it, from what).
    """
    names = [name for name in list_files(uri) if name != MANIFEST]
    if not names:
        raise StorageError(f"{uri}: nothing to seal, the folder is empty or absent.")
    files = {name: fingerprint(join(uri, name)) for name in names}
    manifest = {**(extra or {}), "files": files}
    write_bytes(join(uri, MANIFEST), (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
    return manifest


def is_sealed(uri: Uri) -> bool:
    """Whether the folder has its manifest."""
    return exists(join(uri, MANIFEST))


def verify_folder(uri: Uri, check_content: bool = True) -> dict[str, Any]:
    """Return the manifest of a folder whose files are all as sealed; `StorageError` names one that is not.

    check_content: compare SHA-256 too, not only sizes. Files that were added later are ignored.
    """
    if not is_sealed(uri):
        raise StorageError(f"{uri}: no {MANIFEST}, so the folder was never completed. Make it again.")
    manifest = parse_manifest(read_bytes(join(uri, MANIFEST)), uri)
    for name, sealed in manifest["files"].items():
        found = fingerprint(join(uri, name), with_hash=check_content)
        if any(sealed[key] != value for key, value in found.items()):
            raise StorageError(
                f"{join(uri, name)}: not the file that was sealed ({found['bytes']} of {sealed['bytes']} "
                "bytes). Copy or make the folder again."
            )
    return manifest


def parse_manifest(data: bytes, uri: Uri) -> dict[str, Any]:
    """The manifest of the folder `uri` out of the file's content."""
    try:
        manifest = json.loads(data)
        whole = all({"bytes", "sha256"} == set(told) for told in manifest["files"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise StorageError(f"{uri}: its {MANIFEST} is damaged. Make the folder again.") from error
    if not whole:
        raise StorageError(f"{uri}: its {MANIFEST} is of another kind. Make the folder again.")
    return manifest


def put_folder(local: Path, uri: Uri, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Copy a local folder to `uri`, its manifest last; returns the manifest.

    An existing manifest is removed first, so that a broken copy is never taken for whole.
    """
    names = [name for name in list_files(local) if name != MANIFEST]
    manifest = {**(extra or {}), "files": {name: fingerprint(local / name) for name in names}}
    if not names:
        raise StorageError(f"{local}: nothing to copy, the folder is empty or absent.")
    remove(join(uri, MANIFEST))
    for name in names:
        put_file(local / name, join(uri, name))
    write_bytes(join(uri, MANIFEST), (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
    verify_folder(uri, check_content=False)
    return manifest


def fetch_folder(uri: Uri, local: Path) -> dict[str, Any]:
    """Copy a sealed folder to a new local folder and verify what arrived; returns the manifest."""
    manifest = verify_folder(uri, check_content=False)
    if local.exists():
        raise StorageError(f"{local}: exists already. Name a new folder, or remove it first.")
    temporary = _temporary(local)
    try:
        for name in [*manifest["files"], MANIFEST]:
            get_file(join(uri, name), temporary / name)
        verify_folder(temporary)
        os.replace(temporary, local)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return manifest


def fingerprint(uri: Uri, with_hash: bool = True) -> dict[str, Any]:
    """Size and SHA-256 of a file, read in blocks."""
    filesystem, path = _resolve(uri)
    with _explained(uri, "verify it"):
        if not with_hash:
            return {"bytes": int(filesystem.size(path))}
        digest, size = hashlib.sha256(), 0
        with filesystem.open(path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                size += len(block)
        return {"bytes": size, "sha256": digest.hexdigest()}


def _resolve(uri: Uri) -> tuple[Any, str]:
    try:
        filesystem, path = fsspec.core.url_to_fs(str(uri), use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise StorageError(f"{uri}: this kind of storage cannot be used ({error}).") from error
    return filesystem, path


@contextmanager
def _explained(uri: Uri, action: str) -> Iterator[None]:
    """Turn whatever a file system raises into one sentence; their error classes have no common base."""
    try:
        yield
    except (SegTalkerError, KeyboardInterrupt):
        raise
    except FileNotFoundError as error:
        raise StorageError(f"{uri}: cannot {action}: there is no such file or folder.") from error
    except Exception as error:
        cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
        where = "credentials, the endpoint and the rights on the bucket"
        remedy = f"Check the name, the {where if '://' in str(uri) else 'access rights and the free space'}."
        raise StorageError(f"{uri}: cannot {action} ({' '.join(str(cause).split())}). {remedy}") from error


def _create_in_store(filesystem: Any, path: str, data: bytes) -> None:
    """Conditional put; `FileExistsError` when the name is taken, also by a writer at the same moment."""
    for wait_s in (0.05, 0.1, 0.2, 0.4, None):
        try:
            filesystem.pipe_file(path, data, mode="create")
            return
        except OSError as error:
            answer = getattr(error.__cause__, "response", None) or {}
            code = answer.get("Error", {}).get("Code")
            if code == "PreconditionFailed":  # not every store says which condition failed
                raise FileExistsError(path) from error
            # S3: another put of this name is in progress, whose end decides which of them won.
            if code != "ConditionalRequestConflict" or wait_s is None:
                raise
            time.sleep(wait_s)


def _stamp(info: Mapping[str, Any]) -> str:
    return " ".join(str(info[key]) for key in _STAMPED if key in info)


@contextmanager
def _local_write(target: Path) -> Iterator[Path]:
    """A temporary path beside `target`, renamed to it on success."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(target)
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")
