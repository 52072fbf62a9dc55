"""Networks that look at faces, from their published equations: tap by tap, in doubles, by official keys.

Shape legend: N batch, C channels, h x w size of a feature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]

ALEX = {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)}
"""AlexNet's convolutions in `features`: place -> stride, padding. All are followed by a ReLU."""
ALEX_POOLS = (2, 5)
VGG_POOLS = (4, 9, 16, 23)


def doubles(values: Weights) -> dict[str, Tensor]:
    return {name: value.double() for name, value in values.items()}


def taps(x: Tensor, kernel: int, stride: int, pad: int, fill: float = 0) -> Iterator[tuple[int, int, Tensor]]:
    """What each place of a kernel sees, [N, C, h', w']."""
    x = F.pad(x, (pad, pad, pad, pad), value=fill)
    rows, columns = ((size - kernel) // stride * stride + 1 for size in x.shape[-2:])
    for i in range(kernel):
        for j in range(kernel):
            yield i, j, x[:, :, i : i + rows : stride, j : j + columns : stride]


def conv(w: Weights, name: str, x: Tensor, stride: int = 1, pad: int = 0) -> Tensor:
    weight = w[f"{name}.weight"]
    total = torch.zeros((), dtype=x.dtype)
    for i, j, seen in taps(x, weight.shape[-1], stride, pad):
        total = total + torch.einsum("oc,nchw->nohw", weight[:, :, i, j], seen)
    return total if f"{name}.bias" not in w else total + w[f"{name}.bias"][:, None, None]


def max_pool(x: Tensor, kernel: int, stride: int, pad: int = 0) -> Tensor:
    return torch.stack([seen for _, _, seen in taps(x, kernel, stride, pad, -torch.inf)]).amax(dim=0)


def norm(w: Weights, name: str, x: Tensor) -> Tensor:
    """Batch norm with its running statistics; channels are the second dimension."""
    mean, var, gain, bias = (
        w[f"{name}.{part}"].view(-1, *[1] * (x.dim() - 2))
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * gain + bias


def relu(x: Tensor) -> Tensor:
    return x.clamp_min(0)


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def mean_of_all(x: Tensor) -> Tensor:
    return x.flatten(2).mean(dim=2)[:, :, None, None]


def nearest(x: Tensor, like: Tensor) -> Tensor:
    for dim in (2, 3):
        old, new = x.shape[dim], like.shape[dim]
        x = x.index_select(dim, torch.arange(new) * old // new)
    return x


def bilinear_corners(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Corner pixels stay corner pixels."""
    for dim, new in ((2, size[0]), (3, size[1])):
        old = x.shape[dim]
        at = torch.arange(new).double() * (old - 1) / (new - 1)
        low = at.floor().long().clamp(max=old - 1)
        high = (low + 1).clamp(max=old - 1)
        share = (at - low).view(-1, *[1] * (3 - dim))
        x = x.index_select(dim, low) * (1 - share) + x.index_select(dim, high) * share
    return x


def bisenet(w: Weights, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of the three heads [N, 19, H, W]; `image` [N, 3, H, W] is normalised."""

    def cbr(name: str, x: Tensor) -> Tensor:
        pad = w[f"{name}.conv.weight"].shape[-1] // 2
        return relu(norm(w, f"{name}.bn", conv(w, f"{name}.conv", x, pad=pad)))

    def refined(name: str, x: Tensor) -> Tensor:
        x = cbr(f"{name}.conv", x)
        return x * sigmoid(norm(w, f"{name}.bn_atten", conv(w, f"{name}.conv_atten", mean_of_all(x))))

    x = max_pool(relu(norm(w, "cp.resnet.bn1", conv(w, "cp.resnet.conv1", image, 2, 3))), 3, 2, 1)
    features = []
    for level in range(1, 5):
        for block in range(2):
            name, stride = f"cp.resnet.layer{level}.{block}", 2 if level > 1 and block == 0 else 1
            y = relu(norm(w, f"{name}.bn1", conv(w, f"{name}.conv1", x, stride, 1)))
            y = norm(w, f"{name}.bn2", conv(w, f"{name}.conv2", y, 1, 1))
            if f"{name}.downsample.0.weight" in w:
                x = norm(w, f"{name}.downsample.1", conv(w, f"{name}.downsample.0", x, stride))
            x = relu(x + y)
        features.append(x)
    _, feature8, feature16, feature32 = features
    average = nearest(cbr("cp.conv_avg", mean_of_all(feature32)), feature32)
    context16 = cbr("cp.conv_head32", nearest(refined("cp.arm32", feature32) + average, feature16))
    context8 = cbr("cp.conv_head16", nearest(refined("cp.arm16", feature16) + context16, feature8))
    joined = cbr("ffm.convblk", torch.cat([feature8, context8], dim=1))
    gate = sigmoid(conv(w, "ffm.conv2", relu(conv(w, "ffm.conv1", mean_of_all(joined)))))
    fused = joined * gate + joined
    heads = (("conv_out", fused), ("conv_out16", context8), ("conv_out32", context16))
    size = (image.shape[2], image.shape[3])
    first, second, third = (
        bilinear_corners(conv(w, f"{name}.conv_out", cbr(f"{name}.conv", x)), size) for name, x in heads
    )
    return first, second, third


def irse(w: Weights, image: Tensor, units: tuple[int, ...] = (3, 4, 14, 3)) -> list[Tensor]:
    """Features after each of the four stages, then unit vectors [N, D]."""

    def prelu(name: str, x: Tensor) -> Tensor:
        return relu(x) + w[f"{name}.weight"][:, None, None] * (x - relu(x))

    x = prelu("input_layer.2", norm(w, "input_layer.1", conv(w, "input_layer.0", image, 1, 1)))
    levels, number = [], 0
    for count in units:
        for index in range(count):
            unit, stride = f"body.{number}", 2 if index == 0 else 1
            y = norm(w, f"{unit}.res_layer.0", x)
            y = prelu(f"{unit}.res_layer.2", conv(w, f"{unit}.res_layer.1", y, 1, 1))
            y = norm(w, f"{unit}.res_layer.4", conv(w, f"{unit}.res_layer.3", y, stride, 1))
            squeezed = relu(conv(w, f"{unit}.res_layer.5.fc1", mean_of_all(y)))
            y = y * sigmoid(conv(w, f"{unit}.res_layer.5.fc2", squeezed))
            if f"{unit}.shortcut_layer.0.weight" in w:
                x = norm(w, f"{unit}.shortcut_layer.1", conv(w, f"{unit}.shortcut_layer.0", x, stride))
            else:
                x = x[:, :, ::stride, ::stride]
            x, number = x + y, number + 1
        levels.append(x)
    flat = norm(w, "output_layer.0", x).flatten(1)
    vector = norm(w, "output_layer.4", flat @ w["output_layer.3.weight"].T + w["output_layer.3.bias"])
    return [*levels, vector / vector.square().sum(dim=1, keepdim=True).sqrt()]


def maskgan_unet(w: Weights, image: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Logits [N, classes, H, W], and the five features on the way down."""

    def double_conv(name: str, x: Tensor) -> Tensor:
        for part in (f"{name}.conv1", f"{name}.conv2"):
            x = relu(norm(w, f"{part}.1", conv(w, f"{part}.0", x, 1, 1)))
        return x

    def doubled(name: str, x: Tensor) -> Tensor:
        """Each pixel becomes 2 x 2."""
        weight = w[f"{name}.weight"]
        out = torch.zeros(x.shape[0], weight.shape[1], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype)
        for i in range(2):
            for j in range(2):
                out[:, :, i::2, j::2] = torch.einsum("co,nchw->nohw", weight[:, :, i, j], x)
        return out + w[f"{name}.bias"][:, None, None]

    down = [double_conv("conv1", image)]
    for name in ("conv2", "conv3", "conv4", "center"):
        down.append(double_conv(name, max_pool(down[-1], 2, 2)))
    x = down[4]
    for level in (4, 3, 2, 1):
        both = torch.cat([down[level - 1], doubled(f"up_concat{level}.up", x)], dim=1)
        x = double_conv(f"up_concat{level}.conv", both)
    return conv(w, "final", x), down


def lpips(trunk: Weights, heads: Weights, image: Tensor, other: Tensor) -> Tensor:
    """Distances [N] of pictures [N, 3, H, W] in [-1, 1]; the trunk is AlexNet's or VGG16's."""
    total = torch.zeros(len(image), dtype=image.dtype)
    for level, (a, b) in enumerate(zip(_levels(trunk, image), _levels(trunk, other), strict=True)):
        units = [x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for x in (a, b)]
        squares = (units[0] - units[1]).square()
        total = total + conv(heads, f"lin{level}.model.1", squares).flatten(1).mean(dim=1)
    return total


def _levels(trunk: Weights, image: Tensor) -> list[Tensor]:
    """Five features: after each of AlexNet's convolutions, before VGG's poolings and at its end."""
    shift = torch.tensor([-0.030, -0.088, -0.188], dtype=image.dtype)[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450], dtype=image.dtype)[:, None, None]
    is_alex = "features.3.weight" in trunk
    weights = [name.split(".") for name in trunk if name.endswith("weight")]
    places = sorted(int(place) for part, place, _ in weights if part == "features")
    ends = places if is_alex else [2, 7, 14, 21, 28]
    x, found = (image - shift) / scale, []
    for place in places:
        stride, pad = ALEX[place] if is_alex else (1, 1)
        x = relu(conv(trunk, f"features.{place}", x, stride, pad))
        if place in ends:
            found.append(x)
        if place + 2 in (ALEX_POOLS if is_alex else VGG_POOLS):
            x = max_pool(x, 3 if is_alex else 2, 2)
    return found
