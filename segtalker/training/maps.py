"""Region maps as tensors for training, in the precision that the networks compute in."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segtalker.regions import NUM_REGIONS, Region


def one_hot_maps(maps: Tensor) -> Tensor:
    """Region maps uint8 [..., H, W] to one-hot [..., 12, H, W] (bf16 under autocast, else fp32)."""
    classes = torch.arange(NUM_REGIONS, device=maps.device, dtype=maps.dtype)
    return (maps.unsqueeze(-3) == classes[:, None, None]).to(_dtype(maps))


def mouth_zone(maps: Tensor, reach: int) -> Tensor:
    """Bool [N, H, W]: pixels of region maps [N, H, W] within `reach` pixels (a square) of lips or mouth."""
    zone = ((maps == Region.LIP) | (maps == Region.MOUTH)).float()[:, None]
    width = 2 * reach + 1
    zone = F.max_pool2d(zone, (width, 1), stride=1, padding=(reach, 0))
    return F.max_pool2d(zone, (1, width), stride=1, padding=(0, reach))[:, 0] > 0


def pool_lower_half(maps: Tensor, size: int) -> Tensor:
    """Lower-half maps uint8 [N, T, S/2, S] to what `SyncNet.embed_masks` takes, [N, T * 12, size/2, size].

    Equal to `SyncNet.pool_masks` of their one-hot. Laid out channels last from the start and pooled while the
    one-hot is looked up (or by two small matrix products), at a fraction of the cost of pooling its planes.
    """
    height, width = maps.shape[2:]
    factor = width // size
    table = torch.eye(NUM_REGIONS, device=maps.device, dtype=_dtype(maps))
    if factor > 1 and (height, width) == (factor * size // 2, factor * size):
        blocks = maps.unflatten(3, (size, factor)).unflatten(2, (size // 2, factor))
        indices = blocks.permute(0, 2, 4, 1, 3, 5).reshape(-1, factor**2).int()
        onehot = F.embedding_bag(indices, table.float(), mode="mean").to(table.dtype)
        return onehot.view(len(maps), size // 2, size, -1).permute(0, 3, 1, 2)
    onehot = F.embedding(maps.permute(0, 2, 3, 1).int(), table).flatten(3)
    if (height, width) != (size // 2, size):
        rows = _averaging(height, size // 2, onehot) @ onehot.flatten(2)
        onehot = _averaging(width, size, onehot) @ rows.unflatten(2, (width, -1))
    return onehot.permute(0, 3, 1, 2)


def _averaging(length: int, target: int, like: Tensor) -> Tensor:
    """Matrix [target, length] of adaptive average pooling."""
    identity = torch.eye(length, device=like.device)[None]
    return F.adaptive_avg_pool1d(identity, target)[0].T.to(like.dtype)


def _dtype(maps: Tensor) -> torch.dtype:
    kind = maps.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
