"""Files of other projects: what is found inside, by which group, and what is no network at all."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from segtalker.errors import WeightsError
from segtalker.weights.foreign import open_foreign
from tests.weights.nvidia import EasyDict, persistent, write_pickle


def test_every_dictionary_with_tensors_is_a_group_and_the_rest_are_settings(tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    torch.save(
        {
            "g": {"a.weight": torch.ones(2)},
            "g_ema": {"a.weight": torch.zeros(2)},
            "latent_avg": torch.ones(3),
            "d_optim": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
            "args": argparse.Namespace(size=256),
            "cfg": {"model": {"heads": 4}},
        },
        path,
    )
    found = open_foreign(path)
    assert {name: list(group) for name, group in found.groups.items()} == {
        "": ["latent_avg"],
        "g": ["a.weight"],
        "g_ema": ["a.weight"],
    }
    assert found.groups["g_ema"]["a.weight"].load().tolist() == [0, 0]
    assert found.settings["cfg"] == {"model": {"heads": 4}}
    assert found.settings["args"].state == {"size": 256}


def test_the_prefix_of_data_parallelism_is_taken_off_where_every_key_has_it(tmp_path: Path):
    path = tmp_path / "a"
    torch.save({"state_dict": {"module.a": torch.ones(1), "module.module.b": torch.ones(1)}}, path)
    assert list(open_foreign(path).groups["state_dict"]) == ["a", "module.b"]
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, path)
    assert list(open_foreign(path).groups[""]) == ["module.a", "b"]


def test_safetensors_are_opened_too_and_damaged_ones_named(tmp_path: Path):
    path = tmp_path / "anything.bin"
    save_file({"module.a": torch.arange(3)}, str(path))
    group = open_foreign(path).groups[""]
    assert group["a"].shape == (3,) and group["a"].load().tolist() == [0, 1, 2]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="anything.bin: damaged safetensors"):
        open_foreign(path)


def test_a_persistent_module_gives_its_parameters_and_buffers_by_dotted_name(tmp_path: Path):
    tensors = {"mapping.fc0.weight": torch.randn(4, 4), "mapping.w_avg": torch.randn(4)}
    module = persistent("Generator", tensors, buffers=("w_avg",))
    path = write_pickle(tmp_path / "net.pkl", {"G_ema": module, "training_set_kwargs": EasyDict(size=8)})
    found = open_foreign(path)
    assert {name: value.load().tolist() for name, value in found.groups["G_ema"].items()} == {
        name: value.tolist() for name, value in tensors.items()
    }
    assert list(open_foreign(write_pickle(path, module)).groups[""]) == [
        "mapping.w_avg",
        "mapping.fc0.weight",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><title>Google Drive - Virus scan warning", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a pointer of Git LFS"),
        (b"GIF89a and so on, for some bytes", "neither safetensors nor"),
        (b"\x80\x04N.", "holds a NoneType, not the tensors"),
        (b"\x80\x04}.", "holds no tensors"),
    ],
)
def test_what_is_no_network_is_told_apart(content: bytes, words: str, tmp_path: Path):
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=words) as caught:
        open_foreign(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(WeightsError, match="none.pt: no such file"):
        open_foreign(tmp_path / "none.pt")


@pytest.mark.skipif(importlib.util.find_spec("lpips") is None, reason="the package lpips is not installed")
def test_files_that_were_published_are_read_as_torch_reads_them():
    package = Path(importlib.util.find_spec("lpips").origin).parent
    files = sorted((package / "weights").rglob("*.pth"))
    assert len(files) >= 3
    for path in files:
        values = torch.load(path, map_location="cpu", weights_only=True)
        group = open_foreign(path).groups[""]
        assert group.keys() == values.keys()
        assert all(torch.equal(group[name].load(), value) for name, value in values.items())


def test_dictionaries_that_branch_without_end_are_seen_once(tmp_path: Path):
    level = {"w": torch.ones(1)}
    for _ in range(3):
        level = {f"k{i}": level for i in range(300)}
    path = tmp_path / "net.pt"
    torch.save(level, path)
    assert list(open_foreign(path).groups) == ["k0.k0.k0"]
