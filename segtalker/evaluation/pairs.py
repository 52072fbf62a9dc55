"""What is compared with what: the rows of an evaluation, out of a manifest or out of folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Any

from segtalker.data.manifest import VIDEO_SUFFIXES
from segtalker.data.tables import refuse_unknown
from segtalker.errors import DataError
from segtalker.storage import Uri, join, list_files

SPEECH_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus"})


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One video of a method and what it is measured against: paths or fsspec URIs, empty for none."""

    id: str
    """Names the row; the same in all methods."""
    output: str
    """The method's video; it may be missing, which is a failure of the method."""
    reference: str = ""
    """The video that the output should equal: of the same person saying the same."""
    source: str = ""
    """The video whose pictures the method was given; often the reference, then it may be left out."""
    speech: str = ""
    """What the output should say; by default the output's own sound."""
    labels: str = ""
    """JSON with `phones` [[label, start, end]] of the speech, and perhaps `opening` [T] with its `fps`."""
    shown: str = ""
    """Frames of the 25 fps grid that the method was shown of the true video as the person's looks, as in
    `3 17 40`: what compares pictures, landmarks and maps with the reference leaves them out."""

    @property
    def shown_frames(self) -> frozenset[int]:
        """`shown` as numbers."""
        return frozenset(map(int, self.shown.split()))


COLUMNS = tuple(item.name for item in fields(Pair))
PLACES = tuple(name for name in COLUMNS if name not in ("id", "shown"))
"""Columns that name files."""


def pair_from_values(values: Mapping[str, Any], base: Uri = "") -> Pair:
    """A pair of plain values, as stored; `ValueError` says what is wrong.

    base: the folder from which relative paths count.
    """
    refuse_unknown(values, COLUMNS)
    told = {name: str(values[name]) for name in values if values[name] not in (None, "")}
    if missing := [name for name in ("id", "output") if name not in told]:
        raise ValueError(f"no '{missing[0]}'; there must be id and output")
    if not told.get("shown", "0").replace(" ", "").isdecimal():
        raise ValueError(f"shown '{told['shown']}': expected numbers of frames, as in 3 17 40")
    return Pair(**{name: _from(base, value) if name in PLACES else value for name, value in told.items()})


def pair_to_values(pair: Pair) -> dict[str, str]:
    """The plain values of a pair, without those that are empty."""
    return {name: getattr(pair, name) for name in COLUMNS if getattr(pair, name)}


def folder_pairs(
    outputs: Uri, references: Uri = "", sources: Uri = "", speech: Uri = "", labels: Uri = ""
) -> list[Pair]:
    """Videos of folders matched by name without suffix, sub-folders included.

    Of every reference there is a row, also where the method made no video; without references, of every
    output. `DataError` where two files share a name, an output has no reference, or a folder that is named
    lacks what a row needs (labels may be of some rows only).
    """
    made = _by_stem(outputs, VIDEO_SUFFIXES)
    true = _by_stem(references, VIDEO_SUFFIXES) if references else {}
    if not (true if references else made):
        raise DataError(f"{references or outputs}: no video in it. Name a folder of videos.")
    rows = sorted(true or made)
    others = {
        "source": _of_rows(rows, sources, VIDEO_SUFFIXES),
        "speech": _of_rows(rows, speech, SPEECH_SUFFIXES | VIDEO_SUFFIXES),
        "labels": _of_rows(rows, labels, frozenset({".json"}), some=True),
    }
    if strange := sorted(set(made) - set(true)) if true else []:
        raise DataError(
            f"{made[strange[0]]}: no video of this name in {references} ({len(strange)} such). "
            "Name outputs like their references, or give a manifest of pairs."
        )
    return [
        Pair(
            id=stem,
            output=made.get(stem) or join(outputs, f"{stem}.mp4"),
            reference=true.get(stem, ""),
            **{name: found[stem] for name, found in others.items() if stem in found},
        )
        for stem in rows
    ]


def check_pairs(pairs: Sequence[Pair], where: Uri) -> None:
    """Raise `DataError` where rows cannot be told apart; `where` is named in it."""
    if not pairs:
        raise DataError(f"{where}: no pairs in it. Add rows with at least id and output.")
    seen: set[str] = set()
    for pair in pairs:
        if pair.id in seen:
            raise DataError(f"{where}: two rows have the id '{pair.id}'. Give every row its own.")
        seen.add(pair.id)


def _of_rows(
    rows: Sequence[str], folder: Uri, suffixes: frozenset[str], some: bool = False
) -> dict[str, str]:
    """Row -> its file in `folder`; `DataError` where a row (or with `some`, every row) has none."""
    if not folder:
        return {}
    found = _by_stem(folder, suffixes)
    missing = [stem for stem in rows if stem not in found]
    if missing and not (some and len(missing) < len(rows)):
        raise DataError(
            f"{folder}: no file of it is called like '{missing[0]}' ({len(missing)} of {len(rows)} such). "
            "Name its files like the videos, or give a manifest of pairs."
        )
    return found


def _by_stem(folder: Uri, suffixes: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in list_files(folder):
        path = PurePosixPath(name)
        if path.suffix.lower() not in suffixes or any(part.startswith(".") for part in path.parts):
            continue
        stem = str(path.with_suffix(""))
        if stem in found:
            raise DataError(f"{join(folder, name)}: another file is called '{stem}' too. Rename one.")
        found[stem] = str(join(folder, name))
    return found


def _from(base: Uri, place: str) -> str:
    relative = base != "" and "://" not in place and not place.startswith("/")
    return str(join(base, place)) if relative else place
