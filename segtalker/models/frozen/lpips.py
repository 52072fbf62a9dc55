"""LPIPS (arXiv 1801.03924): weighted distance of unit-normalised features of a classification trunk.

The trunk is the `features` part of AlexNet or VGG16 in the layout of torchvision, the heads are those of the
`lpips` package, version 0.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

LPIPSNet = Literal["alex", "vgg"]

_VGG_PLAN = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)
_TAPS = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}
_WIDTHS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}


@dataclass(frozen=True)
class LPIPSConfig:
    """Which trunk."""

    net: LPIPSNet = "alex"


class LPIPS(nn.Module):
    """Perceptual distance of two pictures; `features.*` is the trunk, `lin{k}` the five heads."""

    shift: Tensor
    scale: Tensor

    def __init__(self, cfg: LPIPSConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.features = _alex_trunk() if cfg.net == "alex" else _vgg_trunk()
        for level, width in enumerate(_WIDTHS[cfg.net]):
            self.register_parameter(f"lin{level}", nn.Parameter(torch.ones(1, width, 1, 1)))
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1), False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1), False)

    def forward(self, image: Tensor, other: Tensor) -> Tensor:
        """Two batches [N, 3, H, W] in [-1, 1] to distances [N]."""
        total = image.new_zeros(len(image), dtype=torch.float32)
        for level, (a, b) in enumerate(zip(self.levels(image), self.levels(other), strict=True)):
            head: Tensor = getattr(self, f"lin{level}")
            total = total + ((a - b).square() * head).sum(dim=1).mean(dim=(1, 2))
        return total

    def levels(self, image: Tensor) -> list[Tensor]:
        """Five features [N, C, H, W], each pixel's vector of length one."""
        x = (image - self.shift) / self.scale
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in _TAPS[self.cfg.net]:
                found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return found


def _alex_trunk() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, 1, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, 1, 1),
        nn.ReLU(),
    )


def _vgg_trunk() -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 3
    for entry in _VGG_PLAN:
        if isinstance(entry, str):
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(before, entry, 3, 1, 1), nn.ReLU()]
            before = entry
    return nn.Sequential(*layers)
