"""The discriminator's layout and its minibatch statistics."""

import pytest
import torch

from segtalker.models.discriminator import Discriminator, DiscriminatorConfig, minibatch_deviation


@pytest.mark.parametrize(("size", "parameters"), [(256, 28_864_129), (512, 28_982_849), (1024, 29_012_513)])
def test_parameter_counts_are_the_published_ones(size: int, parameters: int) -> None:
    with torch.device("meta"):
        net = Discriminator(DiscriminatorConfig(size=size))
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        shapes = {n: tuple(t.shape) for n, t in Discriminator(DiscriminatorConfig()).state_dict().items()}
    expected = {
        "convs.0.0.weight": (32, 3, 1, 1),
        "convs.0.1.bias": (32,),
        "convs.1.conv1.0.weight": (32, 32, 3, 3),
        "convs.1.conv2.1.weight": (64, 32, 3, 3),
        "convs.1.conv2.2.bias": (64,),
        "convs.1.skip.1.weight": (64, 32, 1, 1),
        "final_conv.0.weight": (512, 513, 3, 3),
        "final_linear.0.weight": (512, 8192),
        "final_linear.1.bias": (1,),
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_one_logit_a_picture_with_a_gradient() -> None:
    net = Discriminator(DiscriminatorConfig(size=32, channel_base=256, channel_max=8))
    images = torch.randn(6, 3, 32, 32, requires_grad=True)
    logits = net(images)
    assert logits.shape == (6, 1)
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert float(gradient.abs().sum()) > 0


def test_the_deviation_sees_how_varied_a_group_is() -> None:
    same = torch.randn(1, 3, 4, 4).expand(4, -1, -1, -1)
    assert minibatch_deviation(same).max() < 1e-3
    values = torch.randn(8, 3, 4, 4)
    found = minibatch_deviation(values)
    for member in (0, 1):  # two groups of four, interleaved: 0 2 4 6 and 1 3 5 7
        expected = values[member::2].std(dim=0, unbiased=False).mean()
        torch.testing.assert_close(found[member::2], expected.expand(4, 1, 4, 4), rtol=1e-3, atol=1e-4)
