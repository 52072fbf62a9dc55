"""The local cache of foreign networks: where each is, whether it is whole, and how a file enters.

The cache is `$SEGTALKER_CACHE`, else `~/.cache/segtalker`; several machines may share it. A file enters only
whole, written beside its place and renamed. Nobody has published a hash of what the cache keeps where that is
our own safetensors of a published file: size and SHA-256 are recorded on the way in, in NAME.json beside the
file; a pack is a sealed folder. Nothing is fetched here; that is `weights.fetching`.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segtalker import locks
from segtalker.errors import StorageError, WeightsError
from segtalker.storage import fingerprint, is_sealed, seal_folder, verify_folder, write_bytes
from segtalker.weights.registry import ROWS, WeightsRow, groups, rows_of
from segtalker.weights.remedies import remedy

State = Literal["ready", "missing", "damaged", "unrecorded"]
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems answer that know no locks."""


@dataclass(frozen=True)
class WeightsStatus:
    """One row and what the cache holds of it."""

    row: WeightsRow
    path: Path
    state: State
    """`unrecorded`: there, but put there by hand, so that nobody knows whether it is still what it was."""
    why: str = ""
    """Of damage."""


def cache_dir() -> Path:
    """The folder of foreign networks; it need not exist yet."""
    chosen = os.environ.get("SEGTALKER_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "segtalker"


def locate(name: str) -> Path:
    """Path of a network in the cache; `WeightsError` with the remedy if it is not there.

    Only the size is checked here: the hash was checked on the way in, and reading it anew at every start of a
    worker would cost more than it gives. `examine` checks both.
    """
    found = examine(_row(name), check_content=False)
    if found.state == "missing":
        raise WeightsError(f"{found.path} is missing ({name}, for {found.row.consumer}). {remedy(found.row)}")
    if found.state == "damaged":
        raise WeightsError(f"{found.path} is damaged: {found.why}. {remedy(found.row)}")
    return found.path


def cached(name: str) -> Path | None:
    """Path of the row called `name` if the cache holds it, for what switches on by itself; else None.

    `WeightsError`, as of `locate`, if it is damaged: what it switches would be off without a word.
    """
    row = next((row for row in ROWS if row.name == name), None)
    if row is None or examine(row, check_content=False).state == "missing":
        return None
    return locate(name)


def place_of(name: str) -> Path | None:
    """Where the cache keeps the row called `name`; None if there is no such row."""
    return next((path_of(row) for row in ROWS if row.name == name), None)


def path_of(row: WeightsRow) -> Path:
    """Where the cache keeps a row."""
    return cache_dir() / row.group / row.filename


def wanted(names: Sequence[str]) -> list[WeightsRow]:
    """The rows of names and groups, each once; `WeightsError` lists what is known if one is not."""
    rows: dict[str, WeightsRow] = {}
    for name in names:
        if not (found := rows_of(name)):
            known = ", ".join([*groups(), *(row.name for row in ROWS)])
            raise WeightsError(f"no weights are called '{name}'; known groups and names: {known}.")
        rows |= {row.name: row for row in found}
    return list(rows.values())


def status(check_content: bool = False) -> list[WeightsStatus]:
    """Every row with the state of its file; `check_content` reads the files and compares their hashes."""
    return [examine(row, check_content) for row in ROWS]


def examine(row: WeightsRow, check_content: bool = True) -> WeightsStatus:
    """The state of one row; see `status`."""
    path = path_of(row)
    try:
        if not path.exists():
            return WeightsStatus(row, path, "missing")
        if wrong := _not_one(row, path):
            return WeightsStatus(row, path, "damaged", wrong)
        if row.is_pack:
            known = is_sealed(path)
            if known:
                verify_folder(path, check_content)
        else:
            known = (expected := _expected(row, path)) is not None
            found = fingerprint(path, with_hash=check_content)
            for what, value in found.items():
                if expected is not None and value != expected[what]:
                    why = f"its {what} is {value}, expected {expected[what]}"
                    return WeightsStatus(row, path, "damaged", why)
    except StorageError as error:
        return WeightsStatus(row, path, "damaged", str(error).removesuffix("."))
    except OSError as error:
        why = f"cannot be read ({error.strerror}). Set SEGTALKER_CACHE to a folder that you may read"
        return WeightsStatus(row, path, "damaged", why)
    return WeightsStatus(row, path, "ready" if known or not check_content else "unrecorded")


@contextmanager
def installing(place: Path, origin: str) -> Iterator[Path]:
    """A path beside `place` to write a file (or make a folder) at; it gets its place, recorded, at the end.

    origin: where it comes from, for the record. Whoever installs the same at the same time, one whole file
    with its own record is there afterwards; after an error what was there before.
    """
    made = place.with_name(f".{place.name}.{uuid.uuid4().hex[:12]}.part")
    with _explained(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield made
        with locked("-".join(place.relative_to(cache_dir()).parts)), _explained(place):
            if made.is_dir():
                seal_folder(made, {"from": origin})
                _replace_folder(made, place)
            else:
                # The record first: who is killed between the two leaves damage that is seen and mended.
                told = {**fingerprint(made), "from": origin}
                write_bytes(_record_path(place), (json.dumps(told, indent=1) + "\n").encode())
                _replace_file(made, place)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        made.unlink(missing_ok=True)


@contextmanager
def locked(name: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Keep other processes from what `name` stands for; False inside where the file system knows no locks."""
    with ExitStack() as held:
        known = True
        with _explained(cache_dir()):
            try:
                held.enter_context(locks.alone(cache_dir() / ".locks" / name, on_wait))
            except OSError as error:
                known = error.errno not in _NO_LOCKS
                if known:
                    raise
        yield known


def _not_one(row: WeightsRow, path: Path) -> str:
    """Why what is at `path` cannot be the network of `row`, whatever it holds; empty if it can."""
    if row.is_pack:
        if not path.is_dir():
            return "is not a folder"
        return "" if any(path.iterdir()) else "is an empty folder"
    if not path.is_file():
        return "is not a file"
    return "" if path.stat().st_size else "is an empty file"


def _expected(row: WeightsRow, path: Path) -> dict[str, Any] | None:
    """Size and hash of what the cache keeps: as published, or as recorded on the way in."""
    if row.network is None and row.sha256 is not None and row.size is not None:
        return {"bytes": row.size, "sha256": row.sha256}
    try:
        told = json.loads(_record_path(path).read_bytes())
        return {"bytes": int(told["bytes"]), "sha256": str(told["sha256"])}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(f"{_record_path(path)}: a damaged record ({error})") from error


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _replace_file(made: Path, place: Path) -> None:
    """Rename a file to `place`, even where a folder is in the way."""
    if place.is_dir():
        _replace_folder(made, place)
    else:
        os.replace(made, place)


def _replace_folder(made: Path, place: Path) -> None:
    """Rename to `place`; a folder cannot take the place of another, so that goes first."""
    old = made.with_name(f"{made.name}.old")
    if place.exists():
        os.replace(place, old)
    os.replace(made, place)
    if old.is_file() or old.is_symlink():
        old.unlink()
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WeightsError(
            f"{place}: cannot write the weights cache: {error.strerror}. "
            "Set SEGTALKER_CACHE to a folder that can be written."
        ) from error


def _row(name: str) -> WeightsRow:
    for row in ROWS:
        if row.name == name:
            return row
    raise WeightsError(f"no weights are called '{name}'; known: {', '.join(row.name for row in ROWS)}.")
