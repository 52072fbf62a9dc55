"""The speech encoder learns which phone sounds and what the mouth does, and TSG listens with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segtalker.data.augment import NO_AUGMENT
from segtalker.data.dataset import ClipsConfig
from segtalker.data.dataset_speech import SpeechBatches, SpeechDataConfig
from segtalker.data.phones import PHONE_NAMES, UNKNOWN_PHONE
from segtalker.errors import ConfigError, WeightsError
from segtalker.models.speech_encoder import NUM_PHONES, SpeechEncoder
from segtalker.training.loop import LocalContext
from segtalker.training.run import make_task, train
from segtalker.training.tsg_step import TalkingNet
from segtalker.weights.checkpoint import load_weights, save_weights, weights_info
from tests.training.recipes import CONFIGS, run_steps, smoke_config
from tests.training.tiny import make_tiny_corpus


def test_every_token_carries_the_phone_and_mouth_of_its_time(tiny_corpus: Path) -> None:
    clips = ClipsConfig(folder=tiny_corpus)
    batches = SpeechBatches(clips, SpeechDataConfig(items=4, augment=NO_AUGMENT), seed=1)
    batch = batches.batch(0)
    assert batch["tokens"].shape == (4, 75, 104) and batch["mouth"].shape == (4, 75, 4)
    heard = ~batch["padding"]
    assert heard.sum(dim=1).tolist() == [60] * 4  # clips of 60 frames in chunks of 75
    assert bool((batch["phones"][batch["padding"]] == UNKNOWN_PHONE).all())
    # In the tiny corpus every other token value is the opening itself, and the mouth opens on `aa` alone.
    assert torch.allclose(batch["tokens"][..., 0], batch["mouth"][..., 0], atol=2e-3)
    open_mouth = batch["mouth"][..., 0] > 0.05
    assert bool((batch["phones"][open_mouth] == PHONE_NAMES.index("aa")).all())
    assert len(PHONE_NAMES) == NUM_PHONES == len(set(PHONE_NAMES))


def test_it_learns_phones_and_mouth(tiny_corpus: Path, tmp_path: Path) -> None:
    quiet = [f"data.augment.{name}=0" for name in ("token_noise", "hidden_bands", "hidden_tokens", "eq_db")]
    cfg = smoke_config("speech", tiny_corpus, "run.max_steps=60", *quiet)
    state, _ = run_steps("speech", cfg, 60, tmp_path)
    task = make_task("speech", cfg)
    figures = task.validate(state)
    assert figures["val_phone_accuracy"] > 0.85 and figures["val_correlation"] > 0.9
    assert isinstance(load_weights(task.save(state, tmp_path, figures), "speech"), SpeechEncoder)


def test_a_corpus_without_phones_is_told_of_and_teaches_the_mouth_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_tiny_corpus(tmp_path / "wordless", phones=False)
    config, overrides = CONFIGS / "smoke" / "speech.yaml", [f"clips.folder={corpus}", "run.max_steps=2"]
    path = train("speech", config, overrides, tmp_path / "run")
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert notes == [
        f"note: loss term phones is off for {corpus}: no clip says which phone sounds when. "
        "Prepare the corpus with phones."
    ]
    assert set(weights_info(path)["info"]["figures"]) == {"val_correlation"}
    assert make_task("speech", smoke_config("speech", corpus, "phone_weight=0")).notes == []


def test_tsg_takes_the_encoder_over_and_leaves_it_as_it_is(tiny_corpus: Path, tmp_path: Path) -> None:
    cfg = smoke_config("speech", tiny_corpus, "model.context.dropout=0.1")
    encoder = SpeechEncoder(cfg.model)
    path = save_weights(encoder, cfg.model, tmp_path / "speech.safetensors", half=False)
    state, _ = run_steps("tsg", smoke_config("tsg", tiny_corpus, f"speech={path}"), 2, tmp_path)
    net = state.nets["tsg"]
    assert isinstance(net, TalkingNet)
    for name, value in encoder.context.state_dict().items():
        assert torch.equal(net.tsg.context_encoder.state_dict()[name], value), name


def test_tsg_may_train_the_encoder_further(tiny_corpus: Path, tmp_path: Path) -> None:
    cfg = smoke_config("speech", tiny_corpus)
    encoder = SpeechEncoder(cfg.model)
    path = save_weights(encoder, cfg.model, tmp_path / "speech.safetensors", half=False)
    tuned = smoke_config("tsg", tiny_corpus, f"speech={path}", "tune_speech=true")
    net = run_steps("tsg", tuned, 2, tmp_path)[0].nets["tsg"]
    assert isinstance(net, TalkingNet)
    first = encoder.context.post_extract_proj.weight
    assert not torch.equal(net.tsg.context_encoder.post_extract_proj.weight, first)


def test_tsg_goes_on_from_weights_of_its_size(tiny_corpus: Path, tmp_path: Path) -> None:
    cfg = smoke_config("tsg", tiny_corpus)
    task = make_task("tsg", cfg)
    first, _ = run_steps("tsg", cfg, 1, tmp_path)
    path = task.save(first, tmp_path, {})
    again = make_task("tsg", smoke_config("tsg", tiny_corpus, f"start_from={path}")).build(
        LocalContext(tmp_path, "cpu")
    )
    assert torch.allclose(again.nets["tsg"].tsg.fuse.weight, first.averaged("tsg").tsg.fuse.weight, atol=1e-3)
    with pytest.raises(WeightsError, match="another size"):
        other = smoke_config("tsg", tiny_corpus, f"start_from={path}", "model.speech_dim=24")
        make_task("tsg", other).build(LocalContext(tmp_path, "cpu"))


def test_an_encoder_of_another_size_is_refused(tiny_corpus: Path, tmp_path: Path) -> None:
    cfg = smoke_config("speech", tiny_corpus, "model.context.ffn_dim=48")
    path = save_weights(SpeechEncoder(cfg.model), cfg.model, tmp_path / "speech.safetensors")
    task = make_task("tsg", smoke_config("tsg", tiny_corpus, f"speech={path}"))
    with pytest.raises(ConfigError, match="another size"):
        task.build(LocalContext(tmp_path, "cpu"))
