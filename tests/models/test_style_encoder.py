"""Region averages and the two encoder layouts."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segtalker.models.style_encoder import StyleEncoder, StyleEncoderConfig, region_mean


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def small(kind: str) -> StyleEncoderConfig:
    return StyleEncoderConfig(
        kind=kind, input_size=64, stem=8, widths=(8, 12, 16, 24), units=(1, 1, 2, 1), norm="instance"
    )


def half_and_half(size: int = 64) -> Tensor:
    """One-hot [1, 12, S, S]: region 6 left, region 4 right."""
    region_map = torch.full((1, size, size), 6)
    region_map[:, :, size // 2 :] = 4
    return F.one_hot(region_map, 12).permute(0, 3, 1, 2).float()


def test_the_e4s_layout_has_the_published_parameters() -> None:
    with torch.device("meta"):
        encoder = StyleEncoder(StyleEncoderConfig.e4s())
    assert count(encoder) == 85_051_008
    shapes = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    assert shapes["body.0.res_layer.1.weight"] == (128, 64, 3, 3)
    assert shapes["body.23.res_layer.5.fc1.weight"] == (32, 512, 1, 1)
    assert {name for name in shapes if "shortcut" in name} == {
        f"body.{index}.shortcut_layer.0.weight" for index in (0, 3, 7)
    }
    assert encoder.cfg.num_features == 1280


def test_the_pyramid_layout_is_ir_se50_with_two_laterals() -> None:
    with torch.device("meta"):
        encoder = StyleEncoder(StyleEncoderConfig())
    assert round(count(encoder) / 1e6, 1) == 31.1
    assert tuple(encoder.latlayer1.weight.shape) == (512, 256, 1, 1)
    assert encoder.cfg.num_features == 1536


@pytest.mark.parametrize("kind", ["psp_fpn", "e4s"])
@torch.no_grad()
def test_features_come_at_three_scales(kind: str) -> None:
    encoder = StyleEncoder(small(kind)).eval()
    scales = [maps.shape[-1] for maps in encoder.feature_maps(torch.randn(1, 3, 64, 64))]
    assert scales == [16, 8, 4]
    features = encoder(torch.randn(2, 3, 100, 100), half_and_half().expand(2, -1, -1, -1))
    assert features.shape == (2, 12, encoder.cfg.num_features)


@pytest.mark.parametrize("resize", ["nearest", "area"])
def test_region_means_equal_a_loop_over_regions(resize: str) -> None:
    features = torch.randn(2, 5, 8, 8)
    region_map = torch.randint(0, 3, (2, 32, 32))
    onehot = F.one_hot(region_map, 12).permute(0, 3, 1, 2).float()
    found = region_mean(features, onehot, resize)
    weights = F.interpolate(onehot, size=(8, 8), mode=resize)
    for sample in range(2):
        for region in range(12):
            share = weights[sample, region]
            expected = torch.zeros(5)
            if share.sum() > 0:
                expected = (features[sample] * share).sum(dim=(1, 2)) / share.sum()
            torch.testing.assert_close(found[sample, region], expected, rtol=1e-4, atol=1e-5)


def test_an_absent_region_has_zero_features() -> None:
    found = region_mean(torch.randn(1, 5, 8, 8) + 3, half_and_half(8))
    present = found.abs().sum(dim=2)[0] > 0
    assert present.nonzero().flatten().tolist() == [4, 6]


def test_area_sees_a_region_thinner_than_a_feature_pixel_and_nearest_does_not() -> None:
    onehot = half_and_half(64)
    onehot[:, :, 33, 21] = 0
    onehot[:, 9, 33, 21] = 1
    features = torch.ones(1, 1, 8, 8)
    assert region_mean(features, onehot, "nearest")[0, 9] == 0
    assert region_mean(features, onehot, "area")[0, 9] == pytest.approx(1.0, abs=1e-4)
