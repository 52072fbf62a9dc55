from __future__ import annotations

import numpy as np
import pytest
import torch

from segtalker.data.shards import ShardReader
from segtalker.errors import ConfigError, WeightsError
from segtalker.metrics.opening import correlation, mouth_area
from segtalker.regions import Region
from segtalker.training.loop import LocalContext
from segtalker.training.run import make_task, train
from segtalker.training.talk import choose_reference, talk
from segtalker.weights.checkpoint import load_weights
from tests.training.recipes import CONFIGS, run_steps, smoke_config
from tests.training.tiny import make_tiny_corpus


@pytest.fixture(scope="module")
def syncnet(tiny_corpus, tmp_path_factory):
    config = CONFIGS / "smoke" / "syncnet.yaml"
    return train(
        "syncnet", config, [f"clips.folder={tiny_corpus}"], tmp_path_factory.mktemp("sync"), quiet=True
    )


def test_tsg_learns_to_move_the_mouth_with_the_speech(tiny_corpus, tmp_path):
    cfg = smoke_config("tsg", tiny_corpus, "run.max_steps=60", "data.augment.map_shift=0")
    state, metrics = run_steps("tsg", cfg, 60, tmp_path)
    assert metrics[-1]["loss"] < 0.5 * metrics[0]["loss"]
    figures = make_task("tsg", cfg).validate(state)
    assert figures["val_correlation"] > 0.8 and figures["val_miou"] > 0.4


def test_the_sync_loss_starts_at_its_step_and_reaches_the_generator(tiny_corpus, syncnet, tmp_path):
    overrides = [f"syncnet={syncnet}", "sync_from=2", "loss.sync_weight=0.5"]
    _, metrics = run_steps("tsg", smoke_config("tsg", tiny_corpus, *overrides), 4, tmp_path)
    assert ["sync" in row for row in metrics] == [False, False, True, True]
    for row in metrics[2:]:
        assert row["loss"] == pytest.approx(row["ce"] + 0.5 * row["sync"], rel=1e-5)
    cfg = smoke_config("tsg", tiny_corpus, *overrides, "sync_from=0", "loss.area_power=0")
    task = make_task("tsg", cfg)
    state = task.build(LocalContext(tmp_path, "cpu"))
    losses = task._losses(state.nets["tsg"], task.batches().batch(0, 0, 1), with_sync=True)
    losses["sync"].backward()
    touched = [p for p in state.nets["tsg"].parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert len(touched) > 20 and all(p.grad is None for p in task._expert.parameters())


def test_l1_takes_the_place_of_cross_entropy_and_leaves_the_sync_loss(tiny_corpus, syncnet, tmp_path):
    overrides = [f"syncnet={syncnet}", "sync_from=1", "loss.sync_weight=0.5", "loss.reconstruction=l1"]
    _, metrics = run_steps("tsg", smoke_config("tsg", tiny_corpus, *overrides), 2, tmp_path)
    assert all("l1" in row and "ce" not in row for row in metrics)
    assert metrics[0]["loss"] == metrics[0]["l1"] < 2
    assert metrics[1]["loss"] == pytest.approx(metrics[1]["l1"] + 0.5 * metrics[1]["sync"], rel=1e-5)


def test_a_network_without_context_trains_draws_and_comes_back(tiny_corpus, tmp_path):
    cfg = smoke_config("tsg", tiny_corpus, "model.context=null")
    state, metrics = run_steps("tsg", cfg, 12, tmp_path)
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    task = make_task("tsg", cfg)
    assert any("mel window alone" in note for note in task.notes)
    saved = load_weights(task.save(state, tmp_path, {}), "tsg")
    reader, device = ShardReader(tiny_corpus), torch.device("cpu")
    maps = reader.read(0, "maps")
    drawn = talk(saved, reader, 0, range(10), maps[0], device)
    mel, tokens = reader.read(0, "mel"), reader.read(0, "tokens")
    assert np.array_equal(drawn, talk(saved, reader, 0, range(10), maps[0], device, (mel, tokens + 1)))


def test_a_network_without_context_cannot_take_a_speech_encoder_over(tiny_corpus, tmp_path):
    speech = train(
        "speech",
        CONFIGS / "smoke" / "speech.yaml",
        [f"clips.folder={tiny_corpus}", "run.max_steps=1"],
        tmp_path / "speech",
        quiet=True,
    )
    cfg = smoke_config("tsg", tiny_corpus, "model.context=null", f"speech={speech}")
    with pytest.raises(ConfigError, match=r"model\.context is null"):
        make_task("tsg", cfg).build(LocalContext(tmp_path, "cpu"))


def test_weights_with_context_do_not_start_a_network_without_it_nor_the_other_way(tiny_corpus, tmp_path):
    context = {"with": "{dim: 16, ffn_dim: 32, layers: 1, heads: 2, pos_kernel: 8}", "without": "null"}
    weights = {}
    for name, value in context.items():
        cfg = smoke_config("tsg", tiny_corpus, f"model.context={value}")
        state, _ = run_steps("tsg", cfg, 1, tmp_path)
        weights[name] = make_task("tsg", cfg).save(state, tmp_path / name, {})
    for start, other in (("with", "without"), ("without", "with")):
        overrides = [f"model.context={context[other]}", f"start_from={weights[start]}"]
        with pytest.raises(WeightsError, match="context"):
            make_task("tsg", smoke_config("tsg", tiny_corpus, *overrides)).build(
                LocalContext(tmp_path, "cpu")
            )


def test_what_is_missing_is_said(tiny_corpus, tmp_path):
    notes = make_task("tsg", smoke_config("tsg", tiny_corpus)).notes
    assert "context encoder starts at random" in notes[0] and "sync loss is off" in notes[1]
    wordless = make_tiny_corpus(tmp_path / "wordless", phones=False)
    assert any("loss term closure is off" in n for n in make_task("tsg", smoke_config("tsg", wordless)).notes)
    assert not any("closure" in note for note in notes)
    assert len(make_task("tsg", smoke_config("tsg", tiny_corpus, "loss.sync_weight=0")).notes) == 1
    absent = make_task("tsg", smoke_config("tsg", tiny_corpus, f"syncnet={tmp_path}/none.safetensors"))
    with pytest.raises(WeightsError, match="no such weights"):
        absent.build(LocalContext(tmp_path, "cpu"))


def test_pixels_around_the_mouth_of_closure_frames_weigh_more(tiny_corpus):
    cfg = smoke_config("tsg", tiny_corpus, "loss.closure_weight=4", "loss.mouth_weight=2")
    task = make_task("tsg", cfg)
    maps = torch.full((2, 32, 32), int(Region.SKIN), dtype=torch.uint8)
    maps[:, 24, 16] = Region.LIP
    weights = task._pixel_weights(maps, torch.tensor([True, False]))
    assert weights[:, 24, 16].tolist() == [8.0, 2.0] and weights[:, 30, 2].tolist() == [1.0, 1.0]
    assert weights[0, 2, 2] == pytest.approx(cfg.loss.upper_half_weight)


def test_talking_maps_keep_the_upper_half_and_do_not_see_the_mouth_below(tiny_corpus, tmp_path):
    state, _ = run_steps("tsg", smoke_config("tsg", tiny_corpus), 2, tmp_path)
    tsg, reader = state.averaged("tsg").tsg, ShardReader(tiny_corpus)
    clip = reader.select("val")[0]
    maps = reader.read(clip, "maps")
    device = torch.device("cpu")
    drawn = talk(tsg, reader, clip, range(30), maps[0], device)
    assert drawn.shape == (30, 32, 32) and np.array_equal(drawn[:, :16], maps[:30, :16])

    class Blind(ShardReader):
        def take(self, clip, name, indices):
            rows = super().take(clip, name, indices).copy()
            if name == "maps":
                rows[:, 16:] = Region.HAIR
            return rows

    assert np.array_equal(talk(tsg, Blind(tiny_corpus), clip, range(30), maps[0], device), drawn)


def test_a_part_of_a_clip_is_drawn_as_in_the_whole(tiny_corpus, tmp_path):
    state, _ = run_steps("tsg", smoke_config("tsg", tiny_corpus), 2, tmp_path)
    tsg, reader, device = state.averaged("tsg").tsg, ShardReader(tiny_corpus), torch.device("cpu")
    maps = reader.read(0, "maps")
    whole = talk(tsg, reader, 0, range(60), maps[0], device)
    part = talk(tsg, reader, 0, range(20, 40), maps[0], device)
    assert (whole[20:40] == part).mean() > 0.9999


def test_the_reference_has_the_most_closed_mouth():
    maps = np.full((3, 8, 8), Region.SKIN, np.uint8)
    maps[0, 6:] = maps[1, 7:] = maps[2, 6:] = Region.MOUTH
    assert choose_reference(maps) == 1


def test_the_tiny_corpus_is_no_accident_the_mouth_follows_its_truth(tiny_corpus):
    reader = ShardReader(tiny_corpus)
    assert correlation(mouth_area(reader.read(0, "maps")), reader.read(0, "opening")) > 0.95
