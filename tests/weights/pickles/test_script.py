"""TorchScript archives: the tensors come out by their names, and nothing of the program runs."""

from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segtalker.errors import WeightsError
from segtalker.weights.foreign import open_foreign
from tests.weights.pickles.payloads import Calls, archive, named, script_archive
from tests.weights.pickles.test_attacks import KINDS, refused, working_payloads

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


class Part(nn.Module):
    """Parameters, a buffer, options of every simple type, and tensors in containers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(2, 3, 1)
        self.norm = nn.BatchNorm3d(3)
        self.register_buffer("steps", torch.arange(10)[2:7])
        self.sizes, self.rates, self.flags = [1, 2], [0.5], [True, False]
        self.name, self.nothing, self.pair = "part", None, (1, 2.0)
        self.table, self.many = {"a": torch.ones(1)}, [torch.zeros(2), torch.ones(2)]
        self.device = torch.device("cpu")

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) * self.rates[0] * self.table["a"] + self.sizes[0] + self.many[0].sum()


class Whole(nn.Module):
    """Modules in modules, one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Part()
        self.again = self.first
        self.rest = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))
        self.weight = nn.Parameter(torch.randn(3, 4).t())

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.first(x)) + self.again(x).sum() + torch.tensor([1.0, 2.0])


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """An archive that torch wrote, and its tensors."""
    path = tmp_path_factory.mktemp("script") / "net.pt"
    torch.manual_seed(0)
    net = torch.jit.script(Whole().eval())
    torch.jit.save(net, str(path))
    return path, dict(net.state_dict())


def test_the_tensors_of_a_scripted_network_come_back_by_their_names(scripted):
    path, values = scripted
    found = open_foreign(path).groups
    assert found.keys() == {""} and found[""].keys() == values.keys() and len(values) == 21
    for name, value in values.items():
        loaded = found[""][name].load()
        assert loaded.dtype == value.dtype and torch.equal(loaded, value), name


def test_an_archive_cut_or_changed_is_read_or_refused_and_nothing_else(scripted, tmp_path: Path):
    whole, path = scripted[0].read_bytes(), tmp_path / "net.pt"
    draw = np.random.default_rng(0)
    for length in range(1, len(whole) - 22, len(whole) // 20):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="damaged|truncated|neither safetensors"):
            open_foreign(path)
    begin, refusals = whole.index(b"__torch__"), 0
    for _ in range(100):
        changed = bytearray(whole)
        for place in draw.integers(begin, begin + 400, 3):
            changed[place] = draw.integers(256)
        path.write_bytes(changed)
        try:
            for tensor in open_foreign(path).groups[""].values():
                tensor.load()
        except WeightsError as error:
            refusals += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert refusals > 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_payload_in_the_pickle_is_refused_and_does_not_run(kind: str, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    sentinel = tmp_path / "sentinel"
    payload = working_payloads(sentinel)[kind]
    with contextlib.suppress(Exception):
        pickle.loads(payload)
    assert sentinel.exists(), "the payload is no danger: the test would prove nothing"
    sentinel.unlink()
    refused(script_archive(tmp_path / "net.pt", payload))
    assert not sentinel.exists()


def script_object(class_name: str, state: Any) -> bytes:
    """A pickle of an object of a TorchScript class, as torch writes it."""
    module, _, name = class_name.rpartition(".")
    made = pickle.GLOBAL + f"{module}\n{name}\n".encode() + pickle.EMPTY_TUPLE + pickle.NEWOBJ
    return b"\x80\x02" + made + pickle.dumps(state, 2)[2:-1] + pickle.BUILD + pickle.STOP


def test_program_and_constants_are_never_opened(tmp_path: Path):
    sentinel = tmp_path / "sentinel"
    program = f"import os\nos.system('touch {sentinel}')\nopen({str(sentinel)!r}, 'w')\n".encode()
    constants = pickle.dumps(Calls(os.system, f"touch {sentinel}"))
    for state in ({"training": False}, "packed in a way of its own"):
        pickled = script_object("__torch__.evil.Net", state)
        refused(script_archive(tmp_path / "net.pt", pickled, program, constants), "holds no tensors")
    assert not sentinel.exists()
    with contextlib.suppress(Exception):
        pickle.loads(constants)
    assert sentinel.exists(), "the constants are no danger: the test would prove nothing"


def test_classes_of_a_program_are_refused_where_there_is_no_program(tmp_path: Path):
    path = archive(tmp_path / "net.pt", script_object("__torch__.Net", {"training": False}))
    refused(path, r"nothing was run: it names '__torch__\.Net'")
    path.write_bytes(script_object("__torch__.Net", {"training": False}))
    refused(path, r"nothing was run: it names '__torch__\.Net'")


def test_a_program_may_name_its_own_classes_and_lists_of_numbers_only(tmp_path: Path):
    path = tmp_path / "net.pt"
    for module, name in (
        ("torch.jit._pickle", "build_tensor_from_id"),
        ("torch.jit._pickle", "sys.modules"),
        ("torch.jit", "load"),
        ("__torch__evil", "Net"),
        ("os", "system"),
    ):
        refused(script_archive(path, named(module, name, "x")), f"it names '{module}.{name}'")
    for module, name, *arguments in (
        ("__torch__.os", "system", "x"),  # a class of the program takes no arguments
        ("torch.jit._pickle", "build_intlist", "x"),
        ("torch.jit._pickle", "restore_type_tag", [], 1),
    ):
        refused(script_archive(path, named(module, name, *arguments)), "a damaged pickle")
