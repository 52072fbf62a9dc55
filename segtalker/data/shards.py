"""Prepared clips on disk: safetensors shards with a JSON-lines index, read by slices.

A folder holds `shard-00000.safetensors`, ... and `index.jsonl`, one row a clip. Tensors are named
`<clip key>/<field>` (`FIELDS`). The index is written last and moved into place, so a folder without one is
unfinished. A folder of such folders is read as one corpus, so that several writers can work side by side.
Everything is on the 25 fps training grid: frame i shows the time i / 25 s of the clip's speech.
Needs only numpy and safetensors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from segtalker.errors import DataError
from segtalker.types import Phone

FPS = 25
INDEX_NAME = "index.jsonl"
SHARD_BYTES = 64 << 20

FIELDS: Mapping[str, tuple[type[np.generic], int, bool]] = {
    "maps": (np.uint8, 3, False),
    "mel": (np.float16, 2, True),
    "tokens": (np.float16, 2, True),
    "crops": (np.uint8, 4, False),
    "raw": (np.uint8, 3, False),
    "landmarks": (np.float16, 3, False),
    "opening": (np.float32, 1, False),
    "energy": (np.float32, 1, False),
    "mouth": (np.float16, 2, False),
}
"""Field -> (type on disk, dimensions, required). Shapes are those of `Sample`."""
MOUTH = ("opening", "width", "protrusion", "press")
"""Columns of the field `mouth`."""
_AUDIO = ("mel", "tokens")
"""Fields with a row count of their own; all others have a row a frame."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One clip of one person, ready for training."""

    key: str
    """Unique in its corpus; no slash."""
    mel: NDArray[np.floating[Any]]
    """[M, 80] mel spectrogram, 80 steps a second, step 0 at time 0."""
    tokens: NDArray[np.floating[Any]]
    """[T25, 104] stacked log-filterbank, 25 tokens a second."""
    identity: str
    voice: str
    engine: str
    """The synthesiser (or `human`) that spoke."""
    split: str
    """`train`, `val`, `test`, ... ; splits never share an identity."""
    phones: Sequence[Phone] = ()
    maps: NDArray[np.uint8] | None = None
    """[T, S, S] region maps of the aligned crop; absent where only the speech is prepared."""
    crops: NDArray[np.uint8] | None = None
    """[T, S, S, 3] RGB."""
    raw: NDArray[np.uint8] | None = None
    """[T, S, S] raw 19-label maps."""
    landmarks: NDArray[np.floating[Any]] | None = None
    """[T, 468, 2] in the unit crop."""
    opening: NDArray[np.float32] | None = None
    """[T] true inner-mouth opening, in any one unit."""
    energy: NDArray[np.float32] | None = None
    """[T] loudness of the speech around each frame."""
    mouth: NDArray[np.floating[Any]] | None = None
    """[T, 4] what the mouth does (`MOUTH`), the same scale for all people."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where it came from: JSON values."""


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


class ShardWriter:
    """Writes clips to `folder`; use as a context manager. The index appears only when the block ends well."""

    def __init__(self, folder: Path | str, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / INDEX_NAME).exists():
            raise DataError(f"{self.folder}: already holds prepared clips. Take another folder or remove it.")
        self._shard_bytes = shard_bytes
        self._tensors: dict[str, NDArray[Any]] = {}
        self._rows: dict[str, dict[str, Any]] = {}
        self._pending = 0
        self._num_shards = 0

    def add(self, sample: Sample) -> None:
        """Store one clip; a shard is written whenever `shard_bytes` have come together."""
        if sample.key in self._rows or "/" in sample.key:
            raise DataError(f"clip key '{sample.key}': keys must be unique and without a slash.")
        arrays = _checked_arrays(sample)
        if self._pending and self._pending + sum(a.nbytes for a in arrays.values()) > self._shard_bytes:
            self._flush()
        for name, array in arrays.items():
            self._tensors[f"{sample.key}/{name}"] = array
            self._pending += array.nbytes
        self._rows[sample.key] = {
            "key": sample.key,
            "shard": _shard_name(self._num_shards),
            "num_frames": _num_frames(sample),
            "size": 0 if sample.maps is None else int(sample.maps.shape[1]),
            "fps": FPS,
            "identity": sample.identity,
            "voice": sample.voice,
            "engine": sample.engine,
            "split": sample.split,
            "fields": sorted(arrays),
            "phones": [[p.label, round(p.start_s, 4), round(p.end_s, 4)] for p in sample.phones],
            "provenance": dict(sample.provenance),
        }

    def close(self) -> None:
        """Write what is left, then the index."""
        self._flush()
        temporary = self.folder / (INDEX_NAME + ".tmp")
        with temporary.open("w", encoding="utf-8") as file:
            for row in self._rows.values():
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.folder / INDEX_NAME)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def _flush(self) -> None:
        if not self._tensors:
            return
        path = self.folder / _shard_name(self._num_shards)
        temporary = path.with_suffix(".tmp")
        save_file(self._tensors, str(temporary))
        os.replace(temporary, path)
        self._num_shards += 1
        self._tensors, self._pending = {}, 0


class ShardReader:
    """Random access to the clips of one corpus; slices come from memory-mapped files, nothing is kept."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.rows: list[Row] = [row for part in _parts(self.folder) for row in _read_index(part)]
        if not self.rows:
            raise DataError(f"{self.folder}: the index holds no clip. Prepare the corpus again.")
        self._index = {row.key: i for i, row in enumerate(self.rows)}
        if len(self._index) != len(self.rows):
            raise DataError(f"{self.folder}: two clips share one key. Give the parts different keys.")
        self._handles: dict[Path, Any] = {}
        self._check_shards()

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handles": {}}  # open files do not travel to worker processes

    def index_of(self, key: str) -> int:
        """Position of the clip `key` in `rows`."""
        return self._index[key]

    def select(
        self, split: str | None = None, engines: Iterable[str] = (), voices: Iterable[str] = ()
    ) -> list[int]:
        """Positions of the clips of a split (all when None), of these engines and voices (all when empty)."""
        engines, voices = set(engines), set(voices)
        return [
            i
            for i, row in enumerate(self.rows)
            if (split is None or row.split == split)
            and (not engines or row.engine in engines)
            and (not voices or row.voice in voices)
        ]

    def read(self, clip: int, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Rows [start, stop) of the field `name` of one clip, as stored; `stop` may lie past the end."""
        view = self._slice(clip, name)
        length = view.get_shape()[0]
        return view[start : length if stop is None else min(stop, length)]

    def take(self, clip: int, name: str, indices: Iterable[int]) -> NDArray[Any]:
        """The rows `indices` of a field, in that order; only those are read from disk."""
        view = self._slice(clip, name)
        return np.concatenate([view[int(i) : int(i) + 1] for i in indices])

    def length(self, clip: int, name: str) -> int:
        """Rows that the field `name` of one clip has (frames, mel steps or tokens)."""
        return int(self._slice(clip, name).get_shape()[0])

    def _slice(self, clip: int, name: str) -> Any:
        row = self.rows[clip]
        if name not in row.fields:
            raise DataError(f"clip '{row.key}' of {self.folder} has no '{name}'. Prepare the corpus with it.")
        return self._open(row.shard).get_slice(f"{row.key}/{name}")

    def _open(self, shard: Path) -> Any:
        if shard not in self._handles:
            try:
                self._handles[shard] = safe_open(str(shard), framework="numpy")
            except (OSError, SafetensorError) as error:
                raise DataError(
                    f"{shard}: missing or damaged ({error}). Prepare the corpus again."
                ) from error
        return self._handles[shard]

    def _check_shards(self) -> None:
        names = {shard: set(self._open(shard).keys()) for shard in {row.shard for row in self.rows}}
        for row in self.rows:
            absent = [name for name in row.fields if f"{row.key}/{name}" not in names[row.shard]]
            if absent:
                raise DataError(
                    f"{row.shard}: '{row.key}/{absent[0]}' stands in the index but not in the shard. "
                    "The folder mixes two runs: prepare the corpus again."
                )


def _parts(folder: Path) -> list[Path]:
    if (folder / INDEX_NAME).is_file():
        return [folder]
    parts = sorted(path.parent for path in folder.glob(f"*/{INDEX_NAME}"))
    if not parts:
        raise DataError(
            f"{folder}: no {INDEX_NAME}, so this is no finished corpus. "
            "Make one with 'segtalker synth' or 'segtalker prepare', or let that run finish."
        )
    return parts


def _read_index(folder: Path) -> list[Row]:
    rows = []
    path = folder / INDEX_NAME
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            values = json.loads(line)
            rows.append(
                Row(
                    shard=folder / values["shard"],
                    fields=tuple(values["fields"]),
                    phones=tuple(Phone(label, start, end) for label, start, end in values["phones"]),
                    **{k: values[k] for k in ("key", "num_frames", "size", "identity", "voice", "engine")},
                    **{k: values[k] for k in ("split", "provenance")},
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}, line {number}: not a row of an index ({error!r}).") from error
    return rows


def _checked_arrays(sample: Sample) -> dict[str, NDArray[Any]]:
    arrays = {}
    for name, (kind, ndim, required) in FIELDS.items():
        value = getattr(sample, name)
        if value is None and not required:
            continue
        if value is None or value.ndim != ndim or len(value) == 0:
            shape = None if value is None else value.shape
            raise DataError(f"clip '{sample.key}': '{name}' needs {ndim} dimensions, found {shape}.")
        if name not in _AUDIO and len(value) != _num_frames(sample):
            raise DataError(
                f"clip '{sample.key}': '{name}' has {len(value)} frames, the clip has {_num_frames(sample)}."
            )
        arrays[name] = np.ascontiguousarray(value, dtype=kind)
    return arrays


def _num_frames(sample: Sample) -> int:
    """Frames of the first field that has a row a frame; maps come first."""
    for name in FIELDS:
        value = None if name in _AUDIO else getattr(sample, name)
        if value is not None:
            return len(value)
    raise DataError(f"clip '{sample.key}': holds nothing that has frames.")


def _shard_name(number: int) -> str:
    return f"shard-{number:05d}.safetensors"
