"""E4S and pSp's encoder from their descriptions, slow and in double precision, over published tensors.

Nothing here knows our modules. Regions are looped over everywhere: in the averages of the encoder, in the
MLPs, and in every layer of the generator (arXiv 2409.03605, supplement, eq. (1)-(2)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tests.weights import stylegan2_reference as stylegan2
from tests.weights.stylegan2_reference import Array, Layer, Weights

RegionMap = NDArray[np.int64]
V = TypeVar("V")

TAPS = (6, 20, 23)
"""Units after which the fine, the middle and the coarse features are taken."""
HALVING = (0, 3, 7, 21)
"""Units that halve the size: the first of each stage of 3, 4, 14 and 3 units."""


def normed(w: Weights, name: str, x: Tensor) -> Tensor:
    """By a batch's stored statistics where the file has them, else every channel of a picture for itself."""
    if f"{name}.running_var" not in w:
        mean, variance = x.mean(dim=(2, 3), keepdim=True), x.var(dim=(2, 3), unbiased=False, keepdim=True)
        return (x - mean) / torch.sqrt(variance + 1e-5)
    mean, variance, weight, bias = (
        at(w, f"{name}.{kind}")[None, :, None, None]
        for kind in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias


def unit(w: Weights, name: str, x: Tensor, stride: int) -> Tensor:
    y = F.conv2d(normed(w, f"{name}.res_layer.0", x), at(w, f"{name}.res_layer.1.weight"), padding=1)
    y = prelu(w, f"{name}.res_layer.2", y)
    y = F.conv2d(y, at(w, f"{name}.res_layer.3.weight"), stride=stride, padding=1)
    y = normed(w, f"{name}.res_layer.4", y)
    gates = F.conv2d(y.mean(dim=(2, 3), keepdim=True), at(w, f"{name}.res_layer.5.fc1.weight")).clamp(min=0)
    y = y / (1 + torch.exp(-F.conv2d(gates, at(w, f"{name}.res_layer.5.fc2.weight"))))
    if f"{name}.shortcut_layer.0.weight" not in w:
        return y + x[:, :, ::stride, ::stride]
    x = F.conv2d(x, at(w, f"{name}.shortcut_layer.0.weight"), stride=stride)
    return y + normed(w, f"{name}.shortcut_layer.1", x)


def scales(w: Weights, image: Array) -> list[Tensor]:
    """Fine, middle and coarse features [1, C, H, W] of a picture [3, 256, 256]."""
    x = F.conv2d(torch.from_numpy(image)[None], at(w, "input_layer.0.weight"), padding=1)
    x = prelu(w, "input_layer.2", normed(w, "input_layer.1", x))
    found = []
    for index in range(24):
        x = unit(w, f"body.{index}", x, 2 if index in HALVING else 1)
        if index in TAPS:
            found.append(x)
    return found


def pyramid(w: Weights, image: Array) -> list[Tensor]:
    """pSp's features of 64, 32 and 16 px: each is a 1x1 convolution of its scale plus the coarser one."""
    fine, middle, coarse = scales(w, image)
    middle = F.conv2d(middle, at(w, "latlayer1.weight"), at(w, "latlayer1.bias")) + enlarged(coarse)
    fine = F.conv2d(fine, at(w, "latlayer2.weight"), at(w, "latlayer2.bias")) + enlarged(middle)
    return [fine, middle, coarse]


def region_averages(features: list[Tensor], regions: RegionMap, count: int) -> Array:
    """[R, F]: the mean of every scale in every region, pixel by pixel; zeros where there is no pixel."""
    rows = []
    for region in range(count):
        parts = []
        for scale in features:
            inside = nearest(regions, scale.shape[-1]) == region
            values = scale[0].numpy()[:, inside]
            parts.append(values.mean(axis=1) if inside.any() else np.zeros(len(values)))
        rows.append(np.concatenate(parts))
    return np.stack(rows)


def style_codes(w: Weights, averages: Array, latent_avg: Array) -> Array:
    """[R, L, D]: what a region's own MLP makes of its averages, around the mean code."""
    codes = np.repeat(latent_avg[None], len(averages), axis=0)
    for region, values in enumerate(averages):
        hidden = stylegan2.scaled_linear(values, w, f"MLPs.{region}.mlp.0")
        hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
        offsets = stylegan2.scaled_linear(hidden, w, f"MLPs.{region}.mlp.2")
        offsets = offsets.reshape(-1, latent_avg.shape[1])
        codes[region, : len(offsets)] += offsets
    return codes


def region_picture(w: Weights, codes: Array, regions: RegionMap, size: int, num_masked: int) -> Array:
    """[3, size, size] of codes [R, L, D]: the first `num_masked` layers region by region, then region 0's."""
    x, convs, rgbs = stylegan2.synthesis_layers(w, size, "port")

    def layer_codes(index: int) -> Array:
        return codes[:, index] if index < num_masked else codes[:1, index]

    x = region_styled(x, layer_codes(0), regions, convs[0], up=False)
    picture = region_rgb(x, layer_codes(1), regions, rgbs[0])
    for k in range(1, len(rgbs)):
        x = region_styled(x, layer_codes(2 * k - 1), regions, convs[2 * k - 1], up=True)
        x = region_styled(x, layer_codes(2 * k), regions, convs[2 * k], up=False)
        picture = region_rgb(x, layer_codes(2 * k + 1), regions, rgbs[k]) + stylegan2.upsampled(picture)
    return picture


def region_styled(x: Array, codes: Array, regions: RegionMap, layer: Layer, up: bool) -> Array:
    """Every region's whole convolution, cut out and summed; then noise, bias and activation once."""
    total: Array | float = 0.0
    for region, code in enumerate(codes):
        weight = stylegan2.modulated(layer, code)
        weight = weight / np.sqrt((weight**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
        if up:
            out = stylegan2.filtered(stylegan2.transposed(x, weight), 4 * stylegan2.FILTER, (1, 1))
        else:
            out = stylegan2.convolved(x, weight, 1)
        total = total + out * inside(regions, region, out.shape[-1], len(codes))
    return stylegan2.activated(total + layer.noise + layer.bias[:, None, None])


def region_rgb(x: Array, codes: Array, regions: RegionMap, layer: Layer) -> Array:
    total: Array | float = 0.0
    for region, code in enumerate(codes):
        out = stylegan2.convolved(x, stylegan2.modulated(layer, code), 0)
        total = total + out * inside(regions, region, out.shape[-1], len(codes))
    return total + layer.bias[:, None, None]


def inside(regions: RegionMap, region: int, size: int, count: int) -> Array:
    """1 in the region and 0 elsewhere; one code alone is everywhere."""
    return np.ones((size, size)) if count == 1 else (nearest(regions, size) == region).astype(float)


def region_map(seed: int = 0) -> RegionMap:
    """[64, 64]: patches of 9 of 12 regions, so that three are absent."""
    patches = torch.randint(0, 9, (8, 8), generator=torch.Generator().manual_seed(seed))
    return patches.repeat_interleave(8, 0).repeat_interleave(8, 1).numpy()


def nearest(regions: RegionMap, size: int) -> RegionMap:
    steps = [math.floor(i * len(regions) / size) for i in range(size)]
    return regions[np.ix_(steps, steps)]


def enlarged(x: Tensor) -> Tensor:
    """Twice the size; the corners' centres stay in the corners (`align_corners`)."""
    side = x.shape[-1]
    places = torch.arange(2 * side, dtype=x.dtype) * (side - 1) / (2 * side - 1)
    low = places.floor().long().clamp(max=side - 2)
    share = places - low
    x = x[:, :, low] * (1 - share)[:, None] + x[:, :, low + 1] * share[:, None]
    return x[..., low] * (1 - share) + x[..., low + 1] * share


def prelu(w: Weights, name: str, x: Tensor) -> Tensor:
    return torch.where(x > 0, x, x * at(w, f"{name}.weight")[None, :, None, None])


def at(w: Weights, name: str) -> Tensor:
    return torch.from_numpy(w[name])


def below(prefix: str, w: Mapping[str, V]) -> dict[str, V]:
    """One part of a network, by its own names."""
    return {name.removeprefix(prefix): value for name, value in w.items() if name.startswith(prefix)}
