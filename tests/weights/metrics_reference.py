"""The networks behind metrics from their descriptions, slow and in double precision, by published names.

Convolutions and pools are sums and maxima over the taps of their kernels, in any number of dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

from tests.weights.convert.official_metrics import FACE_BLOCKS, SPEECH_BLOCKS

Weights = dict[str, Tensor]
Sides = Sequence[tuple[int, int]]


def doubles(values: dict[str, Tensor]) -> Weights:
    return {name: value.double() for name, value in values.items()}


def each(value: int | Sequence[int], count: int) -> tuple[int, ...]:
    return (value,) * count if isinstance(value, int) else tuple(value)


def taps(x: Tensor, kernel: Sequence[int], stride: Sequence[int], sides: Sides, fill: float) -> Iterator:
    """For every place in the kernel, its index and what lies under it at every output place.

    A kernel of fewer dimensions than `x` leaves the last ones as they are, with `fill` around them.
    """
    outer = [before + size + after for size, (before, after) in zip(x.shape[2:], sides, strict=True)]
    padded = torch.full((*x.shape[:2], *outer), fill, dtype=x.dtype)
    inner = tuple(slice(before, before + size) for size, (before, _) in zip(x.shape[2:], sides, strict=True))
    padded[(slice(None), slice(None), *inner)] = x
    for tap in product(*map(range, kernel)):
        place = []
        for offset, size, k, s in zip(tap, outer, kernel, stride, strict=False):
            count = (size - k) // s + 1
            place.append(slice(offset, offset + (count - 1) * s + 1, s))
        yield tap, padded[(slice(None), slice(None), *place)]


def conv(
    x: Tensor, weight: Tensor, stride: int | Sequence[int] = 1, sides: Sides | int | Sequence[int] = 0
) -> Tensor:
    """Row by row of the kernel."""
    *kernel, last = weight.shape[2:]
    steps, total = each(stride, len(kernel) + 1), torch.zeros((), dtype=x.dtype)
    for tap, under in taps(x, kernel, steps[:-1], _sides(sides, len(steps)), 0.0):
        row = weight[(slice(None), slice(None), *tap)]
        total = total + torch.einsum("oik,ni...k->no...", row, under.unfold(-1, last, steps[-1]))
    return total


def largest(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int], sides: Sides | int | Sequence[int] = 0
) -> Tensor:
    found = [under for _, under in taps(x, kernel, stride, _sides(sides, len(kernel)), -float("inf"))]
    return torch.stack(found).amax(dim=0)


def mean_of_those_inside(x: Tensor) -> Tensor:
    """The average over 3 x 3 of what lies in the picture."""
    sides = ((1, 1), (1, 1))
    sums = sum(under for _, under in taps(x, (3, 3), (1, 1), sides, 0.0))
    counts = sum(under for _, under in taps(torch.ones_like(x), (3, 3), (1, 1), sides, 0.0))
    return sums / counts


def _sides(sides: Sides | int | Sequence[int], count: int) -> Sides:
    if isinstance(sides, int):
        return ((sides, sides),) * count
    return [(side, side) if isinstance(side, int) else side for side in sides]


def normed(x: Tensor, w: Weights, name: str, epsilon: float) -> Tensor:
    shape = (1, -1) + (1,) * (x.dim() - 2)
    mean, variance = w[f"{name}.running_mean"].view(shape), w[f"{name}.running_var"].view(shape)
    scale, shift = w[f"{name}.weight"].view(shape), w[f"{name}.bias"].view(shape)
    return (x - mean) / (variance + epsilon).sqrt() * scale + shift


def relu(x: Tensor) -> Tensor:
    return x * (x > 0)


def syncnet_v2(w: Weights, faces: Tensor, mfcc: Tensor) -> tuple[Tensor, Tensor]:
    """Windows [N, 3, 5, 224, 224] and [N, 1, 13, 20] to the vectors of both."""

    def layer(trunk: str, index: int, x: Tensor, stride: int | Sequence[int] = 1, sides=0) -> Tensor:
        x = conv(x, w[f"{trunk}.{index}.weight"], stride, sides)
        x = x + w[f"{trunk}.{index}.bias"].view((1, -1) + (1,) * (x.dim() - 2))
        return relu(normed(x, w, f"{trunk}.{index + 1}", 1e-5))

    def head(name: str, x: Tensor) -> Tensor:
        x = x.reshape(len(x), -1) @ w[f"{name}.0.weight"].T + w[f"{name}.0.bias"]
        return relu(normed(x, w, f"{name}.1", 1e-5)) @ w[f"{name}.3.weight"].T + w[f"{name}.3.bias"]

    y = layer("netcnnaud", 4, layer("netcnnaud", 0, mfcc, 1, 1), 1, 1)
    y = largest(y, (3, 3), (1, 2))
    for index in (8, 11, 14):
        y = layer("netcnnaud", index, y, 1, 1)
    y = layer("netcnnaud", 18, largest(y, (3, 3), (2, 2)))

    pool, halve = (1, 3, 3), (1, 2, 2)
    x = largest(layer("netcnnlip", 0, faces, halve), pool, halve)
    x = largest(layer("netcnnlip", 4, x, halve, (0, 1, 1)), pool, halve, (0, 1, 1))
    for index in (8, 11, 14):
        x = layer("netcnnlip", index, x, 1, (0, 1, 1))
    x = layer("netcnnlip", 18, largest(x, pool, halve))
    return head("netfclip", x), head("netfcaud", y)


def lip_expert(w: Weights, faces: Tensor, mel: Tensor) -> Tensor:
    """Windows [N, 15, 48, 96] and [N, 1, 80, 16] to the cosine of their vectors."""
    found = []
    for branch, blocks, x in (("face_encoder", FACE_BLOCKS, faces), ("audio_encoder", SPEECH_BLOCKS, mel)):
        for index, (_, _, stride, padding, added) in enumerate(blocks):
            name = f"{branch}.{index}.conv_block"
            y = conv(x, w[f"{name}.0.weight"], stride, padding) + w[f"{name}.0.bias"].view(1, -1, 1, 1)
            y = normed(y, w, f"{name}.1", 1e-5)
            x = relu(y + x if added else y)
        assert x.shape[2:] == (1, 1)
        found.append(x[:, :, 0, 0] / x[:, :, 0, 0].square().sum(dim=1, keepdim=True).sqrt())
    return (found[0] * found[1]).sum(dim=1)


def inception(w: Weights, x: Tensor) -> Tensor:
    """Pictures in [-1, 1] to the features before the classifier."""

    def unit(name: str, x: Tensor, stride: int = 1, sides: int | Sequence[int] = 0) -> Tensor:
        return relu(normed(conv(x, w[f"{name}.conv.weight"], stride, sides), w, f"{name}.bn", 1e-3))

    def chain(block: str, x: Tensor, *steps: tuple) -> Tensor:
        for name, *how in steps:
            x = unit(f"{block}.branch{name}", x, *how)
        return x

    x = unit("Conv2d_2b_3x3", unit("Conv2d_2a_3x3", unit("Conv2d_1a_3x3", x, 2)), 1, 1)
    x = unit("Conv2d_4a_3x3", unit("Conv2d_3b_1x1", largest(x, (3, 3), (2, 2))))
    x = largest(x, (3, 3), (2, 2))
    for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        branches = [chain(block, x, ("1x1",)), chain(block, x, ("5x5_1",), ("5x5_2", 1, 2))]
        branches.append(chain(block, x, ("3x3dbl_1",), ("3x3dbl_2", 1, 1), ("3x3dbl_3", 1, 1)))
        x = torch.cat([*branches, chain(block, mean_of_those_inside(x), ("_pool",))], dim=1)
    twice = chain("Mixed_6a", x, ("3x3dbl_1",), ("3x3dbl_2", 1, 1), ("3x3dbl_3", 2))
    x = torch.cat([chain("Mixed_6a", x, ("3x3", 2)), twice, largest(x, (3, 3), (2, 2))], dim=1)
    row, column = (1, (0, 3)), (1, (3, 0))
    for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        branches = [chain(block, x, ("1x1",))]
        branches.append(chain(block, x, ("7x7_1",), ("7x7_2", *row), ("7x7_3", *column)))
        twice = chain(block, x, ("7x7dbl_1",), ("7x7dbl_2", *column), ("7x7dbl_3", *row))
        branches.append(chain(block, twice, ("7x7dbl_4", *column), ("7x7dbl_5", *row)))
        x = torch.cat([*branches, chain(block, mean_of_those_inside(x), ("_pool",))], dim=1)
    seven = chain("Mixed_7a", x, ("7x7x3_1",), ("7x7x3_2", *row), ("7x7x3_3", *column), ("7x7x3_4", 2))
    three = chain("Mixed_7a", x, ("3x3_1",), ("3x3_2", 2))
    x = torch.cat([three, seven, largest(x, (3, 3), (2, 2))], dim=1)
    for block, pooled in (("Mixed_7b", mean_of_those_inside), ("Mixed_7c", _largest_of_nine)):
        x = _widest(block, x, chain, pooled)
    return x.mean(dim=(2, 3))


def _largest_of_nine(x: Tensor) -> Tensor:
    return largest(x, (3, 3), (1, 1), 1)


def _widest(
    block: str, x: Tensor, chain: Callable[..., Tensor], pooled: Callable[[Tensor], Tensor]
) -> Tensor:
    row, column = (1, (0, 1)), (1, (1, 0))
    once = chain(block, x, ("3x3_1",))
    twice = chain(block, x, ("3x3dbl_1",), ("3x3dbl_2", 1, 1))
    parts = [chain(block, x, ("1x1",))]
    parts += [chain(block, once, ("3x3_2a", *row)), chain(block, once, ("3x3_2b", *column))]
    parts += [chain(block, twice, ("3x3dbl_3a", *row)), chain(block, twice, ("3x3dbl_3b", *column))]
    return torch.cat([*parts, chain(block, pooled(x), ("_pool",))], dim=1)


def i3d(w: Weights, x: Tensor) -> Tensor:
    """Videos [N, 3, 16, 224, 224] in [-1, 1] to logits; TensorFlow's SAME written out for these sizes."""
    cube = ((1, 1),) * 3

    def unit(name: str, x: Tensor) -> Tensor:
        weight = w[f"{name}.conv3d.weight"]
        size = weight.shape[2]
        stride, sides = (2, ((2, 3),) * 3) if size == 7 else (1, (size - 1) // 2)
        return relu(normed(conv(x, weight, stride, sides), w, f"{name}.batch3d", 1e-3))

    def halved(x: Tensor) -> Tensor:
        return largest(x, (1, 3, 3), (1, 2, 2), ((0, 0), (0, 1), (0, 1)))

    def mixed(name: str, x: Tensor) -> Tensor:
        branches = [unit(f"{name}.branch_0", x)]
        branches += [unit(f"{name}.branch_{i}.1", unit(f"{name}.branch_{i}.0", x)) for i in (1, 2)]
        branches += [unit(f"{name}.branch_3.1", largest(x, (3, 3, 3), (1, 1, 1), cube))]
        return torch.cat(branches, dim=1)

    x = halved(unit("conv3d_1a_7x7", x))
    x = halved(unit("conv3d_2c_3x3", unit("conv3d_2b_1x1", x)))
    x = mixed("mixed_3c", mixed("mixed_3b", x))
    x = largest(x, (3, 3, 3), (2, 2, 2), ((0, 1),) * 3)
    for block in "bcdef":
        x = mixed(f"mixed_4{block}", x)
    x = largest(x, (2, 2, 2), (2, 2, 2))
    x = mixed("mixed_5c", mixed("mixed_5b", x))
    assert x.shape[2:] == (2, 7, 7)
    logits = w["conv3d_0c_1x1.conv3d.weight"][:, :, 0, 0, 0] @ x.mean(dim=(2, 3, 4)).T
    return logits.T + w["conv3d_0c_1x1.conv3d.bias"]
