from __future__ import annotations

import pytest
import torch

from segtalker.data.phones import UNKNOWN_PHONE
from segtalker.errors import DataError
from segtalker.training.loop import LocalContext
from segtalker.training.phones import phone_loss
from segtalker.training.run import make_task
from segtalker.training.syncnet_step import balanced_accuracy, pair_masks
from tests.training.recipes import run_steps, smoke_config
from tests.training.tiny import make_tiny_corpus


def test_wrong_pairs_are_far_apart_and_never_two_silences():
    start = torch.tensor([[0, 3, 10, 30]])
    spoken = torch.tensor([[True, False, False, True]])
    positive, negative = pair_masks(start, spoken, gap=5)
    assert torch.equal(positive[0], torch.eye(4, dtype=torch.bool))
    for i in range(4):
        for j in range(4):
            apart = abs(int(start[0, i] - start[0, j])) >= 5
            assert bool(negative[0, i, j]) == (apart and bool(spoken[0, i] or spoken[0, j]))


def test_scored_pairs_have_speech_on_both_sides():
    start, spoken = torch.tensor([[0, 20, 40]]), torch.tensor([[True, False, True]])
    positive, negative = pair_masks(start, spoken, gap=10, spoken_only=True)
    assert positive[0].nonzero().tolist() == [[0, 0], [2, 2]]
    assert negative[0].nonzero().tolist() == [[0, 2], [2, 0]]


def test_accuracy_is_balanced_between_right_and_wrong_pairs():
    start, spoken = torch.tensor([[0, 20, 40, 60]]), torch.ones(1, 4, dtype=torch.bool)
    pairs = pair_masks(start, spoken, gap=10)
    assert balanced_accuracy(torch.ones(1, 4, 4), *pairs) == 0.5  # says yes to everything
    assert balanced_accuracy(torch.eye(4)[None] - 0.5, *pairs) == 1.0


def test_syncnet_learns_which_speech_belongs_to_which_mouth(tiny_corpus, tmp_path):
    cfg = smoke_config("syncnet", tiny_corpus, "run.max_steps=150", "val_batches=4")
    state, metrics = run_steps("syncnet", cfg, 150, tmp_path)
    assert metrics[0]["bce"] > 0.6
    figures = make_task("syncnet", cfg).validate(state)
    assert figures["val_accuracy"] > 0.8 and figures["val_bce"] < 0.5


def test_the_evaluation_expert_differs_in_window_resolution_and_seed(tiny_corpus):
    judge, taught = (smoke_config("syncnet", tiny_corpus, name=n) for n in ("sync_expert", "syncnet"))
    assert judge.model.window != taught.model.window and judge.model.size != taught.model.size
    assert judge.run.seed != taught.run.seed and judge.name == "sync_expert"


def test_every_parameter_has_a_gradient_even_where_its_loss_weighs_nothing(tiny_corpus, tmp_path):
    """Data parallelism waits for all of them."""
    cfg = smoke_config("syncnet", tiny_corpus, "loss.shape_weight=0")
    state, _ = run_steps("syncnet", cfg, 1, tmp_path)
    assert set(state.optimizers["syncnet"].state) == set(state.nets["syncnet"].parameters())


def test_a_run_that_sits_at_069_is_reported(tiny_corpus):
    task = make_task("syncnet", smoke_config("syncnet", tiny_corpus))
    assert "0.69" in task.alert(1000, {"bce": 0.692})
    assert task.alert(10, {"bce": 0.692}) is None and task.alert(1000, {"bce": 0.4}) is None


def test_the_picture_shows_every_pair_of_windows(tiny_corpus, tmp_path):
    task = make_task("syncnet", smoke_config("syncnet", tiny_corpus))
    picture = task.picture(task.build(LocalContext(tmp_path, "cpu")))
    assert picture.shape == (4 * 12, 4 * 4 * 12, 3) and picture.dtype.name == "uint8"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_half_precision_gives_nearly_the_same_loss(tiny_corpus, tmp_path, precision):
    cfg = smoke_config("syncnet", tiny_corpus, f"run.precision={precision}", "run.channels_last=true")
    _, metrics = run_steps("syncnet", cfg, 1, tmp_path)
    _, plain = run_steps("syncnet", smoke_config("syncnet", tiny_corpus), 1, tmp_path)
    assert metrics[0]["loss"] == pytest.approx(plain[0]["loss"], rel=0.02)


def test_a_training_goes_on_from_weights(tiny_corpus, tmp_path):
    task = make_task("syncnet", smoke_config("syncnet", tiny_corpus))
    first, _ = run_steps("syncnet", task.cfg, 3, tmp_path)
    path = task.save(first, tmp_path, {})
    again = make_task("syncnet", smoke_config("syncnet", tiny_corpus, f"start_from={path}"))
    net = again.build(LocalContext(tmp_path, "cpu")).nets["syncnet"]
    assert torch.allclose(net.syncnet.bias, first.averaged("syncnet").syncnet.bias, atol=1e-3)


def test_phones_that_nobody_knows_cost_nothing(tiny_corpus):
    logits = torch.randn(6, 5, 40, requires_grad=True)
    unknown = torch.full((2, 3, 5), UNKNOWN_PHONE)
    assert float(phone_loss(logits, unknown).detach()) == 0.0
    one = unknown.clone()
    one[1, 2, 4] = 7
    expected = -logits[5, 4].log_softmax(0)[7]
    assert torch.allclose(phone_loss(logits, one), expected)


def test_more_voices_teach_the_speech_branch_alone(tiny_corpus, tmp_path):
    more = [f"data.voices={tiny_corpus}", "loss.phone_weight=0.5"]
    task = make_task("syncnet", smoke_config("syncnet", tiny_corpus, *more))
    batch = task.batches().batch(0, 0, 1)
    assert batch["voices_mel"].shape == batch["mel"].shape
    state = task.build(LocalContext(tmp_path, "cpu"))
    task._voices_loss(state.nets["syncnet"], batch).backward()
    touched = {n.split(".")[1] for n, p in state.nets["syncnet"].named_parameters() if p.grad is not None}
    assert touched == {"audio_encoder", "audio_projection", "weight", "bias"}  # the last two: phone head
    plain = make_task("syncnet", smoke_config("syncnet", tiny_corpus, "loss.phone_weight=0.5"))
    assert "voices_mel" not in plain.batches().batch(0, 0, 1)


def test_each_corpus_without_phones_is_told_of_where_phones_shall_be_learned(tiny_corpus, tmp_path):
    wordless = make_tiny_corpus(tmp_path / "wordless", phones=False)

    def notes(corpus, *settings):
        return make_task("syncnet", smoke_config("syncnet", corpus, *settings)).notes

    off = f"loss term phones is off for {wordless}: no clip"
    (said,) = notes(wordless, "loss.phone_weight=0.5")
    assert said.startswith(off)
    (said,) = notes(tiny_corpus, "loss.phone_weight=0.5", f"data.voices={wordless}")
    assert said.startswith(off)
    assert len(notes(wordless, "loss.phone_weight=0.5", f"data.voices={wordless}")) == 2
    assert notes(wordless) == notes(tiny_corpus, "loss.phone_weight=0.5") == []
    assert notes(tiny_corpus, f"data.voices={tiny_corpus}") == [
        "data.voices is not used: loss.phone_weight is 0."
    ]


def test_voices_that_are_all_too_short_are_refused_by_name(tiny_corpus, tmp_path):
    short = make_tiny_corpus(tmp_path / "short", frames=8)
    with pytest.raises(DataError, match=r"short: every clip is shorter than 9 frames"):
        make_task("syncnet", smoke_config("syncnet", tiny_corpus, f"data.voices={short}"))
