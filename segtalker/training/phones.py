"""Loss of networks that learn to hear: which phone sounds."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from segtalker.data.phones import PHONE_NAMES, UNKNOWN_PHONE
from segtalker.data.shards import ShardReader


def phone_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of `logits` [N, T, P] over `labels` (N * T of them) that are known; 0 of nothing."""
    flat = labels.flatten()
    total = F.cross_entropy(logits.float().flatten(0, 1), flat, ignore_index=UNKNOWN_PHONE, reduction="sum")
    return total / (flat != UNKNOWN_PHONE).sum().clamp(min=1)


def note_missing_phones(reader: ShardReader, clips: Sequence[int], term: str = "phones") -> list[str]:
    """A line for the person who waits where no clip has a phone that loss `term` could use; else none."""
    if any(phone.label in PHONE_NAMES for clip in clips for phone in reader.rows[clip].phones):
        return []
    return [
        f"loss term {term} is off for {reader.folder}: no clip says which phone sounds when. "
        "Prepare the corpus with phones."
    ]
