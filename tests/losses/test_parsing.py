import pytest
import torch

from segtalker.losses.parsing import parsing_loss


def test_the_deepest_features_decide_unless_all_are_asked_for() -> None:
    torch.manual_seed(0)
    features = [torch.randn(2, 4, 8, 8), torch.randn(2, 6, 4, 4)]
    other = [-features[0], 2 * features[1]]
    assert float(parsing_loss(features, other)) == pytest.approx(0, abs=1e-6)
    assert float(parsing_loss(features, other, multi_level=True)) == pytest.approx(2, rel=1e-5)


def test_gradients_reach_the_prediction() -> None:
    pred, target = torch.randn(1, 2, 4, 4, requires_grad=True), torch.randn(1, 2, 4, 4)
    (gradient,) = torch.autograd.grad(parsing_loss([pred], [target]), pred)
    assert float(gradient.abs().max()) > 0
