"""The index of prepared clips: JSON lines, one row a clip, which say where each is and what it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segtalker.data.packing import OFFSETS, Packed
from segtalker.data.sample import FPS, Sample
from segtalker.errors import DataError
from segtalker.types import Phone

INDEX_NAME = "index.jsonl"
SHARD_VERSION = 2
"""Of rows and shards. 1 (rows without a version) knew no packed fields; it is still read."""


@dataclass(frozen=True)
class Row:
    """What the index says about one clip."""

    key: str
    shard: Path
    num_frames: int
    size: int
    """Side of the maps, pixels; 0 without maps."""
    identity: str
    voice: str
    engine: str
    split: str
    fields: tuple[str, ...]
    phones: tuple[Phone, ...]
    provenance: Mapping[str, Any]
    packed: Mapping[str, Packed] = field(default_factory=dict)
    """Those of `fields` that are compressed."""

    @property
    def tensors(self) -> list[str]:
        """Names of all tensors of the clip in its shard."""
        names = [f"{self.key}/{name}" for name in self.fields]
        return names + [f"{self.key}/{name}{OFFSETS}" for name in self.packed]


def row_line(sample: Sample, shard: str, fields: Sequence[str], packed: Mapping[str, Packed]) -> str:
    """One line of an index, with its end."""
    values = {
        "version": SHARD_VERSION,
        "key": sample.key,
        "shard": shard,
        "num_frames": sample.num_frames,
        "size": 0 if sample.maps is None else int(sample.maps.shape[1]),
        "fps": FPS,
        "identity": sample.identity,
        "voice": sample.voice,
        "engine": sample.engine,
        "split": sample.split,
        "fields": sorted(fields),
        "packed": {name: {"codec": p.codec, "frame": list(p.frame)} for name, p in packed.items()},
        "phones": [[p.label, round(p.start_s, 4), round(p.end_s, 4)] for p in sample.phones],
        "provenance": dict(sample.provenance),
    }
    return json.dumps(values, ensure_ascii=False) + "\n"


def parse_index(data: bytes, folder: Path, where: object) -> list[Row]:
    """The rows of an index whose shards lie in `folder`; errors name `where`, the line and a remedy."""
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: damaged, not text ({error}). Prepare the corpus again.") from error
    return [_parse_row(line, folder, f"{where}, line {number}") for number, line in enumerate(lines, start=1)]


def _parse_row(line: str, folder: Path, where: str) -> Row:
    try:
        values = json.loads(line)
        version, fps = values.get("version", 1), values["fps"]
        if version not in range(1, SHARD_VERSION + 1) or fps != FPS:
            raise DataError(
                f"{where}: prepared in format {version} at {fps} frames a second, this program reads formats "
                f"1 to {SHARD_VERSION} at {FPS}. Take the program that prepared it, or prepare it again."
            )
        if Path(values["shard"]).name != values["shard"]:
            raise ValueError(f"shard {values['shard']!r} is no plain name")
        return Row(
            shard=folder / values["shard"],
            fields=tuple(values["fields"]),
            phones=tuple(Phone(label, start, end) for label, start, end in values["phones"]),
            packed={
                name: Packed(_known_codec(told["codec"]), tuple(told["frame"]))
                for name, told in values.get("packed", {}).items()
            },
            **{k: values[k] for k in ("key", "num_frames", "size", "identity", "voice", "engine")},
            **{k: values[k] for k in ("split", "provenance")},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: not a row of an index ({error!r}). Prepare the corpus again.") from error


def _known_codec(name: str) -> Any:
    if name not in ("jpeg", "zlib"):
        raise ValueError(f"unknown codec {name!r}")
    return name
