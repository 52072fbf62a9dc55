"""Wav2Lip's expert as the start of a SyncNet on region maps: what is taken, and a word on what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from segtalker.cli import main
from segtalker.config import load_yaml, parse_config
from segtalker.errors import SegTalkerError
from segtalker.models.frozen import lip_expert
from segtalker.models.syncnet import SyncNet, SyncNetConfig
from segtalker.weights.checkpoint import fill_weights, network_shapes, weights_info
from segtalker.weights.importing import Imported, import_file, load_network
from segtalker.weights.partial import start_from, syncnet_in_syncnet
from tests.weights.convert import official_metrics as official

FIRST = "face_encoder.0.conv_block.0.weight"
SAME = """
model:
  size: 96
  channels: [4, 8, 16, 32, 64, 64]
  mel_channels: [4, 8, 16, 32, 64]
  embedding: 64
"""
OTHERS = {
    "residuals: [0, 1, 1, 1, 1, 0]": ("face_encoder", "the new face_encoder has other blocks"),
    "mel_residuals: [1, 1, 1, 1]": ("audio_encoder", "the new audio_encoder has other blocks"),
}


def started(tmp_path: Path, more: str = "") -> tuple[dict[str, Tensor], Imported]:
    """The expert's tensors, and a start out of its file for a training of SyncNet."""
    values = official.drawn(official.lip_expert(thin=8))
    torch.save(
        {"state_dict": {f"module.{name}": value for name, value in values.items()}}, tmp_path / "e.pth"
    )
    (tmp_path / "syncnet.yaml").write_text(f"{SAME}  {more}\n")
    out = tmp_path / "start.safetensors"
    return values, import_file(tmp_path / "e.pth", "syncnet", out, tmp_path / "syncnet.yaml")


def test_every_layer_but_the_first_is_taken_and_a_training_goes_on_from_it(tmp_path: Path):
    values, done = started(tmp_path)
    cfg = parse_config(SyncNetConfig, load_yaml(tmp_path / "syncnet.yaml")["model"])
    net = SyncNet(cfg)
    fill_weights(net, done.path)  # what the key `start_from` of the training does
    state = net.state_dict()
    weights = {name for name in values if not name.endswith(official.COUNTER)}
    assert {fate.name for fate in done.fates if fate.what == "taken"} == weights - {FIRST}
    assert all(torch.equal(state[name], values[name]) for name in weights - {FIRST})
    fates = {(fate.what, fate.name): fate.why for fate in done.fates}
    assert fates["skipped", FIRST] == f"is [4, 15, 7, 7], '{FIRST}' is [4, 60, 7, 7]"
    assert {name for what, name in fates if what in ("random", "skipped")} == {FIRST}
    assert all(name.endswith(official.COUNTER) for what, name in fates if what == "kept")
    info = weights_info(done.path)["info"]
    assert (info["random"], done.network, done.match.layout.network) == ([FIRST], "syncnet", "lip_expert")


@pytest.mark.parametrize("change", OTHERS)
def test_a_branch_of_other_blocks_begins_at_random(change: str, tmp_path: Path):
    branch, why = OTHERS[change]
    _, done = started(tmp_path, change)
    for fate in done.fates:
        if fate.what == "taken":
            assert not fate.name.startswith(branch)
        elif fate.what == "skipped" and fate.name.startswith(branch):
            assert fate.why == why
    assert any(fate.what == "taken" for fate in done.fates)


def test_the_published_expert_starts_the_paper_s_training_at_96_and_most_of_it_at_128():
    """Names and shapes alone: nothing of that size is computed."""
    old = lip_expert.published()
    source = network_shapes("lip_expert", old)
    for size, lost in ((96, {0}), (128, {0, 15})):
        new = SyncNetConfig.paper(size)
        state = {
            name: torch.empty(shape, device="meta") for name, shape in network_shapes("syncnet", new).items()
        }
        tensors = {name: torch.empty(shape, device="meta") for name, shape in source.items()}
        _, fates = start_from(state, tensors, syncnet_in_syncnet(old, new))
        random = {fate.name for fate in fates if fate.what == "random"}
        assert random == {f"face_encoder.{index}.conv_block.0.weight" for index in lost}


def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(
        SegTalkerError, match="nothing in it fits the SyncNet of this training: trained under"
    ):
        started(tmp_path, "norm: group")
    with pytest.raises(SegTalkerError, match="--as syncnet needs --for TRAINING.yaml.*configs/paper/syncnet"):
        import_file(tmp_path / "e.pth", "syncnet", tmp_path / "out.safetensors")
    with pytest.raises(SegTalkerError, match="holds a 'lip_expert', not a 'syncnet'"):
        load_network(tmp_path / "e.pth", "syncnet")
    (tmp_path / "empty.yaml").write_text("clips: {folder: data}\n")
    with pytest.raises(SegTalkerError, match="has no section 'model'.*of a training of 'syncnet'"):
        import_file(tmp_path / "e.pth", "syncnet", training=tmp_path / "empty.yaml")


def test_our_own_file_of_the_expert_starts_the_same(tmp_path: Path):
    _, done = started(tmp_path)
    ours = import_file(tmp_path / "e.pth", out=tmp_path / "expert.safetensors")
    assert (ours.network, ours.others) == ("lip_expert", ("syncnet",))
    again = import_file(ours.path, "syncnet", tmp_path / "b.safetensors", tmp_path / "syncnet.yaml")
    one, two = (load_network(path, "syncnet").state_dict() for path in (done.path, again.path))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert again.cfg == done.cfg


def test_the_command_says_how_a_training_takes_the_start(tmp_path: Path, capsys):
    started(tmp_path)
    out, training = tmp_path / "out.safetensors", tmp_path / "syncnet.yaml"
    command = ["weights", "import", str(tmp_path / "e.pth"), "-o", str(out)]
    assert main([*command, "--as", "syncnet", "--for", str(training)]) == 0
    shown = capsys.readouterr().out
    assert "found:   Wav2Lip's lip-sync expert, in 'state_dict'" in shown
    assert "185 tensors taken, 31 kept, 1 left at random, 1 skipped" in shown
    assert f"use:     segtalker train syncnet CONFIG --set start_from={out}" in shown
    assert main(command) == 0
    assert "--as syncnet --for configs/paper/syncnet.yaml" in capsys.readouterr().out
