"""The three ways in which PyTorch networks are pickled: torch's zip archive, its older stream, a bare pickle.

An archive may hold a whole TorchScript program, of which `script` takes the tensors alone.

Files are mapped, not read: values are fetched from the disk when a tensor is loaded, so a checkpoint's
optimizer costs nothing. Sizes are checked against the file first, names inside an archive are only looked
up and never become paths, and compressed records (torch writes none) are refused.
"""

from __future__ import annotations

import mmap
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

from segtalker.errors import WeightsError
from segtalker.weights.pickles.allowed import StorageType, allow_list
from segtalker.weights.pickles.machine import PickleMachine
from segtalker.weights.pickles.script import PROGRAM, script_allow_list
from segtalker.weights.pickles.tensors import Storage
from segtalker.weights.unpacking import NO_DIRECTORY

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""The first value of torch's older stream."""
_LEGACY_PROTOCOL = 1001
_LONGEST_KEY = 100
"""Of a storage: torch counts them, or takes their addresses."""
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def map_file(path: Path) -> memoryview:
    """The bytes of a file that is not empty, without reading them; changes stay in memory."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def read_archive(path: Path) -> Any:
    """The value in a torch zip archive (torch 1.6 and later); of a TorchScript program, its `Module`."""
    data, place = map_file(path), str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            records = {info.filename: info for info in archive.infolist()}
            count = len(archive.infolist())
    except NO_DIRECTORY as error:
        raise WeightsError(f"{place}: a damaged or truncated archive ({error}). Fetch it again.") from error
    if count != len(records):
        raise WeightsError(f"{place}: refused: an archive with two records of one name.")
    roots = [name.removesuffix("data.pkl") for name in records if name.split("/")[1:] == ["data.pkl"]]
    if len(roots) != 1:
        raise WeightsError(f"{place}: an archive, but not of torch (no data.pkl inside).")
    root = roots[0]
    if f"{root}byteorder" in records and _record(data, records[f"{root}byteorder"], place) != b"little":
        raise WeightsError(f"{place}: numbers in big-endian order. Save it again on another machine.")

    def find_storage(identity: Any) -> Storage:
        storage, key = _described(identity)
        if (info := records.get(f"{root}data/{key}")) is None:
            raise ValueError(f"no record {key!r} in the archive")
        storage.data = _record(data, info, place)[: storage.nbytes]
        if len(storage.data) != storage.nbytes:
            raise ValueError(f"record {key!r} is shorter than {storage.nbytes} bytes")
        return storage

    allowed = allow_list(place, _nested(place))
    find = script_allow_list(allowed) if f"{root}{PROGRAM}" in records else allowed
    return PickleMachine(_record(data, records[f"{root}data.pkl"], place), place, find, find_storage).run()


def read_pickle(path: Path) -> Any:
    """The value in torch's older stream or in a bare pickle, as NVIDIA publishes its networks."""
    data, place = map_file(path), str(path)
    first = PickleMachine(data, place, allow_list(place, _nested(place)))
    value = first.run()
    if value == LEGACY_MAGIC:
        return _read_legacy(data, place, first.position)
    return value


def _nested(place: str) -> Any:
    """Reads the storages that a bare pickle keeps as streams of torch inside itself; one level, no deeper."""

    def refuse(_: Any) -> Storage:
        raise WeightsError(f"{place}: refused, nothing was run: torch files inside torch files.")

    def load(raw: Any) -> Storage:
        data = raw if isinstance(raw, memoryview) else memoryview(bytearray(raw))
        head = PickleMachine(data, place, allow_list(place, refuse))
        if head.run() != LEGACY_MAGIC:
            raise ValueError("a storage that torch did not write")
        storage = _read_legacy(data, place, head.position)
        if type(storage) is not Storage:
            raise TypeError(f"a {type(storage).__name__} where a storage belongs")
        return storage

    return load


def _read_legacy(data: memoryview, place: str, position: int) -> Any:
    """What follows the magic number: protocol, machine, value, keys of the storages, then their numbers."""

    def refuse(_: Any) -> Storage:
        raise WeightsError(f"{place}: refused, nothing was run: torch files inside torch files.")

    storages: dict[str, Storage] = {}

    def find_storage(identity: Any) -> Storage:
        storage, key = _described(identity)
        known = storages.setdefault(key, storage)
        if known != storage:
            raise ValueError(f"two descriptions of storage {key!r}")
        return known

    values = []
    for _ in range(4):
        machine = PickleMachine(data, place, allow_list(place, refuse), find_storage, position)
        values.append(machine.run())
        position = machine.position
    protocol, machine_info, value, keys = values
    if protocol != _LEGACY_PROTOCOL or not isinstance(machine_info, dict) or type(keys) is not list:
        raise WeightsError(f"{place}: a torch file of an unknown version. Save it with a newer torch.")
    if not machine_info.get("little_endian", True) or sys.byteorder != "little":
        raise WeightsError(f"{place}: numbers in big-endian order. Save it again on another machine.")
    if not all(type(key) is str for key in keys) or len(keys) != len(storages) or set(keys) != set(storages):
        raise WeightsError(f"{place}: damaged: its tensors and its list of storages differ.")
    for key in keys:
        position = _fill(storages[key], data, position, place)
    return value


def _fill(storage: Storage, data: memoryview, position: int, place: str) -> int:
    """Find the numbers of a storage at `position`, after their count; returns the place behind them."""
    end = position + 8 + storage.nbytes
    if end > len(data):
        raise WeightsError(f"{place}: truncated: {len(data)} bytes, needs {end}. Fetch it again.")
    if int.from_bytes(data[position : position + 8], "little") != storage.count:
        raise WeightsError(f"{place}: damaged: a storage of another size than its tensors say.")
    storage.data = data[position + 8 : end]
    return end


def _described(identity: Any) -> tuple[Storage, str]:
    """A storage without its bytes, and its key, from ("storage", type, key, device, count[, view])."""
    if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
        raise ValueError("a persistent id that is no storage")
    _, kind, key, _, count, *view = identity
    is_key = type(key) is str and len(key) <= _LONGEST_KEY
    if not isinstance(kind, StorageType) or not is_key or any(part is not None for part in view):
        raise ValueError("a storage of an unknown kind")
    return Storage(kind.dtype, count), key


def _record(data: memoryview, info: zipfile.ZipInfo, place: str) -> memoryview:
    """The bytes of an uncompressed record, by its header in the file."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size != info.compress_size:
        raise WeightsError(
            f"{place}: refused: record {info.filename!r} is compressed; torch compresses none."
        )
    start = info.header_offset
    if start + _LOCAL_HEADER.size > len(data):
        raise WeightsError(f"{place}: a truncated archive. Fetch it again.")
    magic, name_size, extra_size = _LOCAL_HEADER.unpack(data[start : start + _LOCAL_HEADER.size])
    begin = start + _LOCAL_HEADER.size + name_size + extra_size
    if magic != b"PK\x03\x04" or begin + info.file_size > len(data):
        raise WeightsError(f"{place}: a damaged archive (record {info.filename!r}). Fetch it again.")
    return data[begin : begin + info.file_size]
