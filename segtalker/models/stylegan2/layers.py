"""Small parts of StyleGAN2 (arXiv 1912.04958) in plain PyTorch.

Parameter names and scales follow the widely used PyTorch port of StyleGAN2, so that its published weights
load by identity: an "equalised" layer stores weights of unit variance and multiplies them by 1 /
sqrt(fan-in) at run time; the activation is leaky ReLU 0.2 times sqrt(2).

Shape legend: N batch, C channels, H W height and width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLUR_TAPS = (1.0, 3.0, 3.0, 1.0)
"""The separable low-pass filter of every up- and down-sampling."""

_SQRT2 = math.sqrt(2.0)


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU 0.2 with the gain sqrt(2) that keeps unit variance."""
    return F.leaky_relu(x, 0.2) * _SQRT2


def add_noise_bias_leaky_relu(fresh: Tensor, noise: Tensor | None, bias: Tensor) -> Tensor:
    """Leaky ReLU of features [N, C, H, W] + noise [1 or N, 1, H, W] + bias [C], in the features' dtype.

    `fresh` is overwritten where no gradient needs it.
    """
    shift = bias.to(fresh.dtype).view(1, -1, 1, 1)
    if torch.is_grad_enabled():
        return leaky_relu((fresh if noise is None else fresh + noise.to(fresh.dtype)) + shift)
    if noise is not None:
        fresh.add_(noise.to(fresh.dtype))
    return F.leaky_relu_(fresh.add_(shift), 0.2).mul_(_SQRT2)


class PixelNorm(nn.Module):
    """Divide each vector by its root mean square over dimension 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Any [N, C, ...] to the same shape."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class EqualLinear(nn.Module):
    """Linear layer with equalised learning rate; `activate` adds the leaky ReLU after the bias."""

    def __init__(
        self, num_in: int, num_out: int, bias_init: float = 0.0, lr_mul: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_out, num_in).normal_(std=1 / lr_mul))
        self.bias = nn.Parameter(torch.full((num_out,), bias_init / lr_mul))
        self.scale = lr_mul / math.sqrt(num_in)
        self.lr_mul = lr_mul
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """[..., num_in] to [..., num_out]."""
        out = F.linear(x, self.weight * self.scale, self.bias * self.lr_mul)
        return leaky_relu(out) if self.activate else out


class EqualConv2d(nn.Module):
    """Convolution with equalised learning rate (discriminator, `from RGB`)."""

    def __init__(
        self, num_in: int, num_out: int, kernel: int, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_out, num_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(num_out)) if bias else None
        self.scale = 1.0 / math.sqrt(num_in * kernel * kernel)
        self.stride = stride
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, H, W] to [N, num_out, H', W']."""
        return F.conv2d(x, self.weight * self.scale, self.bias, stride=self.stride, padding=self.padding)


class Blur(nn.Module):
    """Depthwise low-pass filter; `gain` 4 after zero-stuffing up-sampling keeps the mean."""

    def __init__(self, pad: tuple[int, int], gain: float = 1.0) -> None:
        super().__init__()
        taps = torch.tensor(BLUR_TAPS)
        kernel = torch.outer(taps, taps)
        self.register_buffer("kernel", kernel / kernel.sum() * gain, persistent=False)
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, H + p0 + p1 - 3, W + p0 + p1 - 3] for pad (p0, p1)."""
        channels = x.shape[1]
        low, high = self.pad
        if low != high:
            x, low = F.pad(x, (low, high, low, high)), 0
        kernel = self.kernel.to(x.dtype).expand(channels, 1, 4, 4)  # type: ignore[operator]
        return F.conv2d(x, kernel, padding=low, groups=channels)


class UpsampleRGB(nn.Module):
    """Twice the size through the same filter: the skip connection between two `ToRGB`."""

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor(BLUR_TAPS)
        kernel = torch.outer(taps, taps)
        self.register_buffer("kernel", kernel / kernel.sum() * 4.0, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, 2H, 2W]."""
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, 4, 4)  # type: ignore[operator]
        return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=channels)
