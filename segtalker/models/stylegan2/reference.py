"""Eq. (1) of the supplement run to the letter: one convolution a region, then a masked sum.

Slow and obvious. Tests and `benchmarks/region_conv.py` compare the region-wise convolution with it; nothing
else should use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from segtalker.models.stylegan2.modulated import ModulatedConv2d
from segtalker.models.stylegan2.routing import LayerRouting


def region_conv_loop(
    layer: ModulatedConv2d, x: Tensor, codes: Tensor, output_regions: Tensor, skip_absent: bool = False
) -> Tensor:
    """F_l = sum_j d_j (W * (x s_j)) o (M == j); `output_regions` int [N, H', W'] at the output size.

    `skip_absent` leaves out regions that the map lacks (they add zero), a stronger baseline than the
    equation.
    """
    styles, demods = layer.styles(codes)
    total: Tensor | None = None
    for region in range(codes.shape[1]):
        mask = (output_regions == region)[:, None]
        if skip_absent and not bool(mask.any()):
            continue
        out = layer.convolve(x * styles[:, region, :, None, None])
        if demods is not None:
            out = out * demods[:, region, :, None, None]
        total = out * mask if total is None else total + out * mask
    assert total is not None
    return total


@contextmanager
def literal_loop(module: nn.Module, skip_absent: bool = False) -> Iterator[None]:
    """While active, every `ModulatedConv2d` in `module` runs the loop wherever it is given a routing."""
    layers = [layer for layer in module.modules() if isinstance(layer, ModulatedConv2d)]

    def looped(layer: ModulatedConv2d) -> object:
        def forward(x: Tensor, codes: Tensor, routing: LayerRouting | None = None) -> Tensor:
            if routing is None:
                return ModulatedConv2d.forward(layer, x, codes, None)
            first = torch.arange(len(codes), device=x.device)[:, None, None] * codes.shape[1]
            return region_conv_loop(layer, x, codes, routing.output_styles - first, skip_absent)

        return forward

    for layer in layers:
        layer.forward = looped(layer)  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
