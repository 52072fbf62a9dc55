"""Loss of networks that learn to hear: which phone sounds."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from segtalker.data.phones import UNKNOWN_PHONE


def phone_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of `logits` [N, T, P] over `labels` (N * T of them) that are known; 0 of nothing."""
    flat = labels.flatten()
    total = F.cross_entropy(logits.float().flatten(0, 1), flat, ignore_index=UNKNOWN_PHONE, reduction="sum")
    return total / (flat != UNKNOWN_PHONE).sum().clamp(min=1)
