"""Adversarial losses of StyleGAN2 (arXiv 1912.04958), the readable form of arXiv 2409.03605, eq. (12)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def d_logistic(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Logistic loss of the discriminator. Logits [N, 1], high for real ones; returns a scalar."""
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def g_nonsaturating(fake_logits: Tensor) -> Tensor:
    """Non-saturating loss of the generator. Logits [N, 1]; returns a scalar."""
    return F.softplus(-fake_logits.float()).mean()


def r1_penalty(real_logits: Tensor, real_images: Tensor) -> Tensor:
    """Mean squared gradient norm of the logits at real images (arXiv 1801.04406), without gamma / 2.

    real_images: [N, 3, H, W] that the logits were computed from, requiring gradients. Returns a scalar.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
