"""Weights that a training makes say which published networks they come from, over any number of trainings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segtalker.data.sampler import IndexedSampler
from segtalker.models.syncnet import SyncNet
from segtalker.training.provenance import training_lineage
from segtalker.training.run import load_train_config, train
from segtalker.training.state import TrainState, load_state, save_state
from segtalker.weights import store
from segtalker.weights.checkpoint import save_weights, weights_info, write_weights
from segtalker.weights.lineage import Lineage, lineage_in, published_as
from segtalker.weights.uses import weights_of
from tests.training.recipes import CONFIGS, smoke_config
from tests.weights.convert import official_faces

EXPERT, EAR = published_as("wav2lip_expert"), published_as("avhubert_base")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))


def trained(network: str, corpus: Path, out: Path, *overrides: str) -> Path:
    """Weights of one step."""
    settings = [f"clips.folder={corpus}", "run.max_steps=1", *overrides]
    return train(network, CONFIGS / "smoke" / f"{network}.yaml", settings, out, quiet=True)


def in_file(path: Path) -> Lineage:
    return lineage_in(weights_info(path)["info"])


def marked(path: Path, lineage: Lineage, network: str = "speech") -> str:
    """A file that says no more than where it comes from."""
    write_weights(network, {}, {}, path, lineage.told())
    return str(path)


def test_a_start_and_an_expert_are_told_through_two_trainings(tiny_corpus: Path, tmp_path: Path):
    cfg = smoke_config("syncnet", tiny_corpus).model
    start = save_weights(SyncNet(cfg), cfg, tmp_path / "start", EXPERT.told())
    expert = trained("syncnet", tiny_corpus, tmp_path / "syncnet", f"start_from={start}")
    assert in_file(expert) == EXPERT and weights_info(expert)["info"]["steps"] == 1
    judged = trained("tsg", tiny_corpus, tmp_path / "tsg", f"syncnet={expert}")
    assert in_file(judged) == Lineage(shaped_by=EXPERT.based_on)
    goes_on = smoke_config(
        "tsg", tiny_corpus, f"start_from={judged}", f"speech={marked(tmp_path / 'ear', EAR)}"
    )
    assert training_lineage(goes_on) == EAR | in_file(judged)


def test_what_uses_nothing_published_says_so(tiny_corpus: Path, tmp_path: Path):
    info = weights_info(trained("speech", tiny_corpus, tmp_path / "speech"))["info"]
    assert info["based_on"] == info["shaped_by"] == []


def test_an_ear_is_part_of_the_network_and_a_loss_of_weight_nought_no_part_of_anything(tmp_path: Path):
    ear, expert = marked(tmp_path / "ear", EAR), marked(tmp_path / "sync", EXPERT, "syncnet")
    named = ["clips.folder=x", f"speech={ear}", f"syncnet={expert}"]
    smoke = CONFIGS / "smoke" / "tsg.yaml"
    assert training_lineage(load_train_config("tsg", smoke, named)) == EAR | EXPERT.through_loss()
    for off in ("loss.sync_weight=0", "data.frames=1"):
        assert training_lineage(load_train_config("tsg", smoke, [*named, off])) == EAR


def test_sgi_is_based_on_its_start_and_shaped_by_its_critic_and_losses(tmp_path: Path):
    """One loss network found by itself, one published file, one that is not there, one without weight."""
    place = store.place_of("irse50")
    assert place is not None
    marked(place, published_as("irse50"), "identity")
    torch.save(official_faces.drawn(official_faces.maskgan_unet()), tmp_path / "model.pth")
    cfg = load_train_config(
        "sgi",
        CONFIGS / "paper" / "sgi.yaml",
        [
            f"start_from={marked(tmp_path / 'start', published_as('e4s'), 'sgi')}",
            f"discriminator_from={marked(tmp_path / 'd', published_as('e4s_d'), 'discriminator')}",
            f"networks.parsing_unet={tmp_path / 'model.pth'}",
        ],
    )
    losses = [published_as(row).through_loss() for row in ("e4s_d", "irse50", "maskgan_unet")]
    assert training_lineage(cfg) == published_as("e4s") | losses[0] | losses[1] | losses[2]
    assert {use.key for use in weights_of(cfg)} == {
        "start_from",
        "discriminator_from",
        "networks.lpips_trunk",
        "networks.arcface",
        "networks.parsing_unet",
    }


def test_a_run_that_goes_on_keeps_what_the_first_part_knew(tmp_path: Path):
    """The cache may have lost a loss network in between: it has left its mark all the same."""
    device = torch.device("cpu")
    first, second = (TrainState(IndexedSampler(8, 2, seed=1), device) for _ in range(2))
    first.lineage, second.lineage = EAR | EXPERT.through_loss(), EAR
    load_state(save_state(tmp_path, first), second)
    assert second.lineage == EAR | EXPERT.through_loss()


def test_a_checkpoint_from_before_lineage_was_kept_still_loads():
    state = TrainState(IndexedSampler(8, 2, seed=1), torch.device("cpu"))
    values = state.state_dict()
    del values["lineage"]
    state.lineage = EAR
    state.load_state_dict(values)
    assert state.lineage == EAR
