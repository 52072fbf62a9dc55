from __future__ import annotations

import math

import pytest
import torch

from segtalker.losses.reconstruction import area_weights, probability_l1, weighted_cross_entropy


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    logits = torch.randn(4, 3, 2, 5)
    return logits, torch.randint(0, 3, (4, 2, 5), dtype=torch.uint8), torch.tensor([0.5, 2.0, 7.0])


def test_cross_entropy_is_the_weighted_sum_over_the_number_of_pixels() -> None:
    logits, target, weights = example()
    total = 0.0
    for n in range(4):
        for y in range(2):
            for x in range(5):
                c = int(target[n, y, x])
                norm = sum(math.exp(v) for v in logits[n, :, y, x])
                total += weights[c].item() * -math.log(math.exp(logits[n, c, y, x]) / norm)
    loss = weighted_cross_entropy(logits, target, weights)
    assert math.isclose(loss.item(), total / 40, rel_tol=1e-5)


def test_the_loss_of_a_batch_is_the_mean_of_the_losses_of_its_halves() -> None:
    logits, target, weights = example()
    halves = [weighted_cross_entropy(logits[s], target[s], weights) for s in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(weighted_cross_entropy(logits, target, weights), sum(halves) / 2)


def test_without_weights_it_is_plain_cross_entropy_and_pixel_weights_scale_pixels() -> None:
    logits, target, _ = example()
    plain = torch.nn.functional.cross_entropy(logits, target.long())
    torch.testing.assert_close(weighted_cross_entropy(logits, target), plain)
    lower = torch.zeros(4, 2, 5)
    lower[:, 1] = 1.0
    expected = 0.5 * torch.nn.functional.cross_entropy(logits[:, :, 1], target[:, 1].long())
    torch.testing.assert_close(weighted_cross_entropy(logits, target, pixel_weights=lower), expected)


def test_unclipped_weights_are_inverse_areas_with_mean_one() -> None:
    areas = torch.tensor([100.0, 50.0, 25.0, 25.0])
    weights = area_weights(areas, largest=100.0)
    torch.testing.assert_close(weights, (200 / 4) / areas)
    assert math.isclose((weights * areas / 200).sum().item(), 1.0, rel_tol=1e-6)
    roots = area_weights(areas, power=0.5, largest=100.0)
    torch.testing.assert_close(roots[2] / roots[0], torch.tensor(2.0))


def test_clipped_weights_still_have_mean_one_and_keep_the_ratio_of_the_others() -> None:
    areas = torch.tensor([9000.0, 900.0, 90.0, 9.0, 1.0, 0.0])
    weights = area_weights(areas, largest=10.0)
    assert weights.max() <= 10.0 and (weights[2:] == 10.0).all()
    torch.testing.assert_close(weights[1] / weights[0], torch.tensor(10.0))
    assert math.isclose((weights * areas / areas.sum()).sum().item(), 1.0, rel_tol=1e-5)
    with pytest.raises(ValueError, match="below 1"):
        area_weights(areas, largest=0.5)


def test_l1_is_the_mean_difference_of_probabilities_and_one_hot() -> None:
    logits, target, _ = example()
    onehot = torch.nn.functional.one_hot(target.long(), 3).permute(0, 3, 1, 2)
    expected = (logits.softmax(dim=1) - onehot).abs().mean()
    torch.testing.assert_close(probability_l1(logits, target), expected)
    lower = torch.zeros(4, 2, 5)
    lower[:, 1] = 2.0
    torch.testing.assert_close(
        probability_l1(logits, target, lower), probability_l1(logits[:, :, 1:], target[:, 1:])
    )


def test_l1_hardly_corrects_what_is_surely_wrong_where_cross_entropy_does() -> None:
    target = torch.zeros(1, 1, 1, dtype=torch.uint8)
    gradients = []
    for loss in (probability_l1, weighted_cross_entropy):
        logits = torch.tensor([-10.0, 10.0, 0.0]).view(1, 3, 1, 1).requires_grad_()
        loss(logits, target).backward()
        gradients.append(float(logits.grad.abs().max()))
    assert gradients[0] < 1e-6 and gradients[1] > 0.9
