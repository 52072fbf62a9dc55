"""Inception v3 (arXiv 1512.00567) as FID reads it (arXiv 1706.08500): TensorFlow's network of 2015-12-05.

It differs from torchvision's: averages over 3 x 3 leave out what lies outside, the last block takes a maximum
instead, and there are 1008 classes, whose layer FID does not need. Names follow
`pt_inception-2015-12-05-6726825d.pth` of github.com/mseitzer/pytorch-fid: 564 state entries here,
21,785,568 parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PICTURE_SIZE = 299
NUM_FEATURES = 2048
_EPSILON = 1e-3


@dataclass(frozen=True)
class InceptionConfig:
    """Size of the network."""

    divisor: int = 1
    """Every width is the published one divided by this."""


class Inception(nn.Module):
    """Pictures to the features before the classifier ("pool_3")."""

    def __init__(self, cfg: InceptionConfig) -> None:
        super().__init__()
        self.cfg = cfg
        d = cfg.divisor
        self.Conv2d_1a_3x3 = Unit(3, 32 // d, 3, stride=2)
        self.Conv2d_2a_3x3 = Unit(32 // d, 32 // d, 3)
        self.Conv2d_2b_3x3 = Unit(32 // d, 64 // d, 3, padding=1)
        self.Conv2d_3b_1x1 = Unit(64 // d, 80 // d)
        self.Conv2d_4a_3x3 = Unit(80 // d, 192 // d, 3)
        self.Mixed_5b = BlockA(192 // d, 32 // d, d)
        self.Mixed_5c = BlockA(256 // d, 64 // d, d)
        self.Mixed_5d = BlockA(288 // d, 64 // d, d)
        self.Mixed_6a = BlockB(288 // d, d)
        self.Mixed_6b = BlockC(768 // d, 128 // d, d)
        self.Mixed_6c = BlockC(768 // d, 160 // d, d)
        self.Mixed_6d = BlockC(768 // d, 160 // d, d)
        self.Mixed_6e = BlockC(768 // d, 192 // d, d)
        self.Mixed_7a = BlockD(768 // d, d)
        self.Mixed_7b = BlockE(1280 // d, d)
        self.Mixed_7c = BlockE(2048 // d, d, largest=True)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, 299, 299] in [-1, 1], of `scale_pictures`, to features [N, 2048], all >= 0."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(pictures)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean(dim=(2, 3))


class Unit(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(
        self,
        num_in: int,
        num_out: int,
        kernel: int | tuple[int, int] = 1,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_in, num_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(num_out, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, H, W] to [N, num_out, H', W']."""
        return F.relu(self.bn(self.conv(x)))


class BlockA(nn.Module):
    """At 35 x 35: kernels of 1, of 5, of 3 twice, and an average."""

    def __init__(self, num_in: int, pooled: int, d: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(num_in, 64 // d)
        self.branch5x5_1 = Unit(num_in, 48 // d)
        self.branch5x5_2 = Unit(48 // d, 64 // d, 5, padding=2)
        self.branch3x3dbl_1 = Unit(num_in, 64 // d)
        self.branch3x3dbl_2 = Unit(64 // d, 96 // d, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96 // d, 96 // d, 3, padding=1)
        self.branch_pool = Unit(num_in, pooled)

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, H, W] to [N, 224 + pooled, H, W]."""
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(average(x))], dim=1)


class BlockB(nn.Module):
    """From 35 x 35 to 17 x 17."""

    def __init__(self, num_in: int, d: int) -> None:
        super().__init__()
        self.branch3x3 = Unit(num_in, 384 // d, 3, stride=2)
        self.branch3x3dbl_1 = Unit(num_in, 64 // d)
        self.branch3x3dbl_2 = Unit(64 // d, 96 // d, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96 // d, 96 // d, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, H, W] to [N, 480 + num_in, H', W']."""
        twice = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), twice, F.max_pool2d(x, 3, 2)], dim=1)


class BlockC(nn.Module):
    """At 17 x 17: kernels of 7 in two halves, once and twice, and an average."""

    def __init__(self, num_in: int, width: int, d: int) -> None:
        super().__init__()
        out, row, column = 192 // d, (1, 7), (7, 1)
        self.branch1x1 = Unit(num_in, out)
        self.branch7x7_1 = Unit(num_in, width)
        self.branch7x7_2 = Unit(width, width, row, padding=(0, 3))
        self.branch7x7_3 = Unit(width, out, column, padding=(3, 0))
        self.branch7x7dbl_1 = Unit(num_in, width)
        self.branch7x7dbl_2 = Unit(width, width, column, padding=(3, 0))
        self.branch7x7dbl_3 = Unit(width, width, row, padding=(0, 3))
        self.branch7x7dbl_4 = Unit(width, width, column, padding=(3, 0))
        self.branch7x7dbl_5 = Unit(width, out, row, padding=(0, 3))
        self.branch_pool = Unit(num_in, out)

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, H, W] to [N, 768, H, W]."""
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(x), once, twice, self.branch_pool(average(x))], dim=1)


class BlockD(nn.Module):
    """From 17 x 17 to 8 x 8."""

    def __init__(self, num_in: int, d: int) -> None:
        super().__init__()
        width = 192 // d
        self.branch3x3_1 = Unit(num_in, width)
        self.branch3x3_2 = Unit(width, 320 // d, 3, stride=2)
        self.branch7x7x3_1 = Unit(num_in, width)
        self.branch7x7x3_2 = Unit(width, width, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Unit(width, width, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Unit(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, H, W] to [N, 512 + num_in, H', W']."""
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat([three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, 2)], dim=1)


class BlockE(nn.Module):
    """At 8 x 8: kernels of 3, whose two halves stand side by side, and an average or a maximum."""

    def __init__(self, num_in: int, d: int, largest: bool = False) -> None:
        super().__init__()
        width = 384 // d
        self.largest = largest
        self.branch1x1 = Unit(num_in, 320 // d)
        self.branch3x3_1 = Unit(num_in, width)
        self.branch3x3_2a = Unit(width, width, (1, 3), padding=(0, 1))
        self.branch3x3_2b = Unit(width, width, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = Unit(num_in, 448 // d)
        self.branch3x3dbl_2 = Unit(448 // d, width, 3, padding=1)
        self.branch3x3dbl_3a = Unit(width, width, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Unit(width, width, (3, 1), padding=(1, 0))
        self.branch_pool = Unit(num_in, 192 // d)

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, H, W] to [N, 2048, H, W]."""
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.largest else average(x)
        parts = [self.branch1x1(x), self.branch3x3_2a(once), self.branch3x3_2b(once)]
        parts += [self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice), self.branch_pool(pooled)]
        return torch.cat(parts, dim=1)


def average(x: Tensor) -> Tensor:
    """Mean of each pixel's 3 x 3 neighbours that there are."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def scale_pictures(pictures: Tensor) -> Tensor:
    """Pictures [N, 3, H, W], RGB in [0, 1], to what the network takes: [N, 3, 299, 299] in [-1, 1].

    Bilinear without aligned corners and without smoothing first, as pytorch-fid does, whatever the size.
    """
    resized = F.interpolate(pictures, (PICTURE_SIZE, PICTURE_SIZE), mode="bilinear", align_corners=False)
    return 2 * resized - 1
