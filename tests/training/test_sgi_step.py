"""SGI's step on a tiny corpus of painted faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segtalker.data.dataset import ClipsConfig
from segtalker.data.dataset_sgi import SGIBatches, SGIDataConfig
from segtalker.errors import ConfigError, DataError, WeightsError
from segtalker.models.discriminator import Discriminator
from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.training.loop import LocalContext, run_loop
from segtalker.training.run import load_train_config
from segtalker.training.sgi_step import SGITask, SGITrainConfig, to_float
from segtalker.training.state import TrainState, load_state, save_state
from segtalker.weights.checkpoint import load_weights, save_weights
from tests.training.pictures import make_picture_corpus
from tests.training.tiny import make_tiny_corpus

SMOKE = Path(__file__).parents[2] / "configs" / "smoke" / "sgi.yaml"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips with crops; every person has a palette."""
    return make_picture_corpus(tmp_path_factory.mktemp("corpus") / "pictures")


def smoke(folder: Path, *overrides: str) -> SGITrainConfig:
    return load_train_config("sgi", SMOKE, [f"clips.folder={folder}", *overrides])


def train(
    cfg: SGITrainConfig, tmp_path: Path, steps: int, resume: Path | None = None
) -> tuple[SGITask, TrainState, list[dict[str, float]]]:
    torch.manual_seed(0)
    task = SGITask(cfg)
    state = task.build(LocalContext(tmp_path, "cpu"))
    if resume is not None:
        load_state(resume, state)
    history: list[dict[str, float]] = []
    batches = (task.batches().batch(step) for step in range(state.step, steps))
    run_loop(state, batches, task.step, max_steps=steps, on_step=lambda _, metrics: history.append(metrics))
    return task, state, history


def test_a_short_training_learns_to_paint(pictures: Path, tmp_path: Path) -> None:
    cfg = smoke(pictures, "loss.adv_weight=0", "run.max_steps=60", "optimizer.lr=0.01")
    task, state, history = train(cfg, tmp_path, 60)
    first, last = (np.mean([row["l2"] for row in part]) for part in (history[:5], history[-5:]))
    assert last < 0.5 * first
    figures = task.validate(state)
    assert figures["val_psnr"] > 10 and set(figures) == {"val_psnr", "val_psnr_face", "val_psnr_mouth"}
    assert task.picture(state).shape == (4 * 32, 4 * 32, 3)
    weights = load_weights(task.save(state, tmp_path, figures), "sgi")
    assert type(weights).__name__ == "SGI"


def test_a_resumed_run_equals_an_uninterrupted_one(pictures: Path, tmp_path: Path) -> None:
    cfg = smoke(pictures, "noise=random", "loss.r1_every=2")
    _, whole, history = train(cfg, tmp_path, 6)
    _, half, _ = train(cfg, tmp_path, 3)
    saved = save_state(tmp_path / "states", half)
    _, resumed, rest = train(cfg, tmp_path, 6, resume=saved)
    assert rest == history[3:]
    for name in ("sgi", "discriminator"):
        for found, expected in zip(
            resumed.nets[name].parameters(), whole.nets[name].parameters(), strict=True
        ):
            assert torch.equal(found, expected)
    for found, expected in zip(resumed.ema["sgi"].parameters(), whole.ema["sgi"].parameters(), strict=True):
        assert torch.equal(found, expected)


def test_the_discriminator_rests_until_its_start(pictures: Path, tmp_path: Path) -> None:
    cfg = smoke(pictures, "loss.adv_start_step=2", "loss.d_every=2")
    _, state, history = train(cfg, tmp_path, 5)
    assert [("adv" in row, "d_loss" in row) for row in history] == [
        (False, False), (False, False), (True, True), (True, False), (True, True),
    ]  # fmt: skip
    assert "r1" in history[2] and "r1" not in history[4]
    assert all(parameter.requires_grad for parameter in state.nets["discriminator"].parameters())


def test_a_discriminator_goes_on_from_its_weights(pictures: Path, tmp_path: Path) -> None:
    cfg = smoke(pictures).discriminator
    path = save_weights(Discriminator(cfg), cfg, tmp_path / "critic.safetensors", half=False)
    state = SGITask(smoke(pictures, f"discriminator_from={path}")).build(LocalContext(tmp_path, "cpu"))
    stored, taken = load_weights(path, "discriminator"), state.nets["discriminator"].state_dict()
    assert all(torch.equal(value, taken[name]) for name, value in stored.state_dict().items())
    with pytest.raises(ConfigError, match="no discriminator learns"):
        smoke(pictures, f"discriminator_from={path}", "loss.adv_weight=0")


def test_without_an_adversarial_weight_there_is_no_discriminator(pictures: Path, tmp_path: Path) -> None:
    _, state, _ = train(smoke(pictures, "loss.adv_weight=0"), tmp_path, 1)
    assert set(state.nets) == {"sgi"}


def test_a_batch_in_parts_gives_the_loss_and_update_of_the_whole(pictures: Path, tmp_path: Path) -> None:
    weights = []
    for parts in (1, 2):
        cfg = smoke(pictures, "loss.adv_weight=0", f"accumulate={parts}")
        _, _, history = train(cfg, tmp_path, 1)
        weights.append((history[0]["loss"], history[0]["grad_norm"]))
    assert weights[0] == pytest.approx(weights[1], rel=1e-4)


def test_terms_without_their_network_are_named(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path))
    cfg = smoke(pictures, "loss.lpips_weight=0.8", "loss.id_weight=0.1", "loss.parsing_weight=0")
    notes = " ".join(SGITask(cfg).notes)
    assert "lpips is off" in notes and "term id is off" in notes and "parsing" not in notes


def test_workers_with_other_terms_do_not_begin(pictures: Path, tmp_path: Path) -> None:
    class Apart(LocalContext):
        def average(self, metrics: dict[str, float]) -> dict[str, float]:
            return dict.fromkeys(metrics, 0.75)

    with pytest.raises(WeightsError, match="only some machines have the network of the loss terms lpips, "):
        SGITask(smoke(pictures)).build(Apart(tmp_path, "cpu"))


def test_sizes_that_do_not_fit_are_refused(pictures: Path) -> None:
    with pytest.raises(ConfigError, match=r"discriminator\.size is 64"):
        smoke(pictures, "discriminator.size=64")


def test_pairs_come_from_one_clip_within_the_gap_and_repeat(pictures: Path) -> None:
    cfg = SGIDataConfig(items=4, max_gap=3, flip_share=0.0)
    data = SGIBatches(ClipsConfig(folder=pictures), cfg, seed=1)
    draws = data.sampler.batch(2)
    batch, again = data.batch(2), data.batch(2)
    for name, value in batch.items():
        assert torch.equal(value, again[name])
        assert value.dtype == (torch.int64 if name == "identity" else torch.uint8)
    for draw, source, target in zip(draws, batch["source_map"], batch["target_map"], strict=True):
        maps = torch.from_numpy(data.reader.read(data._turns[draw.index], "maps"))
        at = [int(torch.nonzero((maps == one).all(dim=(1, 2)))[0]) for one in (source, target)]
        assert abs(at[0] - at[1]) <= 3


def test_two_ranks_share_the_batch_of_one(pictures: Path) -> None:
    data = SGIBatches(ClipsConfig(folder=pictures), SGIDataConfig(items=4), seed=1)
    halves = [data.batch(1, rank, 2)["target_image"] for rank in range(2)]
    assert torch.equal(torch.cat(halves), data.batch(1)["target_image"])


def test_source_and_target_get_the_same_light(pictures: Path) -> None:
    data = SGIBatches(ClipsConfig(folder=pictures), SGIDataConfig(items=8, flip_share=0.0), seed=3)
    batch = data.batch(0)
    for image, regions, other, other_regions in zip(
        *(batch[name] for name in ("source_image", "source_map", "target_image", "target_map")), strict=True
    ):
        assert torch.equal(image[regions == 6].unique(dim=0), other[other_regions == 6].unique(dim=0))


def test_without_prior_learning_the_truth_is_the_source_itself(pictures: Path) -> None:
    data = SGIBatches(ClipsConfig(folder=pictures), smoke(pictures, "data.max_gap=0").data, seed=1)
    batch = data.batch(0)
    assert torch.equal(batch["source_image"], batch["target_image"])
    assert torch.equal(batch["source_map"], batch["target_map"])


def test_with_plain_codes_the_training_learns_a_code_that_all_regions_share(
    pictures: Path, tmp_path: Path
) -> None:
    cfg = smoke(pictures, "model.codes=plain", "loss.adv_weight=0")
    task, state, history = train(cfg, tmp_path, 6)
    assert history[-1]["loss"] < history[0]["loss"]
    saved = load_weights(task.save(state, tmp_path, {}), "sgi")
    batch = task.batches().batch(0)
    codes = saved.encode(to_float(batch["source_image"], 32), batch["source_map"])
    assert torch.equal(codes, codes[:, :1].expand_as(codes))


def test_held_out_pictures_are_not_recoloured(pictures: Path) -> None:
    data = SGIBatches(ClipsConfig(folder=pictures), SGIDataConfig(items=8), seed=1, train=False)
    batch = data.batch(0)
    held_out = [data.reader.read(clip, "crops") for clip in data.clips]
    for name in ("source_image", "target_image"):
        for image in batch[name].numpy():
            assert any((image == crops).all(axis=(1, 2, 3)).any() for crops in held_out)


def test_a_corpus_without_pictures_is_refused(tmp_path: Path) -> None:
    folder = make_tiny_corpus(tmp_path / "maps", clips=3, frames=20)
    with pytest.raises(DataError, match="no clip has crops"):
        SGIBatches(ClipsConfig(folder=folder), SGIDataConfig(), seed=1)


def test_pictures_become_minus_one_to_one() -> None:
    picture = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 2, 1).expand(1, 2, 2, 3)
    assert to_float(picture, 2).unique().tolist() == [-1.0, 1.0]
    assert to_float(picture, 4).shape == (1, 3, 4, 4)


def test_the_state_knows_the_networks_of_the_objective_and_a_checkpoint_hands_them_on(
    pictures: Path, tmp_path: Path
) -> None:
    embedder = ArcFace(ArcFaceConfig(32, 8, (8, 8, 8, 8), (1, 1, 1, 1), embedding_dim=8))
    path = save_weights(embedder, embedder.cfg, tmp_path / "arcface.safetensors")
    cfg = smoke(pictures, "loss.id_weight=0.1", f"networks.arcface={path}")
    state = SGITask(cfg).build(LocalContext(tmp_path, "cpu"))
    assert state.loss_networks == {"networks.arcface": ""}
    assert load_state(save_state(tmp_path, state), state) == state.loss_networks
