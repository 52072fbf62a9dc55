"""Our own small parser learns the maps of a tiny corpus, and serves SGI's losses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segtalker.data.dataset import ClipsConfig
from segtalker.models.frozen.maskgan_unet import ParsingUNet, ParsingUNetConfig
from segtalker.training.loop import LocalContext, RunConfig, run_loop
from segtalker.training.parsing_unet_step import ParsingUNetTask, ParsingUNetTrainConfig
from segtalker.training.sgi_losses import LossNetworksConfig, SGILossConfig, SGILosses
from segtalker.training.state import OptimConfig
from segtalker.weights.checkpoint import load_weights
from tests.training.pictures import make_picture_corpus


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained for a moment on people of one palette."""
    folder = tmp_path_factory.mktemp("unet")
    corpus = make_picture_corpus(folder / "corpus", one_palette=True)
    cfg = ParsingUNetTrainConfig(
        clips=ClipsConfig(folder=corpus),
        model=ParsingUNetConfig(widths=(8, 8, 8, 8, 8), num_classes=12, input_size=32),
        optimizer=OptimConfig(lr=0.01, warmup_steps=5, ema_decay=0.8),
        run=RunConfig(max_steps=40),
    )
    task = ParsingUNetTask(cfg)
    state = task.build(LocalContext(folder, "cpu"))
    batches = (task.batches().batch(step) for step in range(40))
    run_loop(state, batches, task.step, max_steps=40, on_step=lambda *_: None)
    figures = task.validate(state)
    assert figures["val_miou"] > 0.6
    assert task.picture(state).shape == (6 * 32, 3 * 32, 3)
    return task.save(state, folder, figures)


def test_it_learns_and_loads_again(weights: Path) -> None:
    assert isinstance(load_weights(weights, "parsing_unet"), ParsingUNet)


def test_the_stand_in_terms_see_a_face_that_lost_its_mouth(weights: Path) -> None:
    cfg = SGILossConfig(
        lpips_weight=0, id_weight=0, parsing_weight=0, perceptual_mini_weight=0.5, parsing_mini_weight=0.1
    )
    losses = SGILosses(cfg, LossNetworksConfig(parsing_mini=str(weights)))
    assert losses.notes == [] and not losses.train().training
    target = torch.rand(2, 3, 32, 32) * 2 - 1
    target_map = torch.zeros(2, 32, 32, dtype=torch.uint8)
    same = losses(target, target, target_map)
    assert float(same["loss"]) == pytest.approx(0, abs=1e-5)
    pred = target.clone()
    pred[:, :, 20:26, 10:22] = 0
    pred.requires_grad_()
    other = losses(pred, target, target_map)
    assert set(other) == {"loss", "l2", "perceptual_mini", "parsing_mini"}
    expected = other["l2"] + 0.5 * other["perceptual_mini"] + 0.1 * other["parsing_mini"]
    torch.testing.assert_close(other["loss"], expected)
    other["perceptual_mini"].backward()
    assert pred.grad is not None and float(pred.grad.abs().max()) > 0
