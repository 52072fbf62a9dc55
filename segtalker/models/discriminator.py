"""The StyleGAN2 discriminator (arXiv 1912.04958), the critic of SGI; names as in the common PyTorch port."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segtalker.models.stylegan2.layers import Blur, EqualConv2d, EqualLinear, leaky_relu


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Size of the discriminator; the defaults are "config-f" at 1024 px."""

    size: int = 1024
    channel_base: int = 32768
    channel_max: int = 512

    def channels(self, size: int) -> int:
        """Channels of the features at resolution `size`."""
        return min(self.channel_max, self.channel_base // size)

    @staticmethod
    def mini() -> DiscriminatorConfig:
        """128 px, fast on a CPU."""
        return DiscriminatorConfig(size=128, channel_base=4096, channel_max=128)


class Discriminator(nn.Module):
    """Residual down-sampling blocks, minibatch statistics, one logit."""

    def __init__(self, cfg: DiscriminatorConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.convs = nn.Sequential(_conv_layer(3, cfg.channels(cfg.size), 1))
        for power in range(int(math.log2(cfg.size)), 2, -1):
            self.convs.append(ResidualBlock(cfg.channels(2**power), cfg.channels(2 ** (power - 1))))
        last = cfg.channels(4)
        self.final_conv = _conv_layer(last + 1, last, 3)
        self.final_linear = nn.Sequential(EqualLinear(last * 16, last, activate=True), EqualLinear(last, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Images [N, 3, S, S] in [-1, 1] to logits [N, 1], high for real ones."""
        x = self.convs(image.contiguous(memory_format=torch.channels_last))
        x = self.final_conv(torch.cat([x, minibatch_deviation(x)], dim=1))
        return self.final_linear(x.flatten(1))


class ResidualBlock(nn.Module):
    """Two convolutions, the second at stride 2 after a blur, beside a 1x1 skip."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.conv1 = _conv_layer(num_in, num_in, 3)
        self.conv2 = _conv_layer(num_in, num_out, 3, down=True)
        self.skip = nn.Sequential(Blur(pad=(1, 1)), EqualConv2d(num_in, num_out, 1, stride=2, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, H, W] to [N, num_out, H/2, W/2]."""
        return (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2)


class LeakyReLUWithBias(nn.Module):
    """Bias a channel, then the scaled leaky ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same shape."""
        return leaky_relu(x + self.bias.to(x.dtype).view(1, -1, 1, 1))


def minibatch_deviation(x: Tensor, largest_group: int = 4) -> Tensor:
    """Mean standard deviation within groups of the batch, one more channel: [N, C, H, W] to [N, 1, H, W].

    Groups have the largest size up to `largest_group` that divides the batch.
    """
    batch, _, height, width = x.shape
    group = next(size for size in range(min(batch, largest_group), 0, -1) if batch % size == 0)
    values = x.float().reshape(group, batch // group, *x.shape[1:])
    deviation = (values.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return deviation.repeat(group).view(batch, 1, 1, 1).expand(-1, -1, height, width).to(x.dtype)


def _conv_layer(num_in: int, num_out: int, kernel: int, down: bool = False) -> nn.Sequential:
    parts: list[nn.Module] = [Blur(pad=(2, 2))] if down else []
    padding = 0 if down else kernel // 2
    parts.append(EqualConv2d(num_in, num_out, kernel, 2 if down else 1, padding, bias=False))
    parts.append(LeakyReLUWithBias(num_out))
    return nn.Sequential(*parts)
