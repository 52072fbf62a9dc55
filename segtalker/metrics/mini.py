"""frechet_mini: the Fréchet distance of features of a fixed random network, where Inception is not here.

Random convolutions tell sets of pictures apart by their texture and layout, and unlike trained ones they
favour no data set (Naeem et al., arXiv 2002.09797, take a random VGG for pictures unlike those that Inception
was trained on). Its figures compare with its own figures only, never with FID.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

_SEED = 2002
_SIZE = 128
"""Pictures are shrunk or enlarged to this side first, px."""
_WIDTHS = (16, 16, 16, 16)


class RandomFeatures(nn.Module):
    """Four convolutions of stride 2, the same numbers on every machine; 64 features a picture."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.Generator(np.random.PCG64(_SEED))
        self.convs = nn.ModuleList()
        channels = 3
        for width in _WIDTHS:
            conv = nn.Conv2d(channels, width, 5, stride=2, padding=2, bias=False)
            weights = rng.standard_normal((width, channels, 5, 5)) * np.sqrt(2 / (channels * 25))
            # Zero mean per filter: features see edges and texture, and light only through them.
            weights -= weights.mean(axis=(1, 2, 3), keepdims=True)
            conv.weight = nn.Parameter(torch.from_numpy(weights.astype(np.float32)), requires_grad=False)
            self.convs.append(conv)
            channels = width

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, 128, 128] in [-1, 1] to features [N, 64]: means over the picture by level."""
        x, found = pictures, []
        for conv in self.convs:
            x = F.relu(conv(x))
            found.append(x.mean(dim=(2, 3)))
        return torch.cat(found, dim=1)


@torch.inference_mode()
def random_features(net: RandomFeatures, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features [N, 64] of pictures [N, H, W, 3]; frechet_mini is `frechet_distance` of two sets'."""
    found = [np.zeros((0, sum(_WIDTHS)), np.float32)]
    for picture in pictures:
        how = cv2.INTER_AREA if picture.shape[0] > _SIZE else cv2.INTER_LINEAR
        small = cv2.resize(picture, (_SIZE, _SIZE), interpolation=how).astype(np.float32)
        scaled = torch.from_numpy(small).permute(2, 0, 1)[None] / 127.5 - 1
        found.append(net(scaled).numpy())
    return np.concatenate(found)
