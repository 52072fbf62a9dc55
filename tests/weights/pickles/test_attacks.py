"""Files that want to run something are refused in one line, and nothing of them has run."""

from __future__ import annotations

import builtins
import contextlib
import os
import pickle
import posix
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from segtalker.errors import WeightsError
from segtalker.weights.foreign import open_foreign
from tests.weights.pickles.payloads import Calls, archive, legacy, named


def working_payloads(sentinel: Path) -> dict[str, bytes]:
    """Pickles that make `sentinel` when Python's unpickler reads them."""
    touch, python = f"touch {sentinel}", f"open({str(sentinel)!r}, 'w').close()"
    inner = pickle.dumps(Calls(os.system, touch), 2)
    return {
        "os.system": pickle.dumps(Calls(os.system, touch)),
        "posix.system": pickle.dumps(Calls(posix.system, touch), 2),
        "eval": pickle.dumps(Calls(builtins.eval, python)),
        "exec": b"\x80\x04" + pickle.dumps(Calls(builtins.exec, python), 4)[2:],
        "subprocess": pickle.dumps(Calls(subprocess.call, ["touch", str(sentinel)])),
        "a pickle in a pickle": pickle.dumps(Calls(pickle.loads, inner)),
        "a value deep inside": pickle.dumps({"state_dict": {"a": [1, (2, Calls(os.system, touch))]}}),
        "a member of a set": pickle.dumps({"weights": frozenset([Calls(os.system, touch)])}),
        "the first value of several": inner + pickle.dumps({}),
        "the oldest opcode": f"\x80\x02(S'{touch}'\nios\nsystem\n.".encode("latin-1"),
        "an opcode that calls": f"\x80\x02(cos\nsystem\nS'{touch}'\no.".encode("latin-1"),
        "torch's nested reader": pickle.dumps(Calls(torch.storage._load_from_bytes, legacy(inner))),
    }


KINDS = sorted(working_payloads(Path("x")))


def refused(path: Path, words: str = "refused, nothing was run") -> None:
    with pytest.raises(WeightsError, match=words) as caught:
        open_foreign(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_payload_that_works_in_python_is_refused_and_does_not_run(kind: str, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # what a careless reader does
    sentinel = tmp_path / "sentinel"
    payload = working_payloads(sentinel)[kind]
    with contextlib.suppress(Exception):  # torch may stumble after it has run the command
        pickle.loads(payload)
    assert sentinel.exists(), "the payload is no danger: the test would prove nothing"
    sentinel.unlink()
    for name, content in {"bare.pkl": payload, "legacy.pt": legacy(payload)}.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name)
    refused(archive(tmp_path / "zip.pt", payload))
    assert not sentinel.exists()


GADGETS = [
    ("torch.hub", "load", "someone/repository", "model"),
    ("torch", "load", "/tmp/other.pt"),
    ("torch.serialization", "load", "/tmp/other.pt"),
    ("torch.jit", "load", "/tmp/other.pt"),
    ("torch.jit._script", "unpackage_script_module", "a", "b"),
    ("torch.utils.cpp_extension", "load", "a", "b"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy", "a"),
    ("torch.package", "PackageImporter", "/tmp/other.pt"),
    ("copyreg", "_reconstructor", "a", "b", None),
    ("copyreg", "add_extension", "os", "system", 1),
    ("copy_reg", "__newobj__", "a"),
    ("builtins", "getattr", "a", "b"),
    ("builtins", "__import__", "os"),
    ("__builtin__", "eval", "1"),
    ("functools", "partial", "a"),
    ("operator", "attrgetter", "a"),
    ("importlib", "import_module", "os"),
    ("numpy", "load", "/tmp/other.npy"),
    ("numpy.testing._private.utils", "runstring", "1", {}),
    ("collections", "OrderedDict.__init__.__globals__"),
    ("fairseqx.evil", "run"),
    ("torch_utils.persistence", "_src_to_module", "import os"),
]


@pytest.mark.parametrize("gadget", GADGETS, ids=lambda gadget: f"{gadget[0]}.{gadget[1]}")
def test_a_known_gadget_is_refused_by_its_name(gadget: tuple, tmp_path: Path):
    module, name, *arguments = gadget
    path = archive(tmp_path / "net.pt", named(module, name, *arguments))
    refused(path, rf"nothing was run: it names '{module.replace('__builtin__', 'builtins')}\.{name}'")


def test_a_name_cannot_write_to_the_terminal(tmp_path: Path):
    name = "a\n\x1b[2Jb" + "c" * 5000
    text = b"X" + len(name).to_bytes(4, "little") + name.encode()
    path = tmp_path / "net.pkl"
    path.write_bytes(b"\x80\x04" + 2 * text + pickle.STACK_GLOBAL + b".")
    with pytest.raises(WeightsError, match="nothing was run: it names ") as caught:
        open_foreign(path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_the_classes_of_configurations_are_inert_whatever_they_are_told(tmp_path: Path):
    path = tmp_path / "net.pt"
    payload = named("fairseq.tasks", "load", "x")[2:-1]
    path.write_bytes(b"\x80\x02}(X\x01\x00\x00\x00a" + payload + b"X\x01\x00\x00\x00bNu.")
    with pytest.raises(WeightsError, match="holds no tensors"):
        open_foreign(path)


def test_a_checkpoint_that_drags_a_dictionary_along_is_opened_without_it(tmp_path: Path, monkeypatch):
    module = types.ModuleType("fairseq.data.dictionary")
    module.Dictionary = type("Dictionary", (), {"__module__": module.__name__})
    dictionary = module.Dictionary()
    dictionary.symbols = ["a", "b"]
    with monkeypatch.context() as named_modules:
        for name in ("fairseq", "fairseq.data", module.__name__):
            named_modules.setitem(sys.modules, name, module)
        torch.save(
            {"task_state": {"dictionaries": [dictionary]}, "model": {"w": torch.ones(1)}}, tmp_path / "a"
        )
    assert open_foreign(tmp_path / "a").groups["model"]["w"].load().tolist() == [1]


def test_whole_networks_and_tensorflow_are_told_from_attacks(tmp_path: Path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "net.pt")
    refused(tmp_path / "net.pt", "'torch.nn.modules.linear.Linear', a whole network object")
    (tmp_path / "net.pkl").write_bytes(named("dnnlib.tflib.network", "Network"))
    refused(tmp_path / "net.pkl", "a TensorFlow network. Use NVIDIA's file for PyTorch")


def test_extensions_buffers_and_ids_outside_the_file_are_refused(tmp_path: Path):
    path = tmp_path / "net.pkl"
    for code, words in (
        (pickle.EXT1 + b"\x01", "operation EXT1"),
        (pickle.NEXT_BUFFER, "operation NEXT_BUFFER"),
        (pickle.PERSID + b"x\n", "operation PERSID"),
        (b"K\x01" + pickle.BINPERSID, "a persistent id"),
        (b"X\x01\x00\x00\x00a)" + pickle.REDUCE, "to call a str"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n}" + pickle.BUILD, "set the attributes of a Global"),
        (b"K\x01}" + pickle.BUILD, "set the attributes of a int"),
    ):
        path.write_bytes(b"\x80\x04" + code + pickle.STOP)
        refused(path, f"refused, nothing was run: it wants .*{words}")


def test_arrays_of_objects_are_refused(tmp_path: Path):
    path = archive(tmp_path / "net.pt", named("numpy", "dtype", "O8", False, True))
    refused(path, "an array of 'O8', which are no numbers")


def test_the_source_code_of_a_persistent_object_is_not_run(tmp_path: Path):
    sentinel = tmp_path / "sentinel"
    source = f"open({str(sentinel)!r}, 'w').close()"
    state = {"_parameters": {}, "_buffers": {}, "_modules": {}}
    meta = {"type": "class", "version": 6, "module_src": source, "class_name": "Generator", "state": state}
    path = tmp_path / "net.pkl"
    path.write_bytes(named("torch_utils.persistence", "_reconstruct_persistent_obj", meta))
    refused(path, "holds no tensors")
    path.write_bytes(
        named("torch_utils.persistence", "_reconstruct_persistent_obj", {**meta, "state": source})
    )
    refused(path, "a persistent object without a state")
    assert not sentinel.exists()


def test_torch_files_in_torch_files_end_at_the_first(tmp_path: Path):
    inner = named("torch.storage", "_load_from_bytes", b"x")
    path = tmp_path / "net.pkl"
    path.write_bytes(pickle.dumps(Calls(torch.storage._load_from_bytes, legacy(inner))))
    refused(path, "torch files inside torch files")
