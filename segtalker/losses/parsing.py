"""Parsing loss on the features of a face parser (arXiv 2409.03605, eq. (11))."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def parsing_loss(pred: Sequence[Tensor], target: Sequence[Tensor], multi_level: bool = False) -> Tensor:
    """1 - cosine of the deepest features, flattened; `multi_level` sums it over all levels.

    pred, target: features [N, C, H, W] from fine to deep (`ParsingUNet.features`). Returns a scalar.
    """
    chosen = range(len(pred)) if multi_level else [len(pred) - 1]
    total = pred[-1].new_zeros((), dtype=torch.float32)
    for level in chosen:
        similarity = F.cosine_similarity(pred[level].float().flatten(1), target[level].float().flatten(1))
        total = total + (1 - similarity).mean()
    return total


def parser_input(image: Tensor, size: int) -> Tensor:
    """Pictures [N, 3, S, S] at the size of a published parser: averaged, or repeated where they are smaller.

    That is how region-wise inversion (arXiv 2211.14068), whose loss this is, brings them there.
    """
    return image if image.shape[-1] == size else F.adaptive_avg_pool2d(image, size)
