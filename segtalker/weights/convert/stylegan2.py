"""StyleGAN2's generator and discriminator: two published layouts, and ours.

The common PyTorch port (rosinality) gave our modules their names, so that its tensors load by identity.
NVIDIA's PyTorch networks hold the same values under other names (`synthesis.b64.conv0.affine.weight`) and
without dimensions of size 1. Both carry the filter of up- and down-sampling as buffers, which we compute.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from segtalker.errors import WeightsError
from segtalker.models.discriminator import DiscriminatorConfig
from segtalker.models.stylegan2.layers import BLUR_TAPS
from segtalker.models.stylegan2.synthesis import SynthesisConfig
from segtalker.weights.checkpoint import network_shapes
from segtalker.weights.convert.layout import Layout
from segtalker.weights.convert.table import Entry, KeyTable, Shape, same_shape

Shapes = Mapping[str, Shape]

LATENT_AVG = "latent_avg"
_LARGEST_SIZE = 4096


def rosinality_generator(shapes: Shapes, place: str) -> tuple[SynthesisConfig, KeyTable]:
    """Configuration and table for a generator of the PyTorch port, `latent_avg` too where it is there."""
    blocks = _count(r"to_rgbs\.(\d+)\.bias", shapes)
    channels = {4: shapes["conv1.conv.weight"][1]}
    channels |= {8 << k: shapes[f"convs.{2 * k + 1}.conv.weight"][1] for k in range(blocks)}
    base, most = channel_rule(channels, place)
    cfg = SynthesisConfig(
        size=_size(blocks, place),
        style_dim=shapes["conv1.conv.modulation.weight"][1],
        channel_base=base,
        channel_max=most,
        num_mapping_layers=_count(r"style\.(\d+)\.weight", shapes),
    )
    constants = {f"convs.{2 * k}.conv.blur.kernel": _kernel(4.0) for k in range(blocks)}
    constants |= {f"to_rgbs.{k}.upsample.kernel": _kernel(4.0) for k in range(blocks)}
    ours = _generator_shapes(cfg)
    names = [name for name in ours if name != LATENT_AVG or LATENT_AVG in shapes]
    return cfg, KeyTable(same_shape(((name, name) for name in names), ours), constants)


def rosinality_discriminator(shapes: Shapes, place: str) -> tuple[DiscriminatorConfig, KeyTable]:
    """Configuration and table for a discriminator of the PyTorch port."""
    blocks = _count(r"convs\.(\d+)\.skip\.1\.weight", shapes)
    size = _size(blocks, place)
    channels = {size: shapes["convs.0.0.weight"][0]}
    channels |= {size >> i: shapes[f"convs.{i}.conv2.1.weight"][0] for i in range(1, blocks + 1)}
    base, most = channel_rule(channels, place)
    cfg = DiscriminatorConfig(size=size, channel_base=base, channel_max=most)
    kernels = ("conv2.0.kernel", "skip.0.kernel")
    constants = {f"convs.{i}.{name}": _kernel() for i in range(1, blocks + 1) for name in kernels}
    ours = network_shapes("discriminator", cfg)
    return cfg, KeyTable(same_shape(((name, name) for name in ours), ours), constants)


def nvidia_generator(shapes: Shapes, place: str) -> tuple[SynthesisConfig, KeyTable]:
    """Configuration and table for a generator of NVIDIA's PyTorch code."""
    sizes = _resolutions(r"synthesis\.b(\d+)\.conv1\.weight", shapes)
    base, most = channel_rule({r: shapes[f"synthesis.b{r}.conv1.weight"][0] for r in sizes}, place)
    cfg = SynthesisConfig(
        size=_size(len(sizes) - 1, place),
        style_dim=shapes["synthesis.b4.conv1.affine.weight"][1],
        channel_base=base,
        channel_max=most,
        num_mapping_layers=_count(r"mapping\.fc(\d+)\.weight", shapes),
    )
    ours = _generator_shapes(cfg)
    entries = tuple(
        Entry(official, name, _without_ones(name, ours[name]), ours[name])
        for official, name in _nvidia_generator_names(cfg)
    )
    parts = [f"b{r}{part}" for r in sizes for part in ("", ".conv0", ".conv1") if (r, part) != (4, ".conv0")]
    return cfg, KeyTable(entries, {f"synthesis.{part}.resample_filter": _kernel() for part in parts})


def nvidia_discriminator(shapes: Shapes, place: str) -> tuple[DiscriminatorConfig, KeyTable]:
    """Configuration and table for a discriminator of NVIDIA's PyTorch code."""
    sizes = _resolutions(r"b(\d+)\.skip\.weight", shapes)
    size = _size(len(sizes), place)
    channels = {size: shapes[f"b{size}.fromrgb.weight"][0]}
    channels |= {r // 2: shapes[f"b{r}.conv1.weight"][0] for r in sizes}
    base, most = channel_rule(channels, place)
    cfg = DiscriminatorConfig(size=size, channel_base=base, channel_max=most)
    pairs = [(f"b{size}.fromrgb.weight", "convs.0.0.weight"), (f"b{size}.fromrgb.bias", "convs.0.1.bias")]
    for index, r in enumerate(sorted(sizes, reverse=True), start=1):
        block, ours = f"b{r}", f"convs.{index}"
        pairs += [(f"{block}.conv0.weight", f"{ours}.conv1.0.weight")]
        pairs += [(f"{block}.conv0.bias", f"{ours}.conv1.1.bias")]
        pairs += [(f"{block}.conv1.weight", f"{ours}.conv2.1.weight")]
        pairs += [(f"{block}.conv1.bias", f"{ours}.conv2.2.bias")]
        pairs += [(f"{block}.skip.weight", f"{ours}.skip.1.weight")]
    pairs += [("b4.conv.weight", "final_conv.0.weight"), ("b4.conv.bias", "final_conv.1.bias")]
    for theirs, mine in (("fc", "final_linear.0"), ("out", "final_linear.1")):
        pairs += [(f"b4.{theirs}.{kind}", f"{mine}.{kind}") for kind in ("weight", "bias")]
    parts = [f"b{r}{part}" for r in sizes for part in ("", ".conv0", ".conv1", ".skip")]
    parts += [f"b{size}.fromrgb", "b4.conv"]
    constants = {f"{part}.resample_filter": _kernel() for part in parts}
    return cfg, KeyTable(same_shape(pairs, network_shapes("discriminator", cfg)), constants)


def channel_rule(channels: Mapping[int, int], place: str) -> tuple[int, int]:
    """(base, most) of the rule channels(r) = min(most, base // r) that StyleGAN2's widths follow."""
    most, largest = channels[4], max(channels)
    narrow = [size for size, count in channels.items() if count < most]
    base = narrow[-1] * channels[narrow[-1]] if narrow else most * largest
    if any(min(most, base // size) != count for size, count in channels.items()):
        raise WeightsError(f"{place}: widths {dict(channels)} do not halve as StyleGAN2's do.")
    return base, most


def _nvidia_generator_names(cfg: SynthesisConfig) -> Iterator[tuple[str, str]]:
    for index in range(cfg.num_mapping_layers):
        yield from ((f"mapping.fc{index}.{kind}", f"style.{index + 1}.{kind}") for kind in ("weight", "bias"))
    yield "mapping.w_avg", LATENT_AVG
    yield "synthesis.b4.const", "input.input"
    yield from _nvidia_layer("synthesis.b4.conv1", "conv1", 0)
    yield from _nvidia_rgb("synthesis.b4.torgb", "to_rgb1")
    for k in range(int(math.log2(cfg.size)) - 2):
        block = f"synthesis.b{8 << k}"
        yield from _nvidia_layer(f"{block}.conv0", f"convs.{2 * k}", 2 * k + 1)
        yield from _nvidia_layer(f"{block}.conv1", f"convs.{2 * k + 1}", 2 * k + 2)
        yield from _nvidia_rgb(f"{block}.torgb", f"to_rgbs.{k}")


def _nvidia_layer(theirs: str, ours: str, noise: int) -> Iterator[tuple[str, str]]:
    yield from _nvidia_rgb(theirs, ours, f"{ours}.activate.bias")
    yield f"{theirs}.noise_strength", f"{ours}.noise.weight"
    yield f"{theirs}.noise_const", f"noises.noise_{noise}"


def _nvidia_rgb(theirs: str, ours: str, bias: str = "") -> Iterator[tuple[str, str]]:
    yield f"{theirs}.weight", f"{ours}.conv.weight"
    yield f"{theirs}.affine.weight", f"{ours}.conv.modulation.weight"
    yield f"{theirs}.affine.bias", f"{ours}.conv.modulation.bias"
    yield f"{theirs}.bias", bias or f"{ours}.bias"


def _without_ones(name: str, shape: Shape) -> Shape:
    """NVIDIA's shape of one of our tensors."""
    if name.startswith("noises."):
        return shape[2:]
    if name.endswith("noise.weight"):
        return ()
    if name.endswith(".conv.weight") or name == "input.input":
        return shape[1:]
    return (shape[1],) if re.fullmatch(r"to_rgb.*\.bias", name) and len(shape) == 4 else shape


def _generator_shapes(cfg: SynthesisConfig) -> dict[str, Shape]:
    return {**network_shapes("generator", cfg), LATENT_AVG: (cfg.style_dim,)}


def _count(pattern: str, shapes: Shapes) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in shapes)


def _resolutions(pattern: str, shapes: Shapes) -> list[int]:
    """The resolutions that stand in names, rising."""
    found: list[Any] = [re.fullmatch(pattern, name) for name in shapes]
    return sorted(int(match[1]) for match in found if match)


def _size(blocks: int, place: str) -> int:
    size = 4 << blocks if blocks < 32 else 0
    if not 8 <= size <= _LARGEST_SIZE:
        raise WeightsError(f"{place}: a StyleGAN2 with {blocks} blocks, expected 1 to 10.")
    return size


def _kernel(gain: float = 1.0) -> Tensor:
    """The filter [4, 4] of all up- and down-sampling."""
    taps = torch.tensor(BLUR_TAPS)
    return torch.outer(taps, taps) / taps.sum() ** 2 * gain


def _generator_row(cfg: SynthesisConfig) -> str:
    return f"stylegan2_ffhq_{cfg.size}"


def _discriminator_row(cfg: DiscriminatorConfig) -> str:
    return f"stylegan2_ffhq_{cfg.size}_d"


LAYOUTS = (
    Layout(
        "StyleGAN2 generator, layout of the PyTorch port",
        "generator",
        ("g_ema", "params_ema", "", "g"),
        ("input.input", "conv1.conv.modulation.weight", "to_rgb1.conv.modulation.weight"),
        lambda shapes, _, place: rosinality_generator(shapes, place),
        _generator_row,
        beside=(LATENT_AVG,),
    ),
    Layout(
        "StyleGAN2 generator, NVIDIA's layout",
        "generator",
        ("G_ema", "", "G"),
        ("synthesis.b4.const", "synthesis.b4.conv1.affine.weight", "mapping.w_avg"),
        lambda shapes, _, place: nvidia_generator(shapes, place),
        _generator_row,
    ),
    Layout(
        "StyleGAN2 discriminator, layout of the PyTorch port",
        "discriminator",
        ("d", ""),
        ("convs.0.0.weight", "convs.1.skip.1.weight", "final_linear.1.weight"),
        lambda shapes, _, place: rosinality_discriminator(shapes, place),
        _discriminator_row,
    ),
    Layout(
        "StyleGAN2 discriminator, NVIDIA's layout",
        "discriminator",
        ("D", ""),
        ("b8.skip.weight", "b4.conv.weight", "b4.out.weight"),
        lambda shapes, _, place: nvidia_discriminator(shapes, place),
        _discriminator_row,
    ),
)
