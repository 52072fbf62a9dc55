"""Prepared clips: safetensors shards with a JSON-lines index, written to a folder, read by slices.

A folder holds `shard-00000.safetensors`, ... and `index.jsonl`, one row a clip. Tensors are named
`<clip key>/<field>` (`FIELDS`). The index is written last and moved into place, so a folder without one is
unfinished. A folder of such folders is read as one corpus, so that several writers can work side by side.
Everything is on the 25 fps training grid: frame i shows the time i / 25 s of the clip's speech.
Needs only numpy and safetensors, OpenCV where crops are stored as JPEG.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from segtalker.data.packing import OFFSETS, Packed, PackedFrames, Packing, pack
from segtalker.data.sample import FIELDS, FPS, MOUTH, Sample, checked_arrays
from segtalker.data.shard_cache import RemoteFile, fetch_once, open_bucket
from segtalker.data.shard_index import INDEX_NAME, Row, parse_index, row_line
from segtalker.errors import DataError
from segtalker.storage import Uri, is_local, local_path

__all__ = ["FIELDS", "FPS", "INDEX_NAME", "MOUTH", "Packing", "Row", "Sample", "ShardReader", "ShardWriter"]

SHARD_BYTES = 64 << 20
AS_IS = Packing()


class ShardWriter:
    """Writes clips to `folder`; use as a context manager. The index appears only when the block ends well."""

    def __init__(self, folder: Path | str, shard_bytes: int = SHARD_BYTES, packing: Packing = AS_IS) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / INDEX_NAME).exists():
            raise DataError(f"{self.folder}: already holds prepared clips. Take another folder or remove it.")
        self._shard_bytes, self._packing = shard_bytes, packing
        self._tensors: dict[str, NDArray[Any]] = {}
        self._lines: dict[str, str] = {}
        self._pending = 0
        self._num_shards = 0

    def add(self, sample: Sample) -> None:
        """Store one clip; a shard is written whenever `shard_bytes` have come together."""
        if sample.key in self._lines or "/" in sample.key:
            raise DataError(f"clip key '{sample.key}': keys must be unique and without a slash.")
        arrays = checked_arrays(sample)
        fields, packed = list(arrays), {}
        for name in fields:
            if codec := self._packing.codec(name):
                packed[name] = Packed(codec, arrays[name].shape[1:])
                arrays[name], arrays[name + OFFSETS] = pack(arrays[name], codec, self._packing.jpeg)
        size = sum(array.nbytes for array in arrays.values())
        if self._pending and self._pending + size > self._shard_bytes:
            self._flush()
        self._tensors |= {f"{sample.key}/{name}": array for name, array in arrays.items()}
        self._pending += size
        self._lines[sample.key] = row_line(sample, _shard_name(self._num_shards), fields, packed)

    def close(self) -> None:
        """Write what is left, then the index."""
        self._flush()
        temporary = self.folder / (INDEX_NAME + ".tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(self._lines.values())
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
    """Random access to the clips of one corpus; slices come from memory-mapped files, nothing is kept.

    A corpus in a bucket is read through this machine's cache (`shard_cache`), each shard from when it is
    first needed on.
    """

    def __init__(self, folder: Uri) -> None:
        self.folder: Uri = folder
        self._remote: dict[Path, RemoteFile] = {}
        if is_local(folder):
            self.rows: list[Row] = [row for part in _parts(local_path(folder)) for row in _read_index(part)]
        else:
            self.rows, self._remote = open_bucket(str(folder))
        if not self.rows:
            raise DataError(f"{folder}: the index holds no clip. Prepare the corpus again.")
        self._index = {row.key: i for i, row in enumerate(self.rows)}
        if len(self._index) != len(self.rows):
            raise DataError(f"{folder}: two clips share one key. Give the parts different keys.")
        self._of_shard: dict[Path, list[int]] = {}
        for i, row in enumerate(self.rows):
            self._of_shard.setdefault(row.shard, []).append(i)
        self._handles: dict[Path, Any] = {}
        for shard in self._of_shard:
            if shard not in self._remote:
                self._open(shard)  # what is damaged shows at the start, not in the night

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
        """Rows [start, stop) of the field `name` of one clip; `stop` may lie past the end."""
        view = self._slice(clip, name)
        length = view.get_shape()[0]
        return self._rows(view, clip, name, start, length if stop is None else min(stop, length))

    def take(self, clip: int, name: str, indices: Iterable[int]) -> NDArray[Any]:
        """The rows `indices` of a field, in that order; only those are read from disk."""
        view = self._slice(clip, name)
        return np.concatenate([self._rows(view, clip, name, int(i), int(i) + 1) for i in indices])

    def length(self, clip: int, name: str) -> int:
        """Rows that the field `name` of one clip has (frames, mel steps or tokens)."""
        return int(self._slice(clip, name).get_shape()[0])

    def _rows(self, view: Any, clip: int, name: str, start: int, stop: int) -> NDArray[Any]:
        try:
            return view[start:stop]
        except DataError as error:
            row = self.rows[clip]
            raise DataError(f"{row.shard}: '{name}' of '{row.key}', {error}. Prepare it again.") from error

    def _slice(self, clip: int, name: str) -> Any:
        row = self.rows[clip]
        if name not in row.fields:
            raise DataError(f"clip '{row.key}' of {self.folder} has no '{name}'. Prepare the corpus with it.")
        shard, tensor = self._open(row.shard), f"{row.key}/{name}"
        if name not in row.packed:
            return shard.get_slice(tensor)
        return PackedFrames(shard.get_slice(tensor), shard.get_slice(tensor + OFFSETS), row.packed[name])

    def _open(self, shard: Path) -> Any:
        if shard not in self._handles:
            if shard in self._remote:
                fetch_once(self._remote[shard], shard)
            try:
                handle = safe_open(str(shard), framework="numpy")
            except (OSError, SafetensorError) as error:
                raise DataError(
                    f"{shard}: missing or damaged ({error}). Prepare the corpus again."
                ) from error
            held = set(handle.keys())
            for i in self._of_shard[shard]:
                if absent := [name for name in self.rows[i].tensors if name not in held]:
                    raise DataError(
                        f"{shard}: '{absent[0]}' stands in the index but not in the shard. "
                        "The folder mixes two runs: prepare the corpus again."
                    )
            self._handles[shard] = handle
        return self._handles[shard]


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
    path = folder / INDEX_NAME
    try:
        return parse_index(path.read_bytes(), folder, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error


def _shard_name(number: int) -> str:
    return f"shard-{number:05d}.safetensors"
