"""The generator itself: layout, plain synthesis, and what region codes may and may not change."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segtalker.models.stylegan2 import Generator, SynthesisConfig
from segtalker.models.stylegan2.modulated import ModulatedConv2d

SMALL = SynthesisConfig(size=32, style_dim=8, channel_base=512, channel_max=16, num_mapping_layers=0)


@pytest.fixture()
def generator() -> Generator:
    torch.manual_seed(0)
    net = Generator(SMALL).eval()
    for name, parameter in net.named_parameters():
        if "noise" in name:
            parameter.data.fill_(0.2)
    return net


def face_map(count: int = 1, size: int = 32) -> Tensor:
    coarse = torch.randint(0, 12, (count, size // 4, size // 4), generator=torch.Generator().manual_seed(5))
    return coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)


@pytest.mark.parametrize(("size", "millions"), [(256, 30.03), (512, 30.28), (1024, 30.37)])
def test_parameter_counts_are_the_published_ones(size: int, millions: float) -> None:
    with torch.device("meta"):
        net = Generator(SynthesisConfig(size=size))
    count = sum(parameter.numel() for parameter in net.parameters())
    assert round(count / 1e6, 2) == millions
    if size == 1024:
        assert count == 30_370_060


def test_names_and_shapes_are_those_of_the_published_1024_generator() -> None:
    with torch.device("meta"):
        shapes = {
            name: tuple(tensor.shape) for name, tensor in Generator(SynthesisConfig()).state_dict().items()
        }
    expected = {
        "style.1.weight": (512, 512),
        "style.8.bias": (512,),
        "input.input": (1, 512, 4, 4),
        "conv1.conv.weight": (1, 512, 512, 3, 3),
        "conv1.conv.modulation.weight": (512, 512),
        "conv1.noise.weight": (1,),
        "conv1.activate.bias": (512,),
        "to_rgb1.bias": (1, 3, 1, 1),
        "to_rgb1.conv.weight": (1, 3, 512, 1, 1),
        "convs.8.conv.weight": (1, 256, 512, 3, 3),
        "convs.15.conv.modulation.bias": (32,),
        "to_rgbs.7.conv.modulation.weight": (32, 512),
        "noises.noise_0": (1, 1, 4, 4),
        "noises.noise_16": (1, 1, 1024, 1024),
    }
    assert {name: shapes.get(name) for name in expected} == expected
    assert sum(name.startswith("noises.") for name in shapes) == 17
    assert not any(name.endswith("kernel") or "phase_taps" in name for name in shapes)


def test_codes_act_region_by_region_up_to_the_resolution_asked_for() -> None:
    assert SynthesisConfig(size=1024, mask_until_res=256).num_region_layers == 13
    assert SynthesisConfig(size=512).num_region_layers == SynthesisConfig(size=512).num_layers == 16


@torch.no_grad()
def test_up_sampling_equals_zero_stuffing_then_the_binomial_filter() -> None:
    torch.manual_seed(0)
    layer = ModulatedConv2d(3, 4, 3, 5, up=True, demodulate=False)
    x, codes = torch.randn(1, 3, 6, 6), torch.randn(1, 1, 5)
    stuffed = torch.zeros(1, 3, 12, 12)
    stuffed[:, :, ::2, ::2] = x * layer.modulation(codes)[:, 0, :, None, None]
    kernel = layer.weight[0].flip(2, 3) * layer.scale
    convolved = F.conv2d(F.pad(stuffed, (2, 1, 2, 1)), kernel)  # transposed 3x3, stride 2: 13 x 13
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    blur = (torch.outer(taps, taps) / 16).expand(4, 1, 4, 4)
    expected = F.conv2d(convolved, blur, padding=1, groups=4)
    torch.testing.assert_close(layer(x, codes), expected[:, :, :12, :12], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_equal_codes_in_all_regions_give_plain_stylegan2(generator: Generator) -> None:
    codes = torch.randn(2, 1, SMALL.num_layers, 8)
    regional = generator(codes.expand(-1, 12, -1, -1), face_map(2))
    torch.testing.assert_close(regional, generator(codes), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_renumbering_regions_codes_and_map_together_changes_nothing(generator: Generator) -> None:
    codes, region_map = torch.randn(1, 12, SMALL.num_layers, 8), face_map()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    number = torch.argsort(order)
    renamed = generator(codes[:, order], number[region_map])
    torch.testing.assert_close(renamed, generator(codes, region_map), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_code_of_an_absent_region_has_no_effect_and_of_a_present_one_has(generator: Generator) -> None:
    codes, region_map = torch.randn(1, 12, SMALL.num_layers, 8), face_map()
    region_map[region_map == 9] = 6
    before = generator(codes, region_map)
    other = codes.clone()
    other[:, 9] += 10
    assert torch.equal(generator(other, region_map), before)
    other[:, 6] += 10
    assert not torch.allclose(generator(other, region_map), before)


@torch.no_grad()
def test_batching_changes_nothing_beyond_rounding(generator: Generator) -> None:
    codes, maps = torch.randn(3, 12, SMALL.num_layers, 8), face_map(3)
    together = generator(codes, maps)
    alone = torch.cat([generator(codes[i : i + 1], maps[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_unmasked_layers_read_the_first_regions_code() -> None:
    torch.manual_seed(0)
    cfg = SynthesisConfig(
        size=32, style_dim=8, channel_base=512, channel_max=16, num_mapping_layers=0, mask_until_res=16
    )
    net = Generator(cfg).eval()
    codes, region_map = torch.randn(1, 12, cfg.num_layers, 8), face_map()
    before = net(codes, region_map)
    late = codes.clone()
    late[:, 1:, cfg.num_region_layers :] += 10
    assert torch.equal(net(late, region_map), before)


@torch.no_grad()
def test_fixed_noise_repeats_and_random_noise_does_not(generator: Generator) -> None:
    codes, region_map = torch.randn(1, 12, SMALL.num_layers, 8), face_map()
    assert torch.equal(generator(codes, region_map), generator(codes, region_map))
    assert not torch.equal(generator(codes, region_map, "random"), generator(codes, region_map, "random"))
    assert not torch.allclose(generator(codes, region_map, "none"), generator(codes, region_map))


def test_training_and_inference_agree(generator: Generator) -> None:
    codes, region_map = torch.randn(1, 12, SMALL.num_layers, 8), face_map()
    with torch.no_grad():
        inference = generator(codes, region_map)
    torch.testing.assert_close(generator(codes, region_map).detach(), inference, rtol=1e-5, atol=1e-6)


def test_codes_of_another_network_are_refused_with_both_shapes(generator: Generator) -> None:
    with pytest.raises(ValueError, match=r"\[N, R, 8, 8\], found \(1, 12, 14, 512\)"):
        generator(torch.zeros(1, 12, 14, 512), face_map())
    with pytest.raises(ValueError, match="need a region map"):
        generator(torch.zeros(1, 12, 8, 8))
