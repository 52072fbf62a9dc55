"""The region-wise convolution on CUDA: equal to the CPU, and no waiting for the device."""

import pytest
import torch

from segtalker.models.stylegan2 import Generator, RegionRouting, SynthesisConfig
from tests.gpu.device import apart, no_waiting

pytestmark = pytest.mark.gpu
CFG = SynthesisConfig(size=128, style_dim=64, channel_base=8192, channel_max=128, num_mapping_layers=0)


def sample() -> tuple[Generator, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    coarse = torch.randint(0, 12, (2, 16, 16))
    region_map = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    return Generator(CFG).eval(), torch.randn(2, 12, CFG.num_layers, 64), region_map


@torch.no_grad()
def test_cuda_equals_the_cpu(exact_float32: None) -> None:
    net, codes, region_map = sample()
    expected = net(codes, region_map)
    assert apart(net.cuda()(codes.cuda(), region_map), expected) < 1e-3


def test_cuda_gradients_equal_those_of_the_cpu(exact_float32: None) -> None:
    net, codes, region_map = sample()
    codes.requires_grad_()
    (expected,) = torch.autograd.grad(net(codes, region_map).square().mean(), codes)
    (found,) = torch.autograd.grad(net.cuda()(codes.cuda(), region_map).square().mean(), codes)
    assert apart(found, expected) < 1e-3


@torch.no_grad()
def test_a_map_on_the_host_costs_no_synchronisation() -> None:
    net, codes, region_map = sample()
    net, codes = net.cuda(), codes.cuda()
    net(codes, region_map)  # choose kernels, fill the tap cache
    with no_waiting():
        net(codes, RegionRouting(region_map, 12, "cuda"))


@torch.no_grad()
def test_bfloat16_stays_within_three_percent_of_the_range() -> None:
    net, codes, region_map = sample()
    expected = net(codes, region_map)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        found = net.cuda()(codes.cuda(), region_map)
    assert apart(found, expected) < 0.03
