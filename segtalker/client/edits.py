"""Edits of a request: read as the command line reads them, their files on the way to the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REMOTE = ("s3://", "https://")
"""Beginnings of addresses that the service fetches itself."""

GivenEdits = str | Path | Mapping[str, Any] | Sequence[str | Path | Mapping[str, Any]]
"""Short forms, a YAML recipe, an edit as `{"edit": "frown", "amount": 0.5}`, or a list of these."""


@dataclass(frozen=True)
class SentEdits:
    """Edits as the service takes them, in plain values."""

    values: list[dict[str, Any]]
    references: dict[str, Path] = field(default_factory=dict)
    """Name in the edits -> the file to be sent under it."""


def read_given(edits: GivenEdits) -> SentEdits:
    """Edits with their local files by names alone; `ConfigError` for what cannot be read.

    A recipe's files count from its own folder, all others from where the program runs.
    """
    from segtalker.editing.files import name_files, named_files
    from segtalker.editing.plain import EditReader

    given: Any = [edits] if isinstance(edits, (str, Path, Mapping)) else list(edits)
    texts = [str(item) if isinstance(item, Path) else item for item in given]
    read = EditReader(_placed).read(texts, Path.cwd())
    names: dict[str, str] = {}
    for place in named_files(read):
        if not place.startswith(REMOTE):
            name = Path(place).name
            names[place] = name if name not in names.values() else f"{len(names) + 1}-{name}"
    sent = [name_files(edit, lambda place: names.get(place, place)) for edit in read]
    return SentEdits(sent, {name: Path(place) for place, name in names.items()})


def _placed(name: str, folder: str | Path) -> str:
    return name if name.startswith(REMOTE) else str(Path(folder, name))
