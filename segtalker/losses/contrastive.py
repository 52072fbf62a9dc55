"""Contrast between identities, for our own small identity embedder."""

from __future__ import annotations

import torch
from torch import Tensor


def identity_contrast(one: Tensor, other: Tensor, identity: Tensor, temperature: float = 0.1) -> Tensor:
    """Two-way cross-entropy of picking the same person's other picture among the batch (InfoNCE).

    one, other: unit vectors [N, D] of two pictures of the same N people; identity: int64 [N], equal where
    two rows are one person, which are then no wrong answers for each other. Returns a scalar.
    """
    logits = one.float() @ other.float().t() / temperature
    same = identity[:, None] == identity[None]
    logits = logits.masked_fill(same & ~torch.eye(len(one), dtype=torch.bool, device=one.device), -torch.inf)
    right = logits.diagonal()
    return 0.5 * ((logits.logsumexp(dim=1) - right) + (logits.logsumexp(dim=0) - right)).mean()
