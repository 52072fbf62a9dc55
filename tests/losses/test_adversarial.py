import math

import pytest
import torch

from segtalker.losses.adversarial import d_logistic, g_nonsaturating, r1_penalty


def test_an_undecided_discriminator_costs_two_log_two() -> None:
    zeros = torch.zeros(4, 1)
    assert float(d_logistic(zeros, zeros)) == pytest.approx(2 * math.log(2))
    assert float(g_nonsaturating(zeros)) == pytest.approx(math.log(2))


def test_the_two_sides_pull_the_logits_of_fakes_apart() -> None:
    fake = torch.zeros(4, 1, requires_grad=True)
    (down,) = torch.autograd.grad(d_logistic(torch.zeros(4, 1), fake), fake)
    (up,) = torch.autograd.grad(g_nonsaturating(fake), fake)
    assert bool((down > 0).all()) and bool((up < 0).all())


def test_r1_is_the_squared_gradient_norm_of_a_linear_critic_and_trains_it() -> None:
    weight = torch.randn(3, 4, 4, requires_grad=True)
    images = torch.randn(5, 3, 4, 4, requires_grad=True)
    penalty = r1_penalty((images * weight).sum(dim=(1, 2, 3))[:, None], images)
    assert float(penalty.detach()) == pytest.approx(float(weight.detach().square().sum()), rel=1e-5)
    (gradient,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(gradient, 2 * weight.detach())
