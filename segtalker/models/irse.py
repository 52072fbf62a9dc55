"""Residual units with squeeze-and-excitation (IR-SE), the body of ArcFace and of both style encoders.

Parameter names are those of the published IR-SE50 (`res_layer.{0,1,2,3,4,5}`, `shortcut_layer.{0,1}`), so
that its weights load by identity; widths and norms are free.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

IRSENorm = Literal["batch", "group", "instance"]
"""`batch` and `instance` (without parameters) are those of published weights; `group` needs no batch."""

_MAX_GROUPS = 8


class IRSEUnit(nn.Module):
    """norm, conv 3x3, PReLU, conv 3x3 with the stride, norm, channel gates; plus a shortcut."""

    def __init__(self, num_in: int, num_out: int, stride: int, norm: IRSENorm) -> None:
        super().__init__()
        if num_in == num_out:
            self.shortcut_layer: nn.Module = nn.Identity() if stride == 1 else nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(num_in, num_out, 1, stride, bias=False), irse_norm(norm, num_out)
            )
        self.res_layer = nn.Sequential(
            irse_norm(norm, num_in),
            nn.Conv2d(num_in, num_out, 3, 1, 1, bias=False),
            nn.PReLU(num_out),
            nn.Conv2d(num_out, num_out, 3, stride, 1, bias=False),
            irse_norm(norm, num_out),
            ChannelGates(num_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, H, W] to [N, num_out, H / stride, W / stride]."""
        return self.res_layer(x) + self.shortcut_layer(x)


class ChannelGates(nn.Module):
    """Squeeze and excitation: each channel times a gate in 0..1 seen from all channels' means."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same shape."""
        mean = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(mean))))


def irse_stem(num_out: int, stride: int, norm: IRSENorm) -> nn.Sequential:
    """`input_layer`: RGB to `num_out` channels."""
    return nn.Sequential(
        nn.Conv2d(3, num_out, 3, stride, 1, bias=False), irse_norm(norm, num_out), nn.PReLU(num_out)
    )


def irse_body(
    stem: int, widths: tuple[int, ...], units: tuple[int, ...], strides: tuple[int, ...], norm: IRSENorm
) -> tuple[nn.ModuleList, list[int]]:
    """All units in one list (`body.N`), and the index of each stage's last unit.

    The first unit of a stage changes width and size, the others keep them.
    """
    if not len(widths) == len(units) == len(strides):
        raise ValueError("widths, units and strides must have one entry a stage.")
    body = nn.ModuleList()
    last = []
    before = stem
    for width, count, stride in zip(widths, units, strides, strict=True):
        body.append(IRSEUnit(before, width, stride, norm))
        body.extend(IRSEUnit(width, width, 1, norm) for _ in range(count - 1))
        last.append(len(body) - 1)
        before = width
    return body, last


def irse_norm(kind: IRSENorm, channels: int) -> nn.Module:
    """Norm over [N, channels, H, W]."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(math.gcd(_MAX_GROUPS, channels), channels)
    return nn.InstanceNorm2d(channels)
