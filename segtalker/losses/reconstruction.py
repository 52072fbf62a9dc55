"""Reconstruction losses of the talking segmentation: weighted cross entropy (arXiv 2409.03605 eq. (1)-(2)).

Read as the usual negative log-likelihood: the printed equations lack the sign and swap target and prediction.
In the ablation of Sec. 4.3 an L1 loss stands in its place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def weighted_cross_entropy(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
) -> Tensor:
    """Eq. (2): sum of `class_weights[target] * -log p(target)` over pixels, divided by the number of pixels.

    Dividing by the number, not by the sum of weights, makes the loss of a batch the mean of the losses of
    its parts, so that it does not matter how many workers share a batch. Without weights this is eq. (1).

    Args:
        logits: [N, C, H, W].
        target: region maps [N, H, W] of any integer type.
        class_weights: one weight per class [C].
        pixel_weights: a further weight per pixel, broadcastable to [N, H, W] (closure frames, lower half).
    """
    weights = None if class_weights is None else class_weights.to(logits.device, torch.float32)
    loss = F.cross_entropy(logits.float(), target.long(), weight=weights, reduction="none")
    return (loss if pixel_weights is None else loss * pixel_weights).mean()


def probability_l1(logits: Tensor, target: Tensor, pixel_weights: Tensor | None = None) -> Tensor:
    """Mean absolute difference of softmax(logits) [N, C, H, W] and the one-hot of `target`; in 0..2/C.

    What the ablation "without cross entropy" learns from. Over the classes of a pixel the differences add up
    to 2 (1 - p(target)), so the gradient fades where the prediction is surely wrong. Arguments as in
    `weighted_cross_entropy`; class weights belong to eq. (2) and have no place here.
    """
    right = logits.float().softmax(dim=1).gather(1, target.long()[:, None])[:, 0]
    loss = 2 * (1 - right) / logits.shape[1]
    return (loss if pixel_weights is None else loss * pixel_weights).mean()


def area_weights(area: Tensor, power: float = 1.0, largest: float = 10.0) -> Tensor:
    """Class weights [C] from the `area` [C] of each class in the data: proportional to area^-power, clipped.

    The weight of an average pixel is exactly 1 and no weight exceeds `largest`: by the paper's inverse area,
    power 1, earrings would get some thousand times the weight of skin. A class that never occurs weighs
    `largest`.
    """
    if largest < 1.0:
        raise ValueError(f"the largest weight {largest} is below 1, the mean weight")
    share = area.double() / area.double().sum()
    clipped = share <= 0
    weights = torch.full_like(share, largest)
    while True:
        inverse = share[~clipped] ** -power
        left = 1.0 - largest * share[clipped].sum()
        weights[~clipped] = left * inverse / (inverse * share[~clipped]).sum()
        above = (weights > largest) & ~clipped
        if not above.any():
            return weights.float()
        clipped |= above
        weights[clipped] = largest
