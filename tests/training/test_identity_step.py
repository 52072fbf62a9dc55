"""Our own small identity embedder tells people apart that it never met."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segtalker.data.dataset import ClipsConfig
from segtalker.data.dataset_sgi import SGIDataConfig
from segtalker.losses.contrastive import identity_contrast
from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.training.identity_step import IdentityTask, IdentityTrainConfig
from segtalker.training.loop import LocalContext, RunConfig, run_loop
from segtalker.training.state import OptimConfig
from segtalker.weights.checkpoint import load_weights
from tests.training.pictures import make_picture_corpus


def test_it_learns_to_tell_held_out_people_apart(tmp_path: Path) -> None:
    corpus = make_picture_corpus(tmp_path / "corpus", clips=12)
    cfg = IdentityTrainConfig(
        clips=ClipsConfig(folder=corpus),
        model=ArcFaceConfig(
            input_size=32, stem=8, widths=(8, 8, 12, 16), units=(1, 1, 1, 1), dropout=0.0, embedding_dim=16
        ),
        data=SGIDataConfig(items=16, max_gap=1000),
        optimizer=OptimConfig(lr=0.01, warmup_steps=5, ema_decay=0.8),
        run=RunConfig(max_steps=25),
    )
    task = IdentityTask(cfg)
    state = task.build(LocalContext(tmp_path, "cpu"))
    batches = (task.batches().batch(step) for step in range(25))
    run_loop(state, batches, task.step, max_steps=25, on_step=lambda *_: None)
    figures = task.validate(state)
    assert figures["val_auc"] > 0.9
    assert isinstance(load_weights(task.save(state, tmp_path, figures), "identity"), ArcFace)


def test_another_picture_of_the_same_person_is_no_wrong_answer() -> None:
    vectors = torch.eye(3)
    vectors[1] = vectors[0]
    strangers = identity_contrast(vectors, vectors, torch.tensor([0, 1, 2]))
    family = identity_contrast(vectors, vectors, torch.tensor([0, 0, 2]))
    assert float(strangers) > 0.4
    assert float(family) == pytest.approx(0, abs=1e-3)
