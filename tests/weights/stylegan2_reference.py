"""StyleGAN2 from its equations (arXiv 1912.04958), slow and in double precision, over published tensors.

Nothing here knows our modules. Resampling is done the long way: zeros between samples, padding, then a sum
over the 4 x 4 filter. `Layer` and `RGB` read one layer's tensors from either published layout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
Weights = dict[str, Array]

TAPS = np.array([1.0, 3.0, 3.0, 1.0]) / 8.0
FILTER = np.outer(TAPS, TAPS)


def doubles(tensors: Mapping[str, Tensor]) -> Weights:
    return {name: value.double().numpy() for name, value in tensors.items()}


@dataclass
class Layer:
    weight: Array
    affine: tuple[Array, Array]
    bias: Array
    noise: Array | float = 0.0


def port_layer(w: Weights, name: str, noise: int) -> Layer:
    strength = float(w[f"{name}.noise.weight"][0])
    return Layer(
        w[f"{name}.conv.weight"][0],
        (w[f"{name}.conv.modulation.weight"], w[f"{name}.conv.modulation.bias"]),
        w[f"{name}.activate.bias"],
        strength * w[f"noises.noise_{noise}"][0, 0],
    )


def port_rgb(w: Weights, name: str) -> Layer:
    affine = w[f"{name}.conv.modulation.weight"], w[f"{name}.conv.modulation.bias"]
    return Layer(w[f"{name}.conv.weight"][0], affine, w[f"{name}.bias"].reshape(3))


def nvidia_layer(w: Weights, name: str) -> Layer:
    noise = float(w[f"{name}.noise_strength"]) * w[f"{name}.noise_const"]
    affine = w[f"{name}.affine.weight"], w[f"{name}.affine.bias"]
    return Layer(w[f"{name}.weight"], affine, w[f"{name}.bias"], noise)


def nvidia_rgb(w: Weights, name: str) -> Layer:
    return Layer(
        w[f"{name}.weight"], (w[f"{name}.affine.weight"], w[f"{name}.affine.bias"]), w[f"{name}.bias"]
    )


def synthesis_layers(w: Weights, size: int, layout: str) -> tuple[Array, list[Layer], list[Layer]]:
    """The constant [C, 4, 4], the convolutions and the RGB layers in their order."""
    blocks = int(math.log2(size)) - 2
    if layout == "port":
        convs = [port_layer(w, "conv1", 0)]
        convs += [port_layer(w, f"convs.{i}", i + 1) for i in range(2 * blocks)]
        rgbs = [port_rgb(w, "to_rgb1")] + [port_rgb(w, f"to_rgbs.{k}") for k in range(blocks)]
        return w["input.input"][0], convs, rgbs
    convs, rgbs = [nvidia_layer(w, "synthesis.b4.conv1")], [nvidia_rgb(w, "synthesis.b4.torgb")]
    for k in range(blocks):
        name = f"synthesis.b{8 * 2**k}"
        convs += [nvidia_layer(w, f"{name}.conv0"), nvidia_layer(w, f"{name}.conv1")]
        rgbs.append(nvidia_rgb(w, f"{name}.torgb"))
    return w["synthesis.b4.const"], convs, rgbs


def generate(w: Weights, codes: Array, size: int, layout: str) -> Array:
    """Picture [3, size, size] of style codes [L, D]."""
    x, convs, rgbs = synthesis_layers(w, size, layout)
    x = styled(x, codes[0], convs[0], up=False)
    picture = to_rgb(x, codes[1], rgbs[0])
    for k in range(1, len(rgbs)):
        x = styled(x, codes[2 * k - 1], convs[2 * k - 1], up=True)
        x = styled(x, codes[2 * k], convs[2 * k], up=False)
        picture = to_rgb(x, codes[2 * k + 1], rgbs[k]) + upsampled(picture)
    return picture


def mapped(w: Weights, z: Array, count: int, layout: str) -> Array:
    """Style code [D] of a normal vector [D]."""
    x = z / np.sqrt((z**2).mean() + 1e-8)
    for i in range(count):
        name = f"style.{i + 1}" if layout == "port" else f"mapping.fc{i}"
        x = activated(0.01 * (w[f"{name}.weight"] @ x / math.sqrt(len(x)) + w[f"{name}.bias"]))
    return x


def styled(x: Array, code: Array, layer: Layer, up: bool) -> Array:
    """Modulate, demodulate, convolve, add noise and bias, activate."""
    weight = modulated(layer, code)
    weight = weight / np.sqrt((weight**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
    x = filtered(transposed(x, weight), 4 * FILTER, (1, 1)) if up else convolved(x, weight, 1)
    return activated(x + layer.noise + layer.bias[:, None, None])


def to_rgb(x: Array, code: Array, layer: Layer) -> Array:
    return convolved(x, modulated(layer, code), 0) + layer.bias[:, None, None]


def modulated(layer: Layer, code: Array) -> Array:
    """[O, I, k, k] with every input channel scaled by the style."""
    matrix, offset = layer.affine
    style = matrix @ code / math.sqrt(matrix.shape[1]) + offset
    fan_in = np.prod(layer.weight.shape[1:])
    return layer.weight * style[None, :, None, None] / math.sqrt(fan_in)


def judge(w: Weights, pictures: Array, size: int) -> Array:
    """Logits [N] of pictures [N, 3, size, size] by a discriminator in the port's layout."""
    features = np.stack([judged_blocks(w, picture, size) for picture in pictures])
    groups = min(4, len(features))
    spread = features.reshape(groups, -1, *features.shape[1:])
    deviation = np.sqrt(((spread - spread.mean(axis=0)) ** 2).mean(axis=0) + 1e-8).mean(axis=(1, 2, 3))
    logits = []
    for number, x in enumerate(features):
        x = np.concatenate([x, np.full((1, 4, 4), deviation[number % len(deviation)])])
        x = activated(scaled_conv(x, w["final_conv.0.weight"], 1) + w["final_conv.1.bias"][:, None, None])
        hidden = activated(scaled_linear(x.reshape(-1), w, "final_linear.0"))
        logits.append(scaled_linear(hidden, w, "final_linear.1")[0])
    return np.array(logits)


def by_port_names(values: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """A discriminator in NVIDIA's layout under the port's names, without its filters."""
    names = {
        f"b{size}.fromrgb.weight": "convs.0.0.weight",
        f"b{size}.fromrgb.bias": "convs.0.1.bias",
        "b4.conv.weight": "final_conv.0.weight",
        "b4.conv.bias": "final_conv.1.bias",
        "b4.fc.weight": "final_linear.0.weight",
        "b4.fc.bias": "final_linear.0.bias",
        "b4.out.weight": "final_linear.1.weight",
        "b4.out.bias": "final_linear.1.bias",
    }
    for number in range(1, int(math.log2(size)) - 1):
        block = f"b{size >> (number - 1)}"
        names |= {
            f"{block}.conv0.weight": f"convs.{number}.conv1.0.weight",
            f"{block}.conv0.bias": f"convs.{number}.conv1.1.bias",
            f"{block}.conv1.weight": f"convs.{number}.conv2.1.weight",
            f"{block}.conv1.bias": f"convs.{number}.conv2.2.bias",
            f"{block}.skip.weight": f"convs.{number}.skip.1.weight",
        }
    return {names[name]: value for name, value in values.items() if name in names}


def judged_blocks(w: Weights, x: Array, size: int) -> Array:
    x = activated(scaled_conv(x, w["convs.0.0.weight"], 0) + w["convs.0.1.bias"][:, None, None])
    for i in range(1, int(math.log2(size)) - 1):
        name = f"convs.{i}"
        y = activated(
            scaled_conv(x, w[f"{name}.conv1.0.weight"], 1) + w[f"{name}.conv1.1.bias"][:, None, None]
        )
        y = scaled_conv(filtered(y, FILTER, (2, 2)), w[f"{name}.conv2.1.weight"], 0, stride=2)
        y = activated(y + w[f"{name}.conv2.2.bias"][:, None, None])
        skip = scaled_conv(filtered(x, FILTER, (1, 1)), w[f"{name}.skip.1.weight"], 0, stride=2)
        x = (y + skip) / math.sqrt(2)
    return x


def scaled_conv(x: Array, weight: Array, pad: int, stride: int = 1) -> Array:
    return convolved(x, weight / math.sqrt(np.prod(weight.shape[1:])), pad, stride)


def scaled_linear(x: Array, w: Weights, name: str) -> Array:
    return w[f"{name}.weight"] @ x / math.sqrt(len(x)) + w[f"{name}.bias"]


def activated(x: Array) -> Array:
    return np.where(x > 0, x, 0.2 * x) * math.sqrt(2)


def convolved(x: Array, weight: Array, pad: int, stride: int = 1) -> Array:
    """Correlation of [I, H, W] with [O, I, k, k]."""
    k = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    height, width = ((side - k) // stride * stride + 1 for side in padded.shape[1:])
    out: Array | float = 0.0
    for i in range(k):
        for j in range(k):
            seen = padded[:, i : i + height : stride, j : j + width : stride]
            out = out + np.tensordot(weight[:, :, i, j], seen, axes=1)
    return np.asarray(out)


def transposed(x: Array, weight: Array) -> Array:
    """Every pixel (i, j) lays the kernel down at (2i, 2j): [O, 2H + 1, 2W + 1]."""
    _, height, width = x.shape
    out = np.zeros((len(weight), 2 * height + 1, 2 * width + 1))
    for m in range(3):
        for n in range(3):
            tap = np.tensordot(weight[:, :, m, n], x, axes=1)
            out[:, m : m + 2 * height : 2, n : n + 2 * width : 2] += tap
    return out


def filtered(x: Array, kernel: Array, pad: tuple[int, int]) -> Array:
    """[C, H, W] padded by (before, after) on both axes, every channel summed over the filter."""
    padded = np.pad(x, ((0, 0), pad, pad))
    height, width = padded.shape[1] - 3, padded.shape[2] - 3
    return sum(kernel[i, j] * padded[:, i : i + height, j : j + width] for i in range(4) for j in range(4))


def upsampled(x: Array) -> Array:
    """Twice the size: zeros between the samples, then the filter."""
    stuffed = np.zeros((len(x), 2 * x.shape[1], 2 * x.shape[2]))
    stuffed[:, ::2, ::2] = x
    return filtered(stuffed, 4 * FILTER, (2, 1))
