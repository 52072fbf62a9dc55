"""Losses on pixels and on features of pixels (arXiv 2409.03605, eq. (8) and (9)). Images are in [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def l2_loss(pred: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean squared error, eq. (8). Images [N, 3, H, W], `weights` [N, 1, H, W] >= 0 or None; a scalar."""
    error = (pred.float() - target.float()).square()
    if weights is None:
        return error.mean()
    return (error * weights).mean() / weights.mean().clamp_min(1e-8)


def multi_scale_distance(
    distance: Callable[[Tensor, Tensor], Tensor], pred: Tensor, target: Tensor, sizes: Sequence[int]
) -> Tensor:
    """Sum over `sizes` of the mean `distance` of both images shrunk to that size, eq. (9).

    distance: [N, 3, s, s] twice to [N]. Sizes above the images' own are taken at their own size.
    """
    total = pred.new_zeros(())
    for size in sizes:
        small = min(size, pred.shape[-1])
        total = total + distance(_shrunk(pred, small), _shrunk(target, small)).mean()
    return total


def feature_distance(pred: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """LPIPS without learned heads: squared difference of unit vectors a pixel, mean a level, summed.

    Levels of features [N, C, H, W] of any network; returns a scalar in 0..4 a level.
    """
    total = pred[0].new_zeros((), dtype=torch.float32)
    for a, b in zip(pred, target, strict=True):
        difference = F.normalize(a.float(), dim=1) - F.normalize(b.float(), dim=1)
        total = total + difference.square().sum(dim=1).mean()
    return total


def pyramid_l1(pred: Tensor, target: Tensor, levels: int = 3) -> Tensor:
    """Mean absolute error at full, half, quarter ... size, averaged. Images [N, 3, H, W]; a scalar."""
    total = pred.new_zeros((), dtype=torch.float32)
    for level in range(levels):
        size = pred.shape[-1] >> level
        total = total + (_shrunk(pred, size).float() - _shrunk(target, size).float()).abs().mean()
    return total / levels


def gradient_l1(pred: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean absolute error of horizontal and vertical differences: keeps edges where they are, and sharp.

    Images [N, 3, H, W], `weights` [N, 1, H, W] >= 0 or None; a scalar.
    """
    error = pred.float() - target.float()
    across, down = error.diff(dim=3).abs(), error.diff(dim=2).abs()
    if weights is None:
        return across.mean() + down.mean()
    scale = weights.mean().clamp_min(1e-8)
    return ((across * weights[..., 1:]).mean() + (down * weights[..., 1:, :]).mean()) / scale


def _shrunk(image: Tensor, size: int) -> Tensor:
    return image if image.shape[-1] == size else F.adaptive_avg_pool2d(image, size)
