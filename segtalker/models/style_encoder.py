"""Mask-guided style encoder: one feature vector a region from three scales (arXiv 2409.03605, eq. (5)-(7)).

`psp_fpn` is the paper's wording, an IR-SE body with a feature pyramid (after arXiv 2008.00951); `e4s` is the
body that the published region-wise inversion weights were trained with (arXiv 2211.14068): wider, instance
norm, no pyramid. Both at any width.

Shape legend: N batch, R regions, C channels, H W feature size, F channels of the three scales together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segtalker.models.irse import IRSENorm, irse_body, irse_stem
from segtalker.models.stylegan2.layers import EqualLinear

MaskResize = Literal["nearest", "area"]


@dataclass(frozen=True)
class StyleEncoderConfig:
    """Size of the encoder; the defaults are IR-SE50 with a pyramid at 256 px."""

    kind: Literal["psp_fpn", "e4s"] = "psp_fpn"
    input_size: int = 256
    """The picture is resized to this, px."""
    stem: int = 64
    stem_stride: int = 1
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    units: tuple[int, int, int, int] = (3, 4, 14, 3)
    strides: tuple[int, int, int, int] = (2, 2, 2, 2)
    norm: IRSENorm = "batch"
    mask_resize: MaskResize = "nearest"
    """`area` keeps regions that are thinner than a feature pixel; published weights want `nearest`."""

    @staticmethod
    def e4s() -> StyleEncoderConfig:
        """The layout of the published region-wise inversion weights."""
        return StyleEncoderConfig(kind="e4s", widths=(128, 256, 512, 512), norm="instance")

    @property
    def num_features(self) -> int:
        """F: features a region."""
        _, fine, middle, coarse = self.widths
        return 3 * coarse if self.kind == "psp_fpn" else fine + middle + coarse


class StyleEncoder(nn.Module):
    """Image and region one-hot to style features a region."""

    def __init__(self, cfg: StyleEncoderConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.input_layer = irse_stem(cfg.stem, cfg.stem_stride, cfg.norm)
        self.body, last = irse_body(cfg.stem, cfg.widths, cfg.units, cfg.strides, cfg.norm)
        self._taps = last[1:]
        if cfg.kind == "psp_fpn":
            _, fine, middle, coarse = cfg.widths
            self.latlayer1 = nn.Conv2d(middle, coarse, 1)
            self.latlayer2 = nn.Conv2d(fine, coarse, 1)

    def forward(self, image: Tensor, onehot: Tensor) -> Tensor:
        """`image` [N, 3, S, S] in [-1, 1], `onehot` [N, R, s, s] to style features [N, R, F].

        The order is fine, medium, coarse; a region that is absent at a scale has zeros there.
        """
        maps = self.feature_maps(image)
        return torch.cat([region_mean(features, onehot, self.cfg.mask_resize) for features in maps], dim=2)

    def feature_maps(self, image: Tensor) -> list[Tensor]:
        """Fine, medium and coarse features [N, C, H, W] of eq. (5)."""
        size = self.cfg.input_size
        if image.shape[-2:] != (size, size):
            image = F.interpolate(image, size=(size, size), mode="bilinear", align_corners=False)
        x = self.input_layer(image.contiguous(memory_format=torch.channels_last))
        scales = []
        for index, unit in enumerate(self.body):
            x = unit(x)
            if index in self._taps:
                scales.append(x)
        fine, middle, coarse = scales
        if self.cfg.kind == "e4s":
            return scales
        middle = self.latlayer1(middle) + _resize_to(coarse, middle)
        return [self.latlayer2(fine) + _resize_to(middle, fine), middle, coarse]


class RegionMLPs(nn.ModuleList):
    """One MLP a region: style features to K codes, eq. (7). Names `{region}.mlp.{0,2}` as published."""

    def __init__(self, num_regions: int, num_features: int, hidden: int, num_layers: int, dim: int) -> None:
        super().__init__(CodeMLP(num_features, hidden, num_layers * dim) for _ in range(num_regions))
        self._shape = (num_layers, dim)

    def forward(self, features: Tensor) -> Tensor:
        """Style features [N, R, F] to code offsets [N, R, K, D]."""
        codes = torch.stack([mlp(features[:, region]) for region, mlp in enumerate(self)], dim=1)
        return codes.view(*codes.shape[:2], *self._shape)


class CodeMLP(nn.Module):
    """Two equalised linear layers with leaky ReLU 0.01 between them."""

    def __init__(self, num_in: int, hidden: int, num_out: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            EqualLinear(num_in, hidden), nn.LeakyReLU(0.01), EqualLinear(hidden, num_out)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in] to [N, num_out]."""
        return self.mlp(x)


def region_mean(features: Tensor, onehot: Tensor, resize: MaskResize = "nearest") -> Tensor:
    """Mean of `features` [N, C, H, W] in each region of `onehot` [N, R, s, s], eq. (6): [N, R, C].

    Zero where a region has no pixel at this scale.
    """
    size = features.shape[-2:]
    weights = onehot.float()
    if weights.shape[-2:] != size:
        if resize == "area":
            weights = F.interpolate(weights, size=size, mode="area")
        else:
            weights = F.interpolate(weights, size=size, mode="nearest")
    weights = weights.flatten(2)
    sums = weights.to(features.dtype) @ features.flatten(2).transpose(1, 2)
    area = weights.sum(dim=2, keepdim=True)
    return torch.where(area > 0, sums.float() / area.clamp_min(1e-6), 0.0)


def _resize_to(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)
