"""BiSeNet face parsing (arXiv 1808.00897) with the layout of the published 19-label weights.

The spatial path of the paper is replaced by the 1/8 feature of the ResNet-18 context path. Module names
follow `79999_iter.pth` of face-parsing.PyTorch: 191 state entries, 13,300,416 parameters. Construction is
free: no file is read and nothing is fetched.

Shape legend: N batch, H W input size (512 in training); features at 1/8, 1/16, 1/32 of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segtalker.regions import NUM_RAW_LABELS

INPUT_SIZE = 512
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class BiSeNetConfig:
    """Size of the network; the default is the published one."""

    num_classes: int = NUM_RAW_LABELS


class BiSeNet(nn.Module):
    """Face parsing network."""

    def __init__(self, cfg: BiSeNetConfig) -> None:
        super().__init__()
        self.cfg = cfg
        num_classes = cfg.num_classes
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256, 256)
        self.conv_out = Head(256, 256, num_classes)
        self.conv_out16 = Head(128, 64, num_classes)
        self.conv_out32 = Head(128, 64, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images [N, 3, H, W], ImageNet-normalised RGB, to logits [N, 19, H, W]: main, 1/16, 1/32 heads.

        The last two are for training; parsing takes the first.
        """
        size = images.shape[-2:]
        feature8, context8, context16 = self.cp(images)
        fused = self.ffm(feature8, context8)
        heads = ((self.conv_out, fused), (self.conv_out16, context8), (self.conv_out32, context16))
        first, second, third = (
            F.interpolate(head(feature), size, mode="bilinear", align_corners=True) for head, feature in heads
        )
        return first, second, third


class ContextPath(nn.Module):
    """ResNet-18 with attention on its last two levels."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16 = AttentionRefinement(256, 128)
        self.arm32 = AttentionRefinement(512, 128)
        self.conv_head32 = ConvBNReLU(128, 128, 3)
        self.conv_head16 = ConvBNReLU(128, 128, 3)
        self.conv_avg = ConvBNReLU(512, 128, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images [N, 3, H, W] to the 1/8 feature [N, 128], and context [N, 128] at 1/8 and at 1/16."""
        feature8, feature16, feature32 = self.resnet(images)
        average = self.conv_avg(feature32.mean(dim=(2, 3), keepdim=True))
        context32 = self.arm32(feature32) + average  # one vector, the same everywhere
        context16 = self.conv_head32(F.interpolate(context32, feature16.shape[-2:], mode="nearest"))
        context8 = self.arm16(feature16) + context16
        context8 = self.conv_head16(F.interpolate(context8, feature8.shape[-2:], mode="nearest"))
        return feature8, context8, context16


class ResNet18(nn.Module):
    """The trunk, torchvision's names, without the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features [N, 128 | 256 | 512] at 1/8, 1/16 and 1/32."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 3, stride=2, padding=1)
        feature8 = self.layer2(self.layer1(x))
        feature16 = self.layer3(feature8)
        return feature8, feature16, self.layer4(feature16)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a short cut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] to [N, C', h / stride, w / stride]."""
        short_cut = x if self.downsample is None else self.downsample(x)
        return F.relu(short_cut + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class ConvBNReLU(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] to [N, C', h, w]."""
        return F.relu(self.bn(self.conv(x)))


class AttentionRefinement(nn.Module):
    """A feature scaled channel by channel by a gate of its own average."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, out_channels, 3)
        self.conv_atten = nn.Conv2d(out_channels, out_channels, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] to [N, C', h, w]."""
        feature = self.conv(x)
        average = feature.mean(dim=(2, 3), keepdim=True)
        return feature * torch.sigmoid(self.bn_atten(self.conv_atten(average)))


class FeatureFusion(nn.Module):
    """The 1/8 feature and its context, joined and gated."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convblk = ConvBNReLU(in_channels, out_channels, 1)
        self.conv1 = nn.Conv2d(out_channels, out_channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(out_channels // 4, out_channels, 1, bias=False)

    def forward(self, feature: Tensor, context: Tensor) -> Tensor:
        """Two [N, 128, h, w] to [N, 256, h, w]."""
        joined = self.convblk(torch.cat([feature, context], dim=1))
        gate = torch.sigmoid(self.conv2(F.relu(self.conv1(joined.mean(dim=(2, 3), keepdim=True)))))
        return joined * gate + joined


class Head(nn.Module):
    """Feature to logits."""

    def __init__(self, in_channels: int, middle: int, num_classes: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(in_channels, middle, 3)
        self.conv_out = nn.Conv2d(middle, num_classes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] to [N, 19, h, w]."""
        return self.conv_out(self.conv(x))
