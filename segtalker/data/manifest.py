"""The list of clips that a preparation works off: one row a clip, whatever dataset it comes from.

A row names a time range of a video, the person in it and the split; it is planned once, stored as JSON lines,
CSV or Parquet (where pyarrow is installed), and any machine can work off any row. Splits go by a hash of the
identity alone, so nobody stands in two of them, and adding or removing videos moves nobody else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

from segtalker.data.tables import read_table, refuse_unknown, write_table
from segtalker.errors import ConfigError, DataError
from segtalker.storage import Uri, join, list_files

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".webm", ".mov", ".m4v", ".avi", ".mpg", ".mpeg", ".ts", ".flv"})
_COLUMNS = (
    "clip", "source", "start", "end", "crop", "identity", "split", "dataset", "voice", "engine", "labels",
)  # fmt: skip
_REQUIRED = ("clip", "source", "identity", "split")


@dataclass(frozen=True, kw_only=True)
class CropBox:
    """Where the person is, in pixels of a rendition that is `frame_height` high."""

    left: int
    top: int
    width: int
    height: int
    frame_height: int

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.frame_height) < 1 or min(self.left, self.top) < 0:
            raise ValueError("a crop box has positive sides and lies inside its frame")

    def scaled(self, frame_height: int) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels of a rendition that is `frame_height` high."""
        scale = frame_height / self.frame_height
        right, bottom = self.left + self.width, self.top + self.height
        return self.left * scale, self.top * scale, right * scale, bottom * scale


@dataclass(frozen=True, kw_only=True)
class ClipRow:
    """One clip of one person."""

    clip: str
    """Stable key, unique in the manifest: letters, digits, `.`, `_` and `-`."""
    source: str
    """The video: a path or an fsspec URI."""
    start: Fraction = Fraction(0)
    """Seconds since the first frame."""
    end: Fraction | None = None
    """Seconds; None is the end of the video."""
    crop: CropBox | None = None
    """Chooses the person; the largest face without one."""
    identity: str
    split: str
    dataset: str = ""
    voice: str = ""
    """Who is heard; the identity where empty."""
    engine: str = "human"
    """The synthesiser that spoke."""
    labels: str = ""
    """JSON file with what is known of the clip (`phones` [[label, start, end]]); empty where nothing is."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.clip):
            raise ValueError(f"clip {self.clip!r}: keys are of letters, digits, '.', '_' and '-'")
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise ValueError(f"clip {self.clip}: the range {self.start}..{self.end} s holds nothing")


@dataclass(frozen=True)
class SplitConfig:
    """Shares of the people, not of the clips."""

    val: float = 0.05
    test: float = 0.05
    salt: str = "split"
    """Another salt draws other people."""

    def __post_init__(self) -> None:
        if min(self.val, self.test) < 0 or self.val + self.test >= 1:
            raise ConfigError("val and test are shares of the people that leave some for training.")


def split_of(identity: str, cfg: SplitConfig | None = None) -> str:
    """`train`, `val` or `test`: a function of the identity's name alone."""
    cfg = cfg or SplitConfig()
    # Not the hash by which trainings share out the people of one split, or those shares would be skewed.
    digest = hashlib.sha256(f"{cfg.salt}:{identity}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < cfg.val:
        return "val"
    return "test" if place < cfg.val + cfg.test else "train"


def folder_rows(folder: Uri, split: SplitConfig | None = None, dataset: str = "folder") -> list[ClipRow]:
    """A row for every video below a folder or bucket.

    The person is the first sub-folder, or for files directly in the folder the file's name.
    """
    rows = []
    for name in list_files(folder):
        path = PurePosixPath(name)
        hidden = any(part.startswith(".") for part in path.parts)
        if path.suffix.lower() not in VIDEO_SUFFIXES or hidden:
            continue
        identity = path.parts[0] if len(path.parts) > 1 else path.stem
        rows.append(
            ClipRow(
                clip=clip_key(name),
                source=join(folder, name),
                identity=identity,
                split=split_of(identity, split),
                dataset=dataset,
            )
        )
    if not rows:
        kinds = ", ".join(sorted(VIDEO_SUFFIXES))
        raise DataError(f"{folder}: no video in it (looked for {kinds}). Name a folder of videos.")
    return unique_rows(rows)


def clip_key(name: str) -> str:
    """A key for a file's relative name; names that need other characters keep apart by a digest."""
    stem = name.removesuffix(PurePosixPath(name).suffix)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip("._-") or "clip"
    return plain if plain == stem else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def unique_rows(rows: Sequence[ClipRow]) -> list[ClipRow]:
    """The rows, sorted by key; `DataError` where two share one."""
    by_key: dict[str, ClipRow] = {}
    for row in rows:
        if row.clip in by_key:
            raise DataError(
                f"clip '{row.clip}': both {by_key[row.clip].source} and {row.source} have this key. "
                "Rename one of the files."
            )
        by_key[row.clip] = row
    return [by_key[key] for key in sorted(by_key)]


def write_manifest(rows: Iterable[ClipRow], uri: Uri) -> None:
    """Store rows as .jsonl, .csv or .parquet, whole or not at all."""
    write_table((_to_values(row) for row in rows), _COLUMNS, uri)


def read_manifest(uri: Uri) -> list[ClipRow]:
    """The rows of a stored manifest; `DataError` names the file and the line that is wrong."""
    rows = []
    for line, values in read_table(uri, "Plan it again."):
        try:
            rows.append(row_from_values(values))
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            why = f"no '{error.args[0]}'" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{uri}, line {line}: not a clip: {why}. Mend the line or plan again.") from error
    return unique_rows(rows)


def row_from_values(values: Mapping[str, Any]) -> ClipRow:
    """A row of plain values, as stored: every value text, empty or absent where there is none."""
    refuse_unknown(values, _COLUMNS)
    told = {name: str(values[name]) for name in values if values[name] not in (None, "")}
    crop = told.pop("crop", None)
    start, end = told.pop("start", "0"), told.pop("end", None)
    return ClipRow(
        **{name: told.pop(name) for name in _REQUIRED},
        start=Fraction(start),
        end=None if end is None else Fraction(end),
        crop=None if crop is None else _crop(crop),
        **told,  # type: ignore[arg-type]
    )


def row_to_values(row: ClipRow) -> dict[str, str]:
    """The plain values of a row, without those that are empty."""
    return {name: value for name, value in _to_values(row).items() if value}


def _to_values(row: ClipRow) -> dict[str, str]:
    box = row.crop
    crop = "" if box is None else f"{box.left} {box.top} {box.width} {box.height} {box.frame_height}"
    values = {name: getattr(row, name) for name in _COLUMNS}
    values |= {"start": str(row.start), "end": "" if row.end is None else str(row.end), "crop": crop}
    return values


def _crop(text: str) -> CropBox:
    numbers = [int(part) for part in text.split()]
    if len(numbers) != 5:
        raise ValueError(f"crop '{text}': expected left, top, width, height and frame height")
    left, top, width, height, frame_height = numbers
    return CropBox(left=left, top=top, width=width, height=height, frame_height=frame_height)
