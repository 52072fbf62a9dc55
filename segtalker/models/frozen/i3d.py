"""I3D (arXiv 1705.07750) trained on Kinetics-400, whose logits are the features of FVD (arXiv 1812.01717).

Inception's blocks with 3D kernels, padded as TensorFlow's SAME does: 344 state entries and 12,697,264
parameters, by the names of the public port github.com/hassony2/kinetics_i3d_pytorch. That the file of FVD
(`i3d_torchscript.pt`, which came with StyleGAN-V, arXiv 2112.14683) has the same ones is inferred from the
public port, of which it seems to be the TorchScript form: the file was not read here. Others are refused.

Shape legend: N batch, T frames (16 for FVD, 9 at least), C channels, H W picture (224).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PICTURE_SIZE = 224
SHORTEST = 9
"""Frames; fewer do not reach the last pool."""
_EPSILON = 1e-3

Kernel = tuple[int, int, int]


@dataclass(frozen=True)
class I3DConfig:
    """Size of the network."""

    num_classes: int = 400
    """Logits, which are the features."""
    divisor: int = 1
    """Every width is the published one divided by this."""

    def widths(self, *published: int) -> tuple[int, ...]:
        """Channels where the published network has `published`."""
        return tuple(width // self.divisor for width in published)


class I3D(nn.Module):
    """Videos to logits."""

    def __init__(self, cfg: I3DConfig) -> None:
        super().__init__()
        self.cfg = cfg
        stem, middle, top = cfg.widths(64, 192, 1024)
        self.conv3d_1a_7x7 = Unit(3, stem, 7, 2)
        self.conv3d_2b_1x1 = Unit(stem, stem)
        self.conv3d_2c_3x3 = Unit(stem, middle, 3)
        self.mixed_3b = Mixed(middle, cfg.widths(64, 96, 128, 16, 32, 32))
        self.mixed_3c = Mixed(self.mixed_3b.num_out, cfg.widths(128, 128, 192, 32, 96, 64))
        self.mixed_4b = Mixed(self.mixed_3c.num_out, cfg.widths(192, 96, 208, 16, 48, 64))
        self.mixed_4c = Mixed(self.mixed_4b.num_out, cfg.widths(160, 112, 224, 24, 64, 64))
        self.mixed_4d = Mixed(self.mixed_4c.num_out, cfg.widths(128, 128, 256, 24, 64, 64))
        self.mixed_4e = Mixed(self.mixed_4d.num_out, cfg.widths(112, 144, 288, 32, 64, 64))
        self.mixed_4f = Mixed(self.mixed_4e.num_out, cfg.widths(256, 160, 320, 32, 128, 128))
        self.mixed_5b = Mixed(self.mixed_4f.num_out, cfg.widths(256, 160, 320, 32, 128, 128))
        self.mixed_5c = Mixed(self.mixed_5b.num_out, cfg.widths(384, 192, 384, 48, 128, 128))
        self.conv3d_0c_1x1 = Logits(top, cfg.num_classes)

    def forward(self, videos: Tensor) -> Tensor:
        """Videos [N, 3, T, 224, 224] in [-1, 1], of `scale_videos`, to logits [N, 400], a mean over time."""
        assert videos.shape[2] >= SHORTEST and videos.shape[3:] == (PICTURE_SIZE, PICTURE_SIZE), videos.shape
        x = pool(self.conv3d_1a_7x7(videos), (1, 3, 3), (1, 2, 2))
        x = pool(self.conv3d_2c_3x3(self.conv3d_2b_1x1(x)), (1, 3, 3), (1, 2, 2))
        x = pool(self.mixed_3c(self.mixed_3b(x)), (3, 3, 3), (2, 2, 2))
        for block in (self.mixed_4b, self.mixed_4c, self.mixed_4d, self.mixed_4e, self.mixed_4f):
            x = block(x)
        x = self.mixed_5c(self.mixed_5b(pool(x, (2, 2, 2), (2, 2, 2))))
        return self.conv3d_0c_1x1(F.avg_pool3d(x, (2, 7, 7), 1)).mean(dim=(2, 3, 4))


class Mixed(nn.Module):
    """One pixel, three wide, three wide again, and pooled, side by side."""

    def __init__(self, num_in: int, widths: tuple[int, ...]) -> None:
        """Widths of: the first branch; before and after the second's and the third's kernel; the last."""
        super().__init__()
        one, before_two, two, before_three, three, pooled = widths
        self.num_out = one + two + three + pooled
        self.branch_0 = Unit(num_in, one)
        self.branch_1 = nn.Sequential(Unit(num_in, before_two), Unit(before_two, two, 3))
        self.branch_2 = nn.Sequential(Unit(num_in, before_three), Unit(before_three, three, 3))
        self.branch_3 = nn.Sequential(Pool3(), Unit(num_in, pooled))

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, T, H, W] to [N, num_out, T, H, W]."""
        return torch.cat([self.branch_0(x), self.branch_1(x), self.branch_2(x), self.branch_3(x)], dim=1)


class Unit(nn.Module):
    """Convolution without bias over a cube, batch norm, ReLU."""

    def __init__(self, num_in: int, num_out: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(num_in, num_out, kernel, stride, bias=False)
        self.batch3d = nn.BatchNorm3d(num_out, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, T, H, W] to [N, num_out, T / stride, H / stride, W / stride]."""
        (kernel, *_), (stride, *_) = self.conv3d.kernel_size, self.conv3d.stride
        return F.relu(self.batch3d(self.conv3d(pad_same(x, (kernel,) * 3, (stride,) * 3))))


class Pool3(nn.Module):
    """The largest of every cube of three."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, T, H, W] to the same."""
        return pool(x, (3, 3, 3), (1, 1, 1))


class Logits(nn.Module):
    """The last layer, which has a bias and no norm."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(num_in, num_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_in, T, 1, 1] to [N, num_out, T, 1, 1]."""
        return self.conv3d(x)


def pool(x: Tensor, kernel: Kernel, stride: Kernel) -> Tensor:
    """Maximum; what comes in has passed a ReLU, so zeros around it change nothing."""
    return F.max_pool3d(pad_same(x, kernel, stride), kernel, stride)


def pad_same(x: Tensor, kernel: Kernel, stride: Kernel) -> Tensor:
    """Zeros around [N, C, T, H, W] as TensorFlow's SAME: ceil(size / stride) remain, an odd zero is last."""
    sides: list[int] = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        lacking = max((-(-size // s) - 1) * s + k - size, 0)
        sides = [lacking // 2, lacking - lacking // 2, *sides]  # F.pad begins with the last dimension
    return F.pad(x, sides) if any(sides) else x


def scale_videos(videos: Tensor) -> Tensor:
    """Videos [N, 3, T, H, W], RGB in 0-255, to what the network takes: float [N, 3, T, 224, 224] in [-1, 1].

    Bilinear without aligned corners, every frame by itself, then x / 255 * 2 - 1: what the file of FVD should
    do when it is called with `resize=True, rescale=True`. That is inferred from the public port, which wants
    [-1, 1] at 224 px; nothing of the file is ever run. The whole picture is kept, whatever its shape.
    """
    batch, _, frames = videos.shape[:3]
    pictures = videos.transpose(1, 2).flatten(0, 1).float()
    if pictures.shape[2:] != (PICTURE_SIZE, PICTURE_SIZE):
        pictures = F.interpolate(pictures, (PICTURE_SIZE, PICTURE_SIZE), mode="bilinear", align_corners=False)
    return (pictures / 255 * 2 - 1).unflatten(0, (batch, frames)).transpose(1, 2)
