"""Region maps as tensors for training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segtalker.regions import NUM_REGIONS, Region


def one_hot_maps(maps: Tensor) -> Tensor:
    """Region maps uint8 [..., H, W] to float32 one-hot [..., 12, H, W]."""
    classes = torch.arange(NUM_REGIONS, device=maps.device, dtype=maps.dtype)
    return (maps.unsqueeze(-3) == classes[:, None, None]).float()


def mouth_zone(maps: Tensor, reach: int) -> Tensor:
    """Bool [N, H, W]: pixels of region maps [N, H, W] within `reach` pixels (a square) of lips or mouth."""
    mouth = ((maps == Region.LIP) | (maps == Region.MOUTH)).float()[:, None]
    return F.max_pool2d(mouth, 2 * reach + 1, stride=1, padding=reach)[:, 0] > 0


def pool_lower_half(maps: Tensor, size: int) -> Tensor:
    """Lower-half maps uint8 [N, T, S/2, S] to what `SyncNet.embed_masks` takes, [N, T * 12, size/2, size].

    Equal to `SyncNet.pool_masks` of their one-hot, without holding all of the one-hot in memory.
    """
    shares = [
        F.adaptive_avg_pool2d((maps == region).float(), (size // 2, size)) for region in range(NUM_REGIONS)
    ]
    return torch.stack(shares, dim=2).flatten(1, 2)
