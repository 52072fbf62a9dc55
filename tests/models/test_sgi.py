"""SGI: sizes, codes around the average, and the story encode -> decode."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segtalker.config import parse_config, to_dict
from segtalker.models.sgi import SGI, SGIConfig
from segtalker.models.style_encoder import StyleEncoderConfig
from segtalker.models.stylegan2 import SynthesisConfig

SMALL = SGIConfig(
    encoder=StyleEncoderConfig(
        input_size=32, stem=8, widths=(8, 8, 12, 16), units=(1, 1, 1, 1), norm="group"
    ),
    generator=SynthesisConfig(
        size=32, style_dim=8, channel_base=512, channel_max=16, num_mapping_layers=0, mask_until_res=16
    ),
    mlp_hidden=16,
)


@pytest.fixture()
def sgi() -> SGI:
    torch.manual_seed(0)
    net = SGI(SMALL).eval()
    net.latent_avg.normal_()
    return net


def face_map(count: int = 1) -> Tensor:
    """Left region 6, right region 4, a corner of region 1."""
    region_map = torch.full((count, 32, 32), 6)
    region_map[:, :, 16:] = 4
    region_map[:, :8, :8] = 1
    return region_map


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_sizes() -> None:
    with torch.device("meta"):
        net = SGI(SGIConfig.e4s())
    assert count(net) == 164_265_868
    assert count(net.mlps) == 48_844_800
    # 344 published tensors less 16 filter kernels, which are constants here, plus `latent_avg`.
    assert len(net.state_dict()) == 344 - 16 + 1
    assert tuple(net.state_dict()["mlps.11.mlp.2.weight"].shape) == (13 * 512, 512)


def test_mini_stays_within_its_budget() -> None:
    with torch.device("meta"):
        net = SGI(SGIConfig.mini())
    assert count(net) <= 8_000_000 and net.cfg.size == 128


def test_the_configuration_survives_a_round_trip() -> None:
    assert parse_config(SGIConfig, to_dict(SGIConfig.mini())) == SGIConfig.mini()


@torch.no_grad()
def test_codes_are_offsets_from_the_average_in_region_layers_only(sgi: SGI) -> None:
    codes = sgi.encode(torch.randn(2, 3, 32, 32), face_map(2))
    assert codes.shape == (2, 12, 8, 8)
    late = codes[:, :, SMALL.generator.num_region_layers :]
    assert torch.equal(late, sgi.latent_avg[SMALL.generator.num_region_layers :].expand_as(late))
    assert not torch.allclose(codes[:, :, 0], sgi.latent_avg[0].expand(2, 12, -1))


@torch.no_grad()
def test_an_absent_region_gets_the_prior_of_its_mlp_whatever_the_picture(sgi: SGI) -> None:
    one, other = (sgi.encode(torch.randn(1, 3, 32, 32), face_map()) for _ in range(2))
    assert torch.equal(one[:, 9], other[:, 9])
    assert not torch.allclose(one[:, 6], other[:, 6])


@torch.no_grad()
def test_maps_and_one_hot_mean_the_same(sgi: SGI) -> None:
    image, region_map = torch.randn(1, 3, 32, 32), face_map()
    onehot = F.one_hot(region_map, 12).permute(0, 3, 1, 2).float()
    codes = sgi.encode(image, region_map)
    assert torch.equal(codes, sgi.encode(image, onehot))
    assert torch.equal(sgi.decode(codes, region_map.byte()), sgi.decode(codes, onehot))
    assert torch.equal(sgi(image, region_map, onehot), sgi.decode(codes, region_map))


@torch.no_grad()
def test_a_region_code_changes_its_region_most_and_nothing_far_away(sgi: SGI) -> None:
    codes = sgi.encode(torch.randn(1, 3, 32, 32), face_map())
    before = sgi.decode(codes, face_map())
    codes[:, 1, 4] += 3  # the last region-wise layer (16 px), so that little spreads
    change = (sgi.decode(codes, face_map()) - before).abs().mean(dim=1)[0]
    assert change[:6, :6].mean() > 0.01
    assert change[20:, 20:].max() == 0


@torch.no_grad()
def test_plain_codes_are_one_code_of_the_whole_picture_and_the_map_has_no_say() -> None:
    torch.manual_seed(0)
    net = SGI(dataclasses.replace(SMALL, codes="plain")).eval()
    net.latent_avg.normal_()
    image = torch.randn(2, 3, 32, 32)
    codes = net.encode(image, face_map(2))
    assert codes.shape == (2, 12, 8, 8) and torch.equal(codes, codes[:, :1].expand_as(codes))
    assert not torch.allclose(codes[0], codes[1])
    elsewhere = torch.randint(0, 12, (2, 32, 32))
    assert torch.equal(codes, net.encode(image, elsewhere))
    picture = net.decode(codes, face_map(2))
    torch.testing.assert_close(net.decode(codes, elsewhere), picture, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        net.decode(codes, torch.zeros(2, 32, 32).long()), picture, rtol=1e-4, atol=1e-4
    )
    assert count(net.mlps) * 12 == count(SGI(SMALL).mlps)


def test_every_trainable_parameter_gets_a_gradient(sgi: SGI) -> None:
    sgi.train().freeze_unmasked()
    region_map = torch.randint(0, 12, (2, 32, 32))
    sgi(torch.randn(2, 3, 32, 32), region_map, region_map).square().mean().backward()
    without = [name for name, p in sgi.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    frozen = {name for name, p in sgi.named_parameters() if not p.requires_grad}
    assert frozen and all("convs.4" in n or "convs.5" in n or "to_rgbs" in n for n in frozen)


def test_freezing_at_full_size_leaves_what_was_trained_in_public() -> None:
    with torch.device("meta"):
        net = SGI(SGIConfig.e4s())
    net.freeze_unmasked()
    trainable = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    assert round(trainable / 1e6, 2) == 161.76
