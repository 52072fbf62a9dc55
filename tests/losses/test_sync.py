from __future__ import annotations

import math

import torch

from segtalker.losses.sync import in_clip_sync_loss, pair_bce, pair_info_nce, sync_loss
from segtalker.models.syncnet import SyncNet, SyncNetConfig


def small_expert(calibrated: bool) -> SyncNet:
    torch.manual_seed(0)
    cfg = SyncNetConfig(
        size=32, channels=(8, 8, 8), residuals=(0, 0, 0), stem_kernel=5, stem_stride=2, embedding=8,
        mel_channels=(4, 4, 8, 8, 8), mel_residuals=(0, 0, 0, 0), calibrated=calibrated, norm="group",
    )  # fmt: skip
    return SyncNet(cfg).eval()


def pairs(clips: int = 3, windows: int = 5, gap: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    start = torch.arange(windows)
    positive = torch.eye(windows, dtype=torch.bool).expand(clips, -1, -1)
    negative = ((start[:, None] - start[None, :]).abs() >= gap).expand(clips, -1, -1)
    return positive, negative


def test_the_sync_loss_is_the_mean_negative_logarithm() -> None:
    value = sync_loss(torch.tensor([0.5, 0.25, 1.0]))
    assert math.isclose(value.item(), (math.log(2) + math.log(4)) / 3, rel_tol=1e-6)
    assert sync_loss(torch.zeros(2)).isfinite()


def test_with_a_frozen_expert_gradients_reach_only_the_generated_maps() -> None:
    for calibrated in (True, False):
        expert = small_expert(calibrated).requires_grad_(False)
        logits = torch.randn(2, 5, 12, 32, 32, requires_grad=True)
        mel = torch.randn(2, 1, 80, 16)
        sync_loss(expert(logits.softmax(dim=2), mel)).backward()
        assert logits.grad is not None and logits.grad[..., 16:, :].abs().max() > 0
        assert logits.grad[..., :16, :].abs().max() == 0, "the upper half is none of the expert's business"
        assert all(parameter.grad is None for parameter in expert.parameters()) and mel.grad is None


def test_balanced_cross_entropy_equals_a_loop_over_pairs() -> None:
    torch.manual_seed(0)
    logits, (positive, negative) = torch.randn(3, 5, 5), pairs()
    right, wrong = [], []
    for c in range(3):
        for i in range(5):
            for j in range(5):
                probability = 1 / (1 + math.exp(-logits[c, i, j].item()))
                if i == j:
                    right.append(-math.log(probability))
                elif abs(i - j) >= 2:
                    wrong.append(-math.log(1 - probability))
    expected = 0.5 * (sum(right) / len(right) + sum(wrong) / len(wrong))
    assert math.isclose(pair_bce(logits, positive, negative).item(), expected, rel_tol=1e-5)


def test_info_nce_equals_a_loop_over_windows() -> None:
    torch.manual_seed(1)
    logits, (positive, negative) = torch.randn(2, 5, 5), pairs(2)
    terms = []
    for c in range(2):
        for i in range(5):
            others = [j for j in range(5) if j == i or abs(i - j) >= 2]
            for line in (logits[c, i, others], logits[c, others, i]):
                terms.append(-math.log(math.exp(logits[c, i, i]) / sum(math.exp(v) for v in line)))
    expected = sum(terms) / len(terms)
    assert math.isclose(pair_info_nce(logits, positive, negative).item(), expected, rel_tol=1e-5)


def test_pairs_that_are_neither_get_no_gradient() -> None:
    logits = torch.randn(2, 6, 6, requires_grad=True)
    positive, negative = pairs(2, 6, gap=3)
    positive = positive.clone()
    positive[0, 2, 2] = False
    losses = in_clip_sync_loss(logits, positive, negative, nce_weight=0.25)
    assert math.isclose(losses["loss"].item(), (losses["bce"] + 0.25 * losses["nce"]).item(), rel_tol=1e-6)
    losses["loss"].backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert (logits.grad[~(positive | negative)] == 0).all()
    assert (logits.grad[positive] < 0).all() and (logits.grad[negative] > 0).all()


def test_a_batch_without_any_pair_is_zero_and_finite() -> None:
    logits = torch.randn(1, 3, 3, requires_grad=True)
    nothing = torch.zeros(1, 3, 3, dtype=torch.bool)
    loss = in_clip_sync_loss(logits, nothing, nothing)["loss"]
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None and (logits.grad == 0).all()


def test_a_perfect_expert_has_no_loss_and_an_undecided_one_has_log_two() -> None:
    positive, negative = pairs()
    perfect = torch.where(positive, 40.0, -40.0)
    assert in_clip_sync_loss(perfect, positive, negative)["loss"].item() < 1e-6
    undecided = in_clip_sync_loss(torch.zeros(3, 5, 5), positive, negative)
    assert math.isclose(undecided["bce"].item(), math.log(2), rel_tol=1e-6)
