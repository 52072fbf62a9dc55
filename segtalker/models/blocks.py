"""Convolution blocks that TSG and SyncNet share: convolution, norm, optional speech modulation, ReLU.

Parameter names (`conv_block.0` convolution, `conv_block.1` norm) are those of the published lip-sync
networks that the paper builds on, so that their weights load by name.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["batch", "group", "instance", "none"]

_MAX_GROUPS = 8


def make_norm(kind: Norm, channels: int, one_pixel: bool = False) -> nn.Module:
    """Norm layer over [N, channels, H, W].

    `batch` is what published weights need; `group` and `instance` treat each sample alone, so that neither
    the batch nor the number of workers changes a result. On a single pixel (`one_pixel`) instance
    statistics do not exist and one group stands in for them.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(math.gcd(_MAX_GROUPS, channels) if not one_pixel else 1, channels)
    if kind == "instance":
        return nn.GroupNorm(1, channels) if one_pixel else nn.InstanceNorm2d(channels, affine=True)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"norm {kind!r} is not one of batch, group, instance, none")


class Modulation(nn.Module):
    """Scale and shift of every channel, linear in a condition vector; the identity at initialisation."""

    def __init__(self, condition_dim: int, channels: int) -> None:
        """Modulate `channels` by a vector of `condition_dim`."""
        super().__init__()
        self.affine = nn.Linear(condition_dim, 2 * channels)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Features [N, C, H, W] and condition [N, D] to features [N, C, H, W]."""
        scale, shift = self.affine(condition).to(features.dtype)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, features, 1 + scale)


class ConvBlock(nn.Module):
    """Convolution, norm, optional modulation, optional residual sum, ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: int | tuple[int, int] = 1,
        padding: int | None = None,
        *,
        norm: Norm = "batch",
        residual: bool = False,
        transposed: bool = False,
        condition_dim: int = 0,
        one_pixel: bool = False,
    ) -> None:
        """A block; `padding` defaults to kernel // 2, `transposed` with stride 2 doubles the size exactly."""
        super().__init__()
        pad = kernel // 2 if padding is None else padding
        conv: nn.Module
        if transposed:
            doubling = 1 if stride == 2 else 0
            conv = nn.ConvTranspose2d(in_channels, out_channels, kernel, stride, pad, output_padding=doubling)
        else:
            conv = nn.Conv2d(in_channels, out_channels, kernel, stride, pad)
        self.conv_block = nn.Sequential(conv, make_norm(norm, out_channels, one_pixel))
        self.modulation = Modulation(condition_dim, out_channels) if condition_dim else None
        self.residual = residual

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        """Features [N, C_in, H, W], condition [N, D] if the block is modulated, to [N, C_out, H', W']."""
        result = self.conv_block(features)
        if self.modulation is not None and condition is not None:
            result = self.modulation(result, condition)
        if self.residual:
            result = result + features
        return torch.relu(result)


class MelEncoder(nn.Sequential):
    """Embeds mel windows [N, 1, 80, 16] as features [N, C, 1, 1]."""

    def __init__(self, channels: tuple[int, ...], residuals: tuple[int, ...], norm: Norm) -> None:
        """Five widths: four scales (80x16, 27x16, 9x6, 3x3), each with residual blocks, then one pixel."""
        if len(channels) != 5 or len(residuals) != 4:
            raise ValueError("a mel encoder has five widths and four residual counts")
        blocks: list[nn.Module] = []
        previous = 1
        strides: tuple[int | tuple[int, int], ...] = (1, (3, 1), 3, (3, 2))
        for width, count, stride in zip(channels[:4], residuals, strides, strict=True):
            blocks.append(ConvBlock(previous, width, 3, stride, norm=norm))
            blocks += [ConvBlock(width, width, norm=norm, residual=True) for _ in range(count)]
            previous = width
        blocks.append(ConvBlock(previous, channels[4], 3, padding=0, norm=norm, one_pixel=True))
        blocks.append(ConvBlock(channels[4], channels[4], 1, norm=norm, one_pixel=True))
        super().__init__(*blocks)
