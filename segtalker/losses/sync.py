"""Sync loss of the talking segmentation (arXiv 2409.03605 eq. (3)-(4)) and the loss that trains its expert.

The expert is trained on all pairs of windows inside each clip: with many negatives from the same voice and
face it cannot tell them apart by anything but the lips, which is what keeps the plain one-negative recipe
at chance for so long.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_MIN_PROBABILITY = 1e-7


def sync_loss(probability: Tensor) -> Tensor:
    """Eq. (4): mean of -log P_sync over a batch of P_sync [N] in [0, 1] (`SyncNet.forward`)."""
    return -probability.float().clamp(min=_MIN_PROBABILITY).log().mean()


def in_clip_sync_loss(
    logits: Tensor, positive: Tensor, negative: Tensor, nce_weight: float = 0.25
) -> dict[str, Tensor]:
    """Training loss of the lip-sync expert: `loss` = `bce` + nce_weight * `nce`.

    Args:
        logits: log-odds [C, W, W] that masks of window i and speech of window j of a clip belong together.
        positive: right pairs, bool [C, W, W]; the diagonal or a part of it.
        negative: wrong pairs, bool [C, W, W]. Pairs that are neither (nearly in sync, both silent) are out.
        nce_weight: weight of the choice among a clip's windows beside the verdict on single pairs.
    """
    logits = logits.float()
    bce, nce = pair_bce(logits, positive, negative), pair_info_nce(logits, positive, negative)
    return {"loss": bce + nce_weight * nce, "bce": bce, "nce": nce}


def pair_bce(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Binary cross entropy of pair logits [C, W, W]; right and wrong pairs weigh the same in total.

    The balance makes a probability of 0.5 the threshold at which balanced pairs are told apart.
    """
    right, wrong = F.softplus(-logits), F.softplus(logits)
    return 0.5 * (_masked_mean(right, positive) + _masked_mean(wrong, negative))


def pair_info_nce(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Two-way InfoNCE of pair logits [C, W, W].

    Which speech of the clip belongs to these masks, and which masks to this speech, among the right one and
    all wrong ones.
    """
    candidates = logits.masked_fill(~(positive | negative), -torch.inf)
    own = logits.diagonal(dim1=1, dim2=2)
    asked = positive.diagonal(dim1=1, dim2=2)
    both = [candidates.logsumexp(dim) for dim in (1, 2)]
    # Windows without a right pair have no candidate set; a finite stand-in keeps their gradient at zero.
    terms = [torch.where(asked, total, 0.0) - torch.where(asked, own, 0.0) for total in both]
    return 0.5 * sum((_masked_mean(term, asked) for term in terms), torch.zeros_like(own.sum()))


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask`; zero where nothing is."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)
