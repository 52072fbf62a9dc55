"""What PyTorch saved comes back as it was; what is damaged or too large is one clear line."""

from __future__ import annotations

import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segtalker.errors import WeightsError
from segtalker.weights.pickles.files import read_archive, read_pickle
from tests.weights.pickles.payloads import archive, legacy, named, old_style


def plain(value: Any) -> Any:
    """The value with its tensors loaded."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value.load() if hasattr(value, "load") else value


def example() -> dict[str, Any]:
    with_attribute = torch.ones(2)
    with_attribute.note = "dropped"
    return {
        "transposed": torch.randn(3, 4).t(),
        "part": torch.arange(10)[3:7],
        "parameter": torch.nn.Parameter(torch.randn(2, 3)),
        "state": torch.nn.Linear(3, 2).state_dict(),
        "half": torch.randn(3).half(),
        "bfloat16": torch.randn(3).bfloat16(),
        "flags": torch.tensor([True, False]),
        "empty": torch.empty(0, 4),
        "attribute": with_attribute,
        "options": {"lr": 1e-3, "betas": (0.5, 0.999), "steps": 2**40, "on": True, "none": None},
        "dtype": torch.float32,
    }


WRITERS = {
    "archive": lambda value, path: torch.save(value, path),
    "legacy": lambda value, path: path.write_bytes(old_style(value)),
    "pickle 2": lambda value, path: path.write_bytes(pickle.dumps(value, 2)),
    "pickle 4": lambda value, path: path.write_bytes(pickle.dumps(value, 4)),
}


def read(path: Path) -> Any:
    return read_archive(path) if zipfile.is_zipfile(path) else read_pickle(path)


@pytest.mark.parametrize("writer", WRITERS)
def test_what_torch_saved_comes_back(writer: str, tmp_path: Path):
    value, path = example(), tmp_path / "net"
    WRITERS[writer](value, path)
    found = plain(read(path))
    assert list(found) == list(value)
    for name, wanted in value.items():
        if isinstance(wanted, torch.Tensor):
            assert found[name].dtype == wanted.dtype and torch.equal(found[name], wanted)
    assert torch.equal(found["state"]["weight"], value["state"]["weight"])
    assert (found["options"], found["dtype"]) == (value["options"], torch.float32)


def test_numbers_of_numpy_come_back(tmp_path: Path):
    value = {
        "c": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "swapped": np.arange(3, dtype=">f8"),
    }
    for protocol in (2, 4):
        (tmp_path / "net").write_bytes(pickle.dumps({**value, "best": np.float64(0.5)}, protocol))
        found = plain(read_pickle(tmp_path / "net"))
        assert found.pop("best") == 0.5
        assert {name: array.tolist() for name, array in found.items()} == {
            name: array.tolist() for name, array in value.items()
        }


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_cut_anywhere_is_one_clear_line(writer: str, tmp_path: Path):
    path = tmp_path / "net"
    WRITERS[writer]({"a": torch.randn(5), "b": {"c": torch.randn(3)}}, path)
    whole = path.read_bytes()
    for length in range(1, len(whole) - (22 if writer == "archive" else 0), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="damaged|truncated") as caught:
            read_archive(path) if writer == "archive" else read_pickle(path)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_with_changed_bytes_is_read_or_refused_and_nothing_else(writer: str, tmp_path: Path):
    path, draw = tmp_path / "net", np.random.default_rng(0)
    WRITERS[writer]({"a": torch.randn(5), "b": {"c": torch.randn(3)}}, path)
    whole = path.read_bytes()
    refused = 0
    for _ in range(150):
        changed = bytearray(whole)
        for place in draw.integers(0, min(len(whole), 600), 3):
            changed[place] = draw.integers(256)
        path.write_bytes(changed)
        try:
            plain(read_archive(path) if writer == "archive" else read_pickle(path))
        except WeightsError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 20


def rebuild(shape: tuple, stride: tuple, offset: int = 0, count: int = 4) -> bytes:
    """A pickle of a tensor over the storage "0" of `count` floats."""
    identity = pickle.dumps(("storage", None, "0", "cpu", count), 2)[2:-1]
    identity = identity.replace(b"N", b"ctorch\nFloatStorage\n", 1)
    rest = pickle.dumps((offset, shape, stride, False, {}), 2)[2:-1]
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + b"Q"
    return b"\x80\x02}X\x01\x00\x00\x00a" + call + _members(rest) + b"tRs."


def _members(pickled_tuple: bytes) -> bytes:
    """The items of a pickled 5-tuple without the tuple around them."""
    start = pickled_tuple.index(b"(") + 1
    return pickled_tuple[start : pickled_tuple.rindex(b"t")]


def test_a_tensor_outside_its_storage_or_larger_than_it_is_refused(tmp_path: Path):
    path, numbers = tmp_path / "net", struct.pack("<4f", 1, 2, 3, 4)
    archive(path, rebuild((2, 2), (2, 1)), **{"0": numbers})
    assert plain(read_archive(path))["a"].tolist() == [[1, 2], [3, 4]]
    for shape, stride, offset in (
        ((5,), (1,), 0),
        ((2,), (1,), 3),
        ((2,), (-1,), 1),
        ((1 << 40,), (0,), 0),  # four numbers that would become terabytes
        ((1 << 61, 8), (0, 0), 0),
        ((2, 2), (1,), 0),
    ):
        archive(path, rebuild(shape, stride, offset), **{"0": numbers})
        with pytest.raises(WeightsError, match="damaged pickle.*a tensor"):
            read_archive(path)
    archive(path, rebuild((2, 2), (2, 1), count=1 << 40), **{"0": numbers})
    with pytest.raises(WeightsError, match="record '0' is shorter than"):
        read_archive(path)


def test_what_claims_to_be_huge_takes_no_memory(tmp_path: Path):
    path = tmp_path / "net"
    tracemalloc.start()
    for pickled in (
        b"\x80\x04" + pickle.BINBYTES8 + struct.pack("<Q", 1 << 40) + b"abc",
        b"\x80\x04" + pickle.BINUNICODE + struct.pack("<I", 0xFFFFFFFF) + b"abc",
        b"\x80\x04" + pickle.FRAME + struct.pack("<Q", 1 << 60) + pickle.LONG4 + struct.pack("<i", 1 << 30),
        named("builtins", "bytearray", 1 << 40),
        named("builtins", "list", 1 << 40),
        legacy(b"\x80\x02}.", ("0",), struct.pack("<Q", 1 << 40)),
    ):
        path.write_bytes(pickled)
        with pytest.raises(WeightsError):
            read_pickle(path)
    path.write_bytes(b"\x80\x04}" + pickle.LONG_BINPUT + struct.pack("<I", 0xFFFFFFFF) + b".")
    assert read_pickle(path) == {}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_one_value_named_again_and_again_fills_no_memory(tmp_path: Path):
    path, items = tmp_path / "net", 50_000
    long = pickle.EMPTY_LIST + pickle.MARK + pickle.NONE * items + pickle.APPENDS + pickle.BINPUT + b"\x01"
    text = pickle.BINUNICODE + struct.pack("<I", items) + b"a" * items + pickle.BINPUT + b"\x01"
    for value, called in ((long, b"cbuiltins\nlist\n"), (text, b"c_codecs\nencode\n")):
        again = called + pickle.BINGET + b"\x01" + pickle.TUPLE1 + pickle.REDUCE
        path.write_bytes(b"\x80\x02" + value + again * 3000 + b".")
        tracemalloc.start()
        with pytest.raises(WeightsError, match="copies the same values for ever"):
            read_pickle(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
        tracemalloc.stop()
    key = pickle.dumps({tuple(range(17)): 1}, 2)
    path.write_bytes(key)
    with pytest.raises(WeightsError, match="a tuple as a key"):
        read_pickle(path)


def test_records_are_looked_up_and_never_become_paths(tmp_path: Path):
    (tmp_path / "secret").write_bytes(struct.pack("<4f", 1, 2, 3, 4))
    path = tmp_path / "folder" / "net"
    path.parent.mkdir()
    for key in (b"../../secret", b"/etc/hostname", b"0/../0"):
        text = b"X" + len(key).to_bytes(4, "little") + key
        pickled = rebuild((2,), (1,)).replace(b"X\x01\x00\x00\x000", text)
        archive(path, pickled, **{"0": bytes(16)})
        with pytest.raises(WeightsError, match="no record"):
            read_archive(path)
    archive(path, rebuild((4,), (1,)), **{"0": bytes(16), "../../../escaped": b"x"})
    read_archive(path)
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["folder", "net", "secret"]


def test_compressed_double_and_foreign_archives_are_refused(tmp_path: Path):
    path = tmp_path / "net"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("net/data.pkl", bytes(10_000_000))
    with pytest.raises(WeightsError, match="'net/data.pkl' is compressed"):
        read_archive(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("net/data.pkl", b"\x80\x02}.")
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("net/data.pkl", b"\x80\x02}.")
    with pytest.raises(WeightsError, match="two records of one name"):
        read_archive(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("photo.jpg", b"x")
    with pytest.raises(WeightsError, match="not of torch"):
        read_archive(path)


def test_other_byte_orders_are_named(tmp_path: Path):
    path = tmp_path / "net"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("net/data.pkl", b"\x80\x02}.")
        file.writestr("net/byteorder", b"big")
    with pytest.raises(WeightsError, match="big-endian"):
        read_archive(path)


def test_values_are_read_only_when_they_are_wanted(tmp_path: Path):
    path = tmp_path / "net"
    torch.save({"wanted": torch.ones(4), "optimizer": torch.zeros(4_000_000)}, path)
    tracemalloc.start()
    found = read_archive(path)
    assert found["wanted"].load().sum() == 4
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux tells which pages are in memory")
def test_numbers_that_have_to_be_copied_out_of_a_file_are_not_in_memory_twice(tmp_path: Path):
    """In older files they begin anywhere; names of four lengths make sure that one is no multiple of four."""
    size, grown = 16 << 20, []
    for length in range(1, 5):
        path = tmp_path / f"{length}"
        path.write_bytes(old_style({"x" * length: torch.full((size // 4,), 0.5)}))
        before, tree = file_pages(), read(path)
        for _ in range(2):  # what was given back is read again
            (value,) = plain(tree).values()
            assert value.eq(0.5).all()
        grown.append(file_pages() - before)
        del tree, value
    assert min(grown) < size / 8


def file_pages() -> int:
    """Bytes of mapped files in this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssFile:"))
