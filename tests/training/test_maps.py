from __future__ import annotations

import numpy as np
import pytest
import torch

from segtalker.models.syncnet import SyncNet, SyncNetConfig
from segtalker.regions import Region, one_hot
from segtalker.training.maps import mouth_zone, one_hot_maps, pool_lower_half


def random_maps(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 12, shape, dtype=np.uint8))


def test_one_hot_on_tensors_equals_one_hot_on_arrays():
    maps = random_maps(2, 3, 8, 8)
    assert np.array_equal(one_hot_maps(maps).numpy(), one_hot(maps.numpy()))


@pytest.mark.parametrize("size", [32, 24, 16])
def test_quick_pooling_of_stored_maps_equals_the_pooling_of_generated_ones(size):
    net = SyncNet(
        SyncNetConfig(
            size=32, channels=(4, 4, 4, 4), residuals=(0,) * 4, stem_kernel=3, stem_stride=1,
            mel_channels=(4,) * 5, mel_residuals=(0,) * 4, embedding=4, calibrated=True, norm="group",
        )
    )  # fmt: skip
    object.__setattr__(net.cfg, "size", size)  # only the pooling is asked
    maps = random_maps(3, 5, 32, 32)
    slow = net.pool_masks(one_hot_maps(maps))
    assert torch.allclose(pool_lower_half(maps[:, :, 16:], size), slow, atol=1e-6)


def test_the_mouth_zone_is_a_square_around_every_mouth_pixel():
    maps = torch.zeros(1, 9, 9, dtype=torch.uint8)
    maps[0, 4, 5] = Region.MOUTH
    expected = torch.zeros(1, 9, 9, dtype=torch.bool)
    expected[0, 2:7, 3:8] = True
    assert torch.equal(mouth_zone(maps, 2), expected)
