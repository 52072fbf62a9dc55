"""Identity loss on a face embedder (arXiv 2409.03605, eq. (10))."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_FFHQ_FACE = slice(35, 223), slice(32, 220)
"""Rows and columns of the face in an FFHQ-framed picture of 256 px, as published encoders cut it."""


def identity_loss(pred: Sequence[Tensor], target: Sequence[Tensor], multi_level: bool = False) -> Tensor:
    """1 - cosine of the embeddings; `multi_level` adds the same of every level before, flattened.

    pred, target: the embedder's levels, the embedding [N, D] last (`ArcFace.features`). Returns a scalar, at
    most 2 a level.
    """
    chosen = range(len(pred)) if multi_level else [len(pred) - 1]
    total = pred[-1].new_zeros((), dtype=torch.float32)
    for level in chosen:
        similarity = F.cosine_similarity(pred[level].float().flatten(1), target[level].float().flatten(1))
        total = total + (1 - similarity).mean()
    return total


def arcface_crop(image: Tensor) -> Tensor:
    """FFHQ-framed crops [N, 3, S, S] to ArcFace input [N, 3, 112, 112]; valid for FFHQ-like framing only."""
    image = F.adaptive_avg_pool2d(image, 256) if image.shape[-1] != 256 else image
    rows, columns = _FFHQ_FACE
    return F.adaptive_avg_pool2d(image[:, :, rows, columns], 112)
