"""The region-wise convolution against eq. (1) of the supplement run to the letter."""

import dataclasses

import pytest
import torch
from torch import Tensor

from segtalker.models.stylegan2 import Generator, RegionRouting, SynthesisConfig, routing
from segtalker.models.stylegan2.modulated import ModulatedConv2d
from segtalker.models.stylegan2.reference import literal_loop, region_conv_loop
from segtalker.models.stylegan2.routing import LayerRouting

KINDS = ("conv", "up", "rgb")


def make_layer(kind: str, dtype: torch.dtype = torch.float32) -> ModulatedConv2d:
    torch.manual_seed(1)
    out, kernel = (3, 1) if kind == "rgb" else (7, 3)
    layer = ModulatedConv2d(5, out, kernel, 6, up=kind == "up", demodulate=kind != "rgb")
    return layer.to(dtype).eval()


def make_map(name: str, num_regions: int, size: int = 16) -> Tensor:
    """Two samples of another map each."""
    draw = torch.Generator().manual_seed(3)
    if name == "random":
        return torch.randint(0, num_regions, (2, size, size), generator=draw)
    if name == "blobs":
        coarse = torch.randint(0, num_regions, (2, size // 4, size // 4), generator=draw)
        return coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)
    if name == "absent":
        return torch.randint(0, max(1, num_regions // 2), (2, size, size), generator=draw)
    plain = torch.zeros(2, size, size, dtype=torch.long)
    if name == "single_pixel":
        plain[0, 0, 0] = plain[0, 7, 8] = plain[1, size - 1, 5] = num_regions - 1
    return plain


def layer_routing(kind: str, region_map: Tensor, num_regions: int) -> tuple[LayerRouting, Tensor]:
    routing = RegionRouting(region_map, num_regions)
    size = region_map.shape[-1]
    layer = {"conv": routing.same, "up": routing.up, "rgb": routing.pixel}[kind](size)
    return layer, torch.from_numpy(routing.at(size))


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("num_regions", [1, 10, 12])
@pytest.mark.parametrize("name", ["random", "blobs", "absent", "single_pixel", "empty"])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_one_convolution_equals_one_convolution_a_region(kind: str, name: str, num_regions: int) -> None:
    layer = make_layer(kind)
    route, regions = layer_routing(kind, make_map(name, num_regions), num_regions)
    x = torch.randn(2, 5, *([8, 8] if kind == "up" else [16, 16]))
    codes = torch.randn(2, num_regions, 6)
    expected = region_conv_loop(layer, x, codes, regions)
    assert relative_error(layer(x, codes, route), expected) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_those_of_the_loop(kind: str) -> None:
    layer = make_layer(kind, torch.float64)
    route, regions = layer_routing(kind, make_map("random", 12), 12)
    side = 8 if kind == "up" else 16
    x = torch.randn(2, 5, side, side, dtype=torch.float64, requires_grad=True)
    codes = torch.randn(2, 12, 6, dtype=torch.float64, requires_grad=True)
    inputs = [x, codes, *layer.parameters()]
    ours, loop = layer(x, codes, route), region_conv_loop(layer, x, codes, regions)
    toward = torch.randn_like(loop)
    for found, expected in zip(
        torch.autograd.grad((ours * toward).sum(), inputs),
        torch.autograd.grad((loop * toward).sum(), inputs),
        strict=True,
    ):
        assert relative_error(found, expected) < 1e-10


@pytest.mark.parametrize("kind", ["conv", "up"])
@torch.no_grad()
def test_one_product_for_all_taps_equals_one_a_tap(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = make_layer(kind)
    region_map = make_map("blobs", 12)
    x, codes = torch.randn(2, 5, *([8, 8] if kind == "up" else [16, 16])), torch.randn(2, 12, 6)
    found = []
    for limit, padded in ((0, False), (1 << 30, True)):
        monkeypatch.setattr(routing, "PAD_UP_TO", limit)
        route, regions = layer_routing(kind, region_map, 12)
        assert route.crossings is not None
        assert (len(set(route.crossings.counts)) == 1) == padded
        found.append(layer(x, codes, route))
        assert relative_error(found[-1], region_conv_loop(layer, x, codes, regions)) < 1e-5
    assert relative_error(*found) < 1e-5


@torch.no_grad()
def test_a_strong_neighbour_does_not_leak_into_a_weak_region() -> None:
    layer = make_layer("conv")
    route, regions = layer_routing("conv", make_map("blobs", 12), 12)
    codes = torch.randn(2, 12, 6) * torch.logspace(-1, 1, 12)[:, None]
    x = torch.randn(2, 5, 16, 16)
    assert relative_error(layer(x, codes, route), region_conv_loop(layer, x, codes, regions)) < 1e-5


@torch.no_grad()
def test_spatial_modulation_without_the_border_correction_is_not_exact() -> None:
    layer = make_layer("conv")
    route, regions = layer_routing("conv", make_map("blobs", 12), 12)
    uncorrected = dataclasses.replace(route, crossings=None)
    x, codes = torch.randn(2, 5, 16, 16), torch.randn(2, 12, 6)
    assert relative_error(layer(x, codes, uncorrected), region_conv_loop(layer, x, codes, regions)) > 0.1


@pytest.mark.parametrize("map_size", [8, 32, 128])
@pytest.mark.parametrize("mask_until_res", [0, 16])
@torch.no_grad()
def test_a_whole_generator_equals_its_loop_whatever_the_size_of_the_map(
    map_size: int, mask_until_res: int
) -> None:
    torch.manual_seed(0)
    cfg = SynthesisConfig(
        size=32,
        style_dim=8,
        channel_base=512,
        channel_max=16,
        num_mapping_layers=0,
        mask_until_res=mask_until_res,
    )
    generator = Generator(cfg).eval()
    codes = torch.randn(2, 12, cfg.num_layers, 8)
    region_map = make_map("random", 12, map_size)
    ours = generator(codes, region_map)
    with literal_loop(generator):
        loop = generator(codes, region_map)
    assert relative_error(ours, loop) < 1e-5
    with literal_loop(generator, skip_absent=True):
        assert relative_error(generator(codes, region_map), loop) < 1e-6


@torch.no_grad()
def test_cached_taps_follow_the_weights() -> None:
    layer = make_layer("up")
    route, regions = layer_routing("up", make_map("random", 12), 12)
    x, codes = torch.randn(2, 5, 8, 8), torch.randn(2, 12, 6)
    layer(x, codes, route)
    layer.weight.add_(torch.randn_like(layer.weight))
    assert relative_error(layer(x, codes, route), region_conv_loop(layer, x, codes, regions)) < 1e-5


def test_index_sets_are_found_once_a_resolution() -> None:
    routing = RegionRouting(make_map("random", 12), 12)
    assert routing.same(16) is routing.same(16)
    assert routing.up(16).output_styles is routing.same(16).output_styles


def test_a_map_of_one_region_crosses_nothing() -> None:
    routing = RegionRouting(make_map("empty", 12), 12)
    assert routing.same(16).crossings is None and routing.up(16).crossings is None


def test_region_numbers_outside_the_codes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.9"):
        RegionRouting(torch.full((1, 4, 4), 10), 10)
