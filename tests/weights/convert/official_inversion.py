"""Names and shapes of E4S and pSp, written down from their descriptions and not from our modules."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tests.weights.convert import official, official_faces
from tests.weights.convert.official import Shapes

UNITS = (3, 4, 14, 3)
"""Of IR-SE50, and of E4S's encoder."""
Widths = tuple[int, int, int, int]


def e4s_encoder(stem: int = 64, widths: Widths = (128, 256, 512, 512)) -> Shapes:
    """Instance norm without parameters: convolutions, PReLU and channel gates alone."""
    shapes: Shapes = {"input_layer.0.weight": (stem, 3, 3, 3), "input_layer.2.weight": (stem,)}
    for index, (before, width) in enumerate(unit_widths(stem, widths)):
        unit, gates = f"body.{index}", max(1, width // 16)
        shapes |= {
            f"{unit}.res_layer.1.weight": (width, before, 3, 3),
            f"{unit}.res_layer.2.weight": (width,),
            f"{unit}.res_layer.3.weight": (width, width, 3, 3),
            f"{unit}.res_layer.5.fc1.weight": (gates, width, 1, 1),
            f"{unit}.res_layer.5.fc2.weight": (width, gates, 1, 1),
        }
        if before != width:
            shapes[f"{unit}.shortcut_layer.0.weight"] = (width, before, 1, 1)
    return shapes


def psp_encoder(stem: int = 64, widths: Widths = (64, 128, 256, 512), heads: int = 18) -> Shapes:
    """IR-SE50, its pyramid, and a head a style layer: 3 read 16 px, 4 read 32 px, the others 64 px."""
    _, fine, middle, coarse = widths
    body = official_faces.irse(stem, widths, UNITS)
    shapes = {name: shape for name, shape in body.items() if not name.startswith("output_layer.")}
    for name, width in (("latlayer1", middle), ("latlayer2", fine)):
        shapes |= {f"{name}.weight": (coarse, width, 1, 1), f"{name}.bias": (coarse,)}
    for head in range(heads):
        size = 16 if head < 3 else 32 if head < 7 else 64
        for step in range(int(math.log2(size))):
            conv = f"styles.{head}.convs.{2 * step}"
            shapes |= {f"{conv}.weight": (coarse, coarse, 3, 3), f"{conv}.bias": (coarse,)}
        shapes |= {f"styles.{head}.linear.weight": (coarse, coarse), f"styles.{head}.linear.bias": (coarse,)}
    return shapes


def e4s(
    size: int = 1024,
    base: int = 32768,
    most: int = 512,
    dim: int = 512,
    mapping: int = 8,
    stem: int = 64,
    widths: Widths = (128, 256, 512, 512),
    hidden: int = 512,
    codes: int = 13,
    regions: int = 12,
) -> Shapes:
    """Encoder, one MLP a region, generator; `latent_avg` is no part of it."""
    shapes = {f"encoder.{name}": shape for name, shape in e4s_encoder(stem, widths).items()}
    for region in range(regions):
        mlp = f"MLPs.{region}.mlp"
        shapes |= {f"{mlp}.0.weight": (hidden, sum(widths[1:])), f"{mlp}.0.bias": (hidden,)}
        shapes |= {f"{mlp}.2.weight": (codes * dim, hidden), f"{mlp}.2.bias": (codes * dim,)}
    generator = official.port_generator(size, base, most, dim, mapping)
    return shapes | {f"G.{name}": shape for name, shape in generator.items()}


def unit_widths(stem: int, widths: Widths) -> list[tuple[int, int]]:
    """(before, width) of every unit."""
    flat = [width for width, count in zip(widths, UNITS, strict=True) for _ in range(count)]
    return list(zip([stem, *flat[:-1]], flat, strict=True))


def drawn(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Random values that keep features near unit size: convolutions by fan-in, statistics about 0 and 1."""
    values = official.drawn(shapes, seed)
    for name, value in values.items():
        part = name.rpartition(".")[2]
        if part == "num_batches_tracked":
            values[name] = torch.tensor(7)
        elif part == "running_var":
            values[name] = 0.5 + value.abs()
        elif name.startswith(("encoder.", "input_layer.", "body.", "latlayer", "styles.")):
            if len(value.shape) == 4:
                values[name] = value / math.sqrt(math.prod(value.shape[1:]))
            elif part == "weight" and len(value.shape) == 1:  # norms and PReLU
                values[name] = 0.5 + 0.25 * value
    return values
