"""LPIPS averages over pictures, each at its own size, of bytes brought to -1..1."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch

from segtalker.metrics.perceptual import lpips_between
from segtalker.models.frozen.lpips import LPIPS, LPIPSConfig


def pictures(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 40, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def net() -> LPIPS:
    torch.manual_seed(0)
    return LPIPS(LPIPSConfig()).eval()


def test_it_is_the_networks_distance_averaged_over_pictures(net: LPIPS):
    one, other = pictures(0, 10), pictures(1, 10)
    found = lpips_between(net, one, other)
    with torch.no_grad():
        scaled = [torch.from_numpy(p / np.float32(127.5) - 1).permute(0, 3, 1, 2) for p in (one, other)]
        each = [float(net(a[None], b[None])) for a, b in zip(*scaled, strict=True)]
    assert found.count == 10 and found.value == pytest.approx(np.mean(each), rel=1e-4) and np.std(each) > 0
    parts = lpips_between(net, one[:3], other[:3]) + lpips_between(net, one[3:], other[3:])
    assert parts.value == pytest.approx(found.value, rel=1e-4)


def test_equal_pictures_are_at_zero_and_unequal_sizes_are_refused(net: LPIPS):
    same = pictures(0, 2)
    assert lpips_between(net, same, same.copy()).value == 0
    with pytest.raises(ValueError, match="lpips: pictures of"):
        lpips_between(net, same, same[:, :32])


def test_the_whole_range_of_bytes_is_used():
    class Range(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.zero = torch.nn.Parameter(torch.zeros(1))

        def forward(self, image: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            return (image - other).amax(dim=(1, 2, 3))

    white, black = np.full((3, 4, 4, 3), 255, np.uint8), np.zeros((3, 4, 4, 3), np.uint8)
    assert lpips_between(cast(LPIPS, Range()), white, black).value == 2
