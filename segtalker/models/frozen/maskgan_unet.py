"""Face parsing U-Net in the layout of MaskGAN / CelebAMask-HQ (arXiv 1907.11922), at any width.

SGI's parsing loss, eq. (11), compares its features. Full size: 1,944,355 parameters, 19 labels in
CelebAMask-HQ order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ParsingUNetConfig:
    """Size of the U-Net; the defaults are the published ones."""

    widths: tuple[int, int, int, int, int] = (16, 32, 64, 128, 256)
    num_classes: int = 19
    input_size: int = 512
    """What it was trained on, px; it runs at any multiple of 16."""

    @staticmethod
    def mini() -> ParsingUNetConfig:
        """The 12 regions at 128 px."""
        return ParsingUNetConfig(widths=(16, 24, 32, 48, 64), num_classes=12, input_size=128)


class ParsingUNet(nn.Module):
    """Picture to label logits, and the features on the way down."""

    def __init__(self, cfg: ParsingUNetConfig) -> None:
        super().__init__()
        self.cfg = cfg
        w1, w2, w3, w4, w5 = cfg.widths
        self.conv1 = DoubleConv(3, w1)
        self.conv2 = DoubleConv(w1, w2)
        self.conv3 = DoubleConv(w2, w3)
        self.conv4 = DoubleConv(w3, w4)
        self.center = DoubleConv(w4, w5)
        self.up_concat4 = UpConcat(w5, w4)
        self.up_concat3 = UpConcat(w4, w3)
        self.up_concat2 = UpConcat(w3, w2)
        self.up_concat1 = UpConcat(w2, w1)
        self.final = nn.Conv2d(w1, cfg.num_classes, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, image: Tensor) -> Tensor:
        """Images [N, 3, S, S] in [-1, 1] to logits [N, num_classes, S, S]."""
        down1, down2, down3, down4, center = self.features(image)
        x = self.up_concat4(down4, center)
        x = self.up_concat3(down3, x)
        x = self.up_concat2(down2, x)
        return self.final(self.up_concat1(down1, x))

    def features(self, image: Tensor) -> list[Tensor]:
        """Features [N, C, H, W] at full, 1/2, 1/4, 1/8 and 1/16 size."""
        levels = [self.conv1(image)]
        for block in (self.conv2, self.conv3, self.conv4, self.center):
            levels.append(block(self.pool(levels[-1])))
        return levels


class DoubleConv(nn.Module):
    """Twice convolution, batch norm, ReLU; names `conv{1,2}.{0,1}`."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.conv1 = _conv_norm_relu(num_in, num_out)
        self.conv2 = _conv_norm_relu(num_out, num_out)

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, H, W] to [N, num_out, H, W]."""
        return self.conv2(self.conv1(x))


class UpConcat(nn.Module):
    """Twice the size, joined to the features of the way down."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.conv = DoubleConv(2 * num_out, num_out)
        self.up = nn.ConvTranspose2d(num_in, num_out, 2, stride=2)

    def forward(self, skip: Tensor, x: Tensor) -> Tensor:
        """`skip` [N, num_out, 2H, 2W], `x` [N, num_in, H, W] to [N, num_out, 2H, 2W]."""
        return self.conv(torch.cat([skip, self.up(x)], dim=1))


def _conv_norm_relu(num_in: int, num_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(num_in, num_out, 3, 1, 1), nn.BatchNorm2d(num_out), nn.ReLU())
