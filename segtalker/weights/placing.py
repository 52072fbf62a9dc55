"""Which place of the cache an imported network takes: that of its row, if its file is the published one."""

from __future__ import annotations

from pathlib import Path

from segtalker.errors import WeightsError
from segtalker.weights.checkpoint import is_ours, weights_info
from segtalker.weights.registry import WeightsRow, rows_of
from segtalker.weights.sources import require_published
from segtalker.weights.store import examine, path_of


def default_place(row: str, network: str, is_start: bool, path: Path, origin: tuple[str, str]) -> Path:
    """The cache keeps published networks; a start of a training has no place there.

    origin: SHA-256 of `path` and the group of tensors in it.
    """
    known = next((known for known in rows_of(row) if known.name == row), None)
    if is_start or known is None:
        why = "a start for one training" if is_start else f"no published file ('{row}' is not in the list)"
        raise WeightsError(f"{path}: {why}: say where the {network} goes, with -o OUT.safetensors.")
    try:
        require_published(path, known.source)
    except WeightsError as error:
        raise WeightsError(
            f"{path}: not the published bytes of {row} ({known.source.filename}); keep it elsewhere with "
            "-o FILE."
        ) from error
    _refuse_to_replace(known, path, origin)
    return path_of(known)


def _refuse_to_replace(row: WeightsRow, path: Path, origin: tuple[str, str]) -> None:
    """`WeightsError` if the cache holds the network of another file, or another copy out of this one."""
    place = path_of(row)
    if examine(row, check_content=False).state != "ready" or not is_ours(place):
        return
    told = weights_info(place)["info"]
    if (told.get("sha256"), told.get("group")) != origin:
        raise WeightsError(
            f"{path}: {place} holds {row.name} out of other bytes ({told.get('source', 'unknown')}); "
            "keep this one elsewhere with -o FILE, or remove that first."
        )
