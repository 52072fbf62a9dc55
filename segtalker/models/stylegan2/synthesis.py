"""The StyleGAN2 generator with one style code a region (SegTalker supplement A, arXiv 2409.03605).

Names and shapes of parameters are those of the common PyTorch port, so that published generators load by
identity. Tensors are kept channels-last: the region-wise convolution gathers pixels as rows.

Shape legend: N batch, R regions (12, or 1 for one code everywhere), L code layers, D style dim, S output
size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from segtalker.models.stylegan2.layers import EqualLinear, PixelNorm, UpsampleRGB, add_noise_bias_leaky_relu
from segtalker.models.stylegan2.modulated import ModulatedConv2d
from segtalker.models.stylegan2.routing import LayerRouting, RegionRouting

Noise = Literal["fixed", "random", "none"]


@dataclass(frozen=True)
class SynthesisConfig:
    """Size of a StyleGAN2 generator; the defaults are "config-f" at 1024 px."""

    size: int = 1024
    """Output size, px; a power of two."""
    style_dim: int = 512
    channel_base: int = 32768
    """Channels at resolution r are min(channel_max, channel_base // r)."""
    channel_max: int = 512
    num_mapping_layers: int = 8
    """0 leaves the mapping network out; region-wise inversion never runs it."""
    mask_until_res: int = 0
    """Layers up to this resolution take one code a region; 0 for all layers."""

    def __post_init__(self) -> None:
        for name in ("size", "mask_until_res"):
            value = getattr(self, name)
            if value and (value < 8 or value & (value - 1)):
                raise ValueError(f"{name} must be a power of two of at least 8, found {value}.")

    def channels(self, size: int) -> int:
        """Channels of the features at resolution `size`."""
        return min(self.channel_max, self.channel_base // size)

    @property
    def num_layers(self) -> int:
        """L: code layers, 2 log2(size) - 2 (14, 16, 18 at 256, 512, 1024)."""
        return 2 * int(math.log2(self.size)) - 2

    @property
    def num_region_layers(self) -> int:
        """K: the first K code layers act region by region; the rest reads region 0's code.

        `mask_until_res` 256 gives 13, the setting of the published region-wise inversion weights.
        """
        if self.mask_until_res == 0 or self.mask_until_res >= self.size:
            return self.num_layers
        return 2 * int(math.log2(self.mask_until_res)) - 3


class Generator(nn.Module):
    """Mask-guided StyleGAN2 synthesis, and the mapping network where configured."""

    def __init__(self, cfg: SynthesisConfig) -> None:
        super().__init__()
        self.cfg = cfg
        dim = cfg.style_dim
        if cfg.num_mapping_layers:
            layers = [
                EqualLinear(dim, dim, lr_mul=0.01, activate=True) for _ in range(cfg.num_mapping_layers)
            ]
            self.style = nn.Sequential(PixelNorm(), *layers)
        self.input = ConstantInput(cfg.channels(4))
        self.conv1 = StyledConv(cfg.channels(4), cfg.channels(4), dim)
        self.to_rgb1 = ToRGB(cfg.channels(4), dim, up=False)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        self.noises = nn.Module()
        self.noises.register_buffer("noise_0", torch.randn(1, 1, 4, 4))
        self.sizes = [2**power for power in range(3, int(math.log2(cfg.size)) + 1)]
        for size in self.sizes:
            before, after = cfg.channels(size // 2), cfg.channels(size)
            self.convs += [StyledConv(before, after, dim, up=True), StyledConv(after, after, dim)]
            self.to_rgbs.append(ToRGB(after, dim))
            for _ in range(2):
                index = len(list(self.noises.buffers()))
                self.noises.register_buffer(f"noise_{index}", torch.randn(1, 1, size, size))

    def forward(
        self, codes: Tensor, regions: Tensor | RegionRouting | None = None, noise: Noise = "fixed"
    ) -> Tensor:
        """Style codes [N, R, L, D] and a region map to images [N, 3, S, S], about [-1, 1].

        `regions` is an integer region map [N, s, s] of any size, or its `RegionRouting` (to share between
        calls); None with R = 1 is plain StyleGAN2. `noise`: the stored buffers, fresh, or no noise.
        """
        routing = self._routing(codes, regions)
        count = self.cfg.num_region_layers if routing is not None else 0

        def layer_codes(index: int) -> Tensor:
            return codes[:, :, index] if index < count else codes[:, :1, index]

        def routed(index: int, kind: Literal["same", "up", "pixel"], size: int) -> LayerRouting | None:
            return getattr(routing, kind)(size) if routing is not None and index < count else None

        x = self.input(len(codes))
        x = self.conv1(x, layer_codes(0), self._noise(0, len(codes), noise), routed(0, "same", 4))
        rgb = self.to_rgb1(x, layer_codes(1), None, routed(1, "pixel", 4))
        for block, size in enumerate(self.sizes):
            first = 2 * block + 1
            up, conv, to_rgb = self.convs[2 * block], self.convs[2 * block + 1], self.to_rgbs[block]
            noises = [self._noise(first + i, len(codes), noise) for i in range(2)]
            x = up(x, layer_codes(first), noises[0], routed(first, "up", size))
            x = conv(x, layer_codes(first + 1), noises[1], routed(first + 1, "same", size))
            rgb = to_rgb(x, layer_codes(first + 2), rgb, routed(first + 2, "pixel", size))
        return rgb

    def _routing(self, codes: Tensor, regions: Tensor | RegionRouting | None) -> RegionRouting | None:
        if codes.dim() != 4 or codes.shape[2:] != (self.cfg.num_layers, self.cfg.style_dim):
            expected = f"[N, R, {self.cfg.num_layers}, {self.cfg.style_dim}]"
            raise ValueError(f"Generator: expected style codes {expected}, found {tuple(codes.shape)}.")
        if regions is None:
            if codes.shape[1] != 1:
                raise ValueError(f"Generator: {codes.shape[1]} codes a sample need a region map.")
            return None
        if isinstance(regions, RegionRouting):
            return regions
        return RegionRouting(regions, codes.shape[1], codes.device)

    def _noise(self, index: int, count: int, noise: Noise) -> Tensor | None:
        buffer: Tensor = getattr(self.noises, f"noise_{index}")
        if noise == "none":
            return None
        return buffer if noise == "fixed" else buffer.new_empty(count, *buffer.shape[1:]).normal_()


class ConstantInput(nn.Module):
    """The learned 4x4 start, `input` [1, C, 4, 4]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, count: int) -> Tensor:
        """[count, C, 4, 4], channels-last."""
        return self.input.expand(count, -1, -1, -1).contiguous(memory_format=torch.channels_last)


class StyledConv(nn.Module):
    """Modulated convolution, then noise, bias and activation on the aggregated features."""

    def __init__(self, num_in: int, num_out: int, style_dim: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(num_in, num_out, 3, style_dim, up=up)
        self.noise = NoiseStrength()
        self.activate = ActivationBias(num_out)

    def forward(self, x: Tensor, codes: Tensor, noise: Tensor | None, routing: LayerRouting | None) -> Tensor:
        """`x` [N, I, H, W] and codes [N, R, D] to [N, O, H', W']."""
        out = self.conv(x, codes, routing)
        scaled = None if noise is None else self.noise.weight * noise
        return add_noise_bias_leaky_relu(out, scaled, self.activate.bias)


class NoiseStrength(nn.Module):
    """Holds `weight` [1], the learned strength of the noise image, under its published name."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class ActivationBias(nn.Module):
    """Holds `bias` [C], added before the activation, under its published name."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))


class ToRGB(nn.Module):
    """1x1 modulated convolution to RGB (no demodulation), plus the up-sampled RGB of the block before."""

    def __init__(self, channels: int, style_dim: int, up: bool = True) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(channels, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        if up:
            self.upsample = UpsampleRGB()

    def forward(self, x: Tensor, codes: Tensor, skip: Tensor | None, routing: LayerRouting | None) -> Tensor:
        """`x` [N, C, H, W], `skip` [N, 3, H/2, W/2] to [N, 3, H, W]."""
        rgb = self.conv(x, codes, routing)
        rgb = rgb + self.bias.to(rgb.dtype)
        return rgb if skip is None else rgb + self.upsample(skip)
