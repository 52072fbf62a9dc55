"""How unlike pictures look to people: LPIPS (arXiv 1801.03924); papers on faces print that of AlexNet."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from segtalker.metrics.mean import Mean
from segtalker.models.frozen.lpips import LPIPS

_BATCH = 8


@torch.inference_mode()
def lpips_between(net: LPIPS, pictures: NDArray[np.uint8], true: NDArray[np.uint8]) -> Mean:
    """Mean over pictures [N, H, W, 3] of the distance to the true ones, at their own size; 0 if equal."""
    if pictures.shape != true.shape:
        raise ValueError(f"lpips: pictures of {pictures.shape} and {true.shape}")
    device = next(net.parameters()).device
    found = Mean()
    for first in range(0, len(pictures), _BATCH):
        pair = (torch.from_numpy(images[first : first + _BATCH]).to(device) for images in (pictures, true))
        scaled = [images.permute(0, 3, 1, 2).float() / 127.5 - 1 for images in pair]
        found += Mean.of(net(*scaled).cpu().numpy())
    return found
