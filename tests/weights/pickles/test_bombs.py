"""A few bytes that would grow for ever are refused at once, wherever a value is shown, hashed or compared."""

from __future__ import annotations

import pickle
import signal
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from segtalker.errors import WeightsError
from segtalker.weights.pickles.files import read_archive, read_pickle
from tests.weights.pickles.payloads import archive, legacy, script_archive

BOMB = pickle.EMPTY_TUPLE + (pickle.DUP + pickle.TUPLE2) * 40
"""A tuple of two that are the same tuple of two ...: 81 bytes, and a million million values to who looks."""


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """Stop what takes long, before it takes all memory."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError("a bomb has gone off")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def text(value: str) -> bytes:
    return pickle.BINUNICODE + len(value).to_bytes(4, "little") + value.encode()


def named(name: str) -> bytes:
    """A global."""
    return pickle.GLOBAL + "\n".join(name.rsplit(".", 1)).encode() + b"\n"


def tuple_of(*values: bytes) -> bytes:
    return pickle.MARK + b"".join(values) + pickle.TUPLE


def call(name: str, *arguments: bytes) -> bytes:
    return named(name) + tuple_of(*arguments) + pickle.REDUCE


def dict_of(**values: bytes) -> bytes:
    return pickle.MARK + b"".join(text(name) + value for name, value in values.items()) + pickle.DICT


def storage(key: bytes, count: bytes) -> bytes:
    kind = named("torch.FloatStorage")
    return tuple_of(text("storage"), kind, key, text("cpu"), count) + pickle.BINPERSID


def tensor(offset: bytes, shape: bytes, stride: bytes) -> bytes:
    return call("torch._utils._rebuild_tensor_v2", storage(text("0"), b"K\x01"), offset, shape, stride)


NOTHING, ONE = b"K\x00", tuple_of(b"K\x01")
ARRAY = call("numpy.core.multiarray._reconstruct")
F4 = call("numpy.dtype", text("f4"))
VALUES = {
    "a device": (call("torch.device", BOMB), "a device that is neither"),
    "an encoding": (call("_codecs.encode", text("a"), BOMB), "text in a tuple"),
    "a type of numbers": (call("numpy.dtype", BOMB), "an array of a tuple"),
    "an order of bytes": (
        F4 + tuple_of(NOTHING, BOMB) + pickle.BUILD,
        "a number type of an unknown order",
    ),
    "the shape of an array": (
        ARRAY + tuple_of(NOTHING, tuple_of(BOMB), F4, NOTHING, pickle.SHORT_BINBYTES + b"\0") + pickle.BUILD,
        "an array of a shape",
    ),
    "the state of an array": (ARRAY + BOMB + pickle.BUILD, "not enough values"),
    "the name of a class": (
        call(
            "torch_utils.persistence._reconstruct_persistent_obj",
            dict_of(type=text("class"), class_name=BOMB, state=pickle.EMPTY_DICT),
        ),
        "a class without a name",
    ),
    "a kind of object": (
        call("torch_utils.persistence._reconstruct_persistent_obj", dict_of(type=BOMB)),
        "a persistent object without a state",
    ),
    "the size of a storage": (storage(text("0"), BOMB), "a storage of a tuple numbers"),
    "the name of a storage": (storage(BOMB, b"K\x01"), "a storage of an unknown kind"),
    "a persistent id": (BOMB + pickle.BINPERSID, "a persistent id that is no storage"),
    "the shape of a tensor": (tensor(NOTHING, tuple_of(BOMB), ONE), "a tensor with a tuple among its sizes"),
    "the steps of a tensor": (tensor(NOTHING, ONE, BOMB), "a tensor with a tuple among its sizes"),
    "the offset of a tensor": (tensor(BOMB, ONE, ONE), "a tensor with a tuple among its sizes"),
    "a key": (pickle.EMPTY_DICT + BOMB + pickle.NONE + pickle.SETITEM, "a tuple as a key"),
    "a key in a key": (
        pickle.EMPTY_DICT + BOMB + pickle.TUPLE1 + pickle.NONE + pickle.SETITEM,
        "a tuple as a key",
    ),
    "a key of a called dictionary": (call("collections.OrderedDict", BOMB), "a tuple as a key"),
    "in a set": (pickle.EMPTY_SET + pickle.MARK + BOMB + pickle.ADDITEMS, "a tuple as a key"),
    "in a called set": (call("builtins.set", BOMB), "a tuple as a key"),
    "in a frozen set": (pickle.MARK + BOMB + pickle.FROZENSET, "a tuple as a key"),
    "the name of a global": (BOMB + BOMB + pickle.STACK_GLOBAL, "a global without a name"),
    "what is called": (BOMB + pickle.EMPTY_TUPLE + pickle.REDUCE, "to call a tuple"),
    "what gets attributes": (BOMB + BOMB + pickle.BUILD, "to set the attributes of a tuple"),
    "what gets items": (BOMB + pickle.NONE + pickle.APPEND, "appending to a tuple"),
}


def refused_in_a_line(path: Path, words: str) -> None:
    read = read_archive if path.suffix == ".zip" else read_pickle
    with pytest.raises(WeightsError, match=words) as caught:
        read(path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500 + len(str(path))


@pytest.mark.parametrize("place", VALUES)
def test_tuples_in_tuples_are_refused_at_once(place: str, tmp_path: Path):
    value, words = VALUES[place]
    pickled = b"\x80\x04" + value + pickle.STOP
    refused_in_a_line(archive(tmp_path / "net.zip", pickled, **{"0": bytes(4)}), words)
    (tmp_path / "net.pt").write_bytes(legacy(pickled))
    refused_in_a_line(tmp_path / "net.pt", words)


def test_tuples_in_tuples_around_the_values_of_an_older_file(tmp_path: Path):
    path, bomb = tmp_path / "net.pt", b"\x80\x04" + BOMB + pickle.STOP
    magic, protocol, info = (pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {}))
    empty, keys = pickle.dumps({}, 2), b"\x80\x04" + pickle.MARK + BOMB + pickle.LIST + pickle.STOP
    for values, words in (
        ((magic, bomb, info, empty, keys), "a torch file of an unknown version"),
        ((magic, protocol, bomb, empty, keys), "a torch file of an unknown version"),
        ((magic, protocol, info, empty, bomb), "a torch file of an unknown version"),
        ((magic, protocol, info, empty, keys), "its tensors and its list of storages differ"),
    ):
        path.write_bytes(b"".join(values))
        refused_in_a_line(path, words)
    path.write_bytes(bomb)
    assert isinstance(read_pickle(path), tuple)  # of no harm to who does not look into it


def test_long_texts_and_numbers_are_not_repeated_in_errors_or_memory(tmp_path: Path):
    long, put, get = "n\n" * 100_000, pickle.BINPUT + b"\x01", pickle.BINGET + b"\x01"
    number = pickle.LONG4 + struct.pack("<i", 100_000) + b"\x01" * 100_000
    deep = tuple_of(*[b"K\x02"] * 1000)
    inert = text("fairseq") + text(long) + put + pickle.STACK_GLOBAL
    for value, words in (
        (number, "an integer of 100000 bytes"),
        (call("numpy.dtype", text(long)), "an array of 'n"),
        (call("_codecs.encode", text("a"), text(long)), "text in 'n"),
        (storage(text(long), b"K\x01"), "a storage of an unknown kind"),
        (tensor(NOTHING, deep, deep), "a tensor of 1000 dimensions"),
        (
            ARRAY
            + tuple_of(NOTHING, deep, F4, NOTHING, pickle.SHORT_BINBYTES + b"\x04" + bytes(4))
            + pickle.BUILD,
            "an array of a shape",
        ),
        (inert + (text("fairseq") + get + pickle.STACK_GLOBAL) * 1000, "it names 'fairseq.n"),
        (text("__torch__") + text(long) + pickle.STACK_GLOBAL, "it names '__torch__.n"),
        (named("fairseq.Task") + tuple_of() + dict_of(**{long: NOTHING}) + pickle.NEWOBJ_EX, None),
        (named("torch.Size") + tuple_of() + dict_of(**{long: NOTHING}) + pickle.NEWOBJ_EX, "n.n.n"),
    ):
        path = script_archive(tmp_path / "net.zip", b"\x80\x04" + value + pickle.STOP)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("net/data/0", bytes(4))
        if words is None:
            read_archive(path)
        else:
            refused_in_a_line(path, words)
