"""Networks that find StyleGAN2 codes of a picture: region by region (E4S, arXiv 2211.14068) and whole (pSp).

E4S is our SGI with the encoder `e4s`: its modules gave ours their names, only the first word of a key
differs. Its file holds the network as it was trained (`state_dict`, with which its authors render) and
averaged (`state_dict_ema`, taken first here; its noise images are other draws of the same normal numbers),
the mean code once for both, and the discriminator.

pSp (arXiv 2008.00951) has IR-SE50 with a pyramid, our encoder `psp_fpn`; the 18 heads after it give one code
for the whole picture and find no place here. Its decoder is a plain StyleGAN2 generator.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from segtalker.errors import WeightsError
from segtalker.models.discriminator import DiscriminatorConfig
from segtalker.models.sgi import SGIConfig
from segtalker.models.style_encoder import StyleEncoderConfig
from segtalker.models.stylegan2 import SynthesisConfig
from segtalker.weights.checkpoint import network_shapes
from segtalker.weights.convert.layout import Layout
from segtalker.weights.convert.stylegan2 import LATENT_AVG, rosinality_discriminator, rosinality_generator
from segtalker.weights.convert.table import Dropped, Entry, KeyTable, Shape, identity_table, same_shape

Shapes = Mapping[str, Shape]
V = TypeVar("V")

_OFFICIAL = {"encoder.": "encoder.", "mlps.": "MLPs.", "generator.": "G."}
"""First word of our keys to E4S's."""
HEADS = Dropped(r"styles\..+", "one code for the whole picture; SGI averages the features region by region")


def e4s(shapes: Shapes, _: Mapping[str, Any], place: str) -> tuple[SGIConfig, KeyTable]:
    """Configuration and table for a region-wise inversion, `latent_avg` [L, D] included."""
    generator, inner = rosinality_generator(_below("G.", shapes), place)
    num_codes = shapes["MLPs.0.mlp.2.weight"][0] // generator.style_dim
    cfg = SGIConfig(
        encoder=_encoder_size(StyleEncoderConfig.e4s(), _below("encoder.", shapes), place),
        generator=replace(generator, mask_until_res=_masked_until(num_codes, generator, place)),
        mlp_hidden=shapes["MLPs.0.mlp.0.weight"][0],
        num_regions=sum(re.fullmatch(r"MLPs\.\d+\.mlp\.0\.weight", name) is not None for name in shapes),
    )
    ours = network_shapes("sgi", cfg)
    constants = {f"G.{name}": value for name, value in inner.constants.items()}
    return cfg, KeyTable(same_shape(((_official(name), name) for name in ours), ours), constants)


def psp_encoder(shapes: Shapes, _: Mapping[str, Any], place: str) -> tuple[StyleEncoderConfig, KeyTable]:
    """Configuration and table for pSp's encoder without its heads."""
    cfg = _encoder_size(StyleEncoderConfig(), shapes, place)
    return cfg, identity_table(network_shapes("style_encoder", cfg), (HEADS,))


def psp_decoder(shapes: Shapes, _: Mapping[str, Any], place: str) -> tuple[SynthesisConfig, KeyTable]:
    """Configuration and table for pSp's generator; its mean code stands there once a layer, [L, D]."""
    cfg, table = rosinality_generator({k: v for k, v in shapes.items() if k != LATENT_AVG}, place)
    if LATENT_AVG not in shapes:
        return cfg, table
    mean = (cfg.num_layers, cfg.style_dim)
    return cfg, replace(table, entries=(*table.entries, Entry(LATENT_AVG, LATENT_AVG, mean, mean)))


def _encoder_size(published: StyleEncoderConfig, shapes: Shapes, place: str) -> StyleEncoderConfig:
    """`published` at the widths in `shapes`; the number of units is no matter of shapes and stays."""
    found = sum(re.fullmatch(r"body\.\d+\.res_layer\.1\.weight", name) is not None for name in shapes)
    if found != sum(published.units):
        raise WeightsError(f"{place}: an encoder of {found} units, expected {sum(published.units)}.")
    a, b, c, _ = published.units
    first, second, third, fourth = (
        shapes[f"body.{index}.res_layer.1.weight"][0] for index in (0, a, a + b, a + b + c)
    )
    return replace(published, stem=shapes["input_layer.0.weight"][0], widths=(first, second, third, fourth))


def _masked_until(num_codes: int, generator: SynthesisConfig, place: str) -> int:
    """`mask_until_res` of MLPs that give `num_codes` codes: two a size and one for the next RGB layer."""
    if num_codes == generator.num_layers:
        return 0
    size = 1 << (num_codes + 3) // 2
    if num_codes % 2 == 0 or not 8 <= size < generator.size:
        raise WeightsError(
            f"{place}: {num_codes} codes a region for {generator.num_layers} layers: they end in the middle "
            "of a resolution, which no published network does."
        )
    return size


def _official(name: str) -> str:
    """E4S's name of a tensor of SGI."""
    first = next((ours for ours in _OFFICIAL if name.startswith(ours)), "")
    return _OFFICIAL.get(first, "") + name.removeprefix(first)


def _below(prefix: str, values: Mapping[str, V]) -> dict[str, V]:
    """One part of a network, by its own names."""
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _e4s_row(cfg: SGIConfig) -> str:
    return "e4s" if cfg == SGIConfig.e4s() else f"e4s_{cfg.size}"


def _e4s_discriminator_row(cfg: DiscriminatorConfig) -> str:
    return "e4s_d" if cfg == DiscriminatorConfig() else f"e4s_{cfg.size}_d"


def _psp_row(cfg: StyleEncoderConfig) -> str:
    return "psp_ffhq" if cfg == StyleEncoderConfig() else "psp"


LAYOUTS = (
    Layout(
        "Region-wise inversion (E4S)",
        "sgi",
        ("state_dict_ema", "state_dict"),
        ("encoder.input_layer.0.weight", "MLPs.0.mlp.2.weight", "G.input.input"),
        e4s,
        _e4s_row,
        beside=(LATENT_AVG,),
    ),
    Layout(
        "Discriminator of the region-wise inversion (E4S)",
        "discriminator",
        ("D_state_dict",),
        ("convs.0.0.weight", "convs.1.skip.1.weight", "final_linear.1.weight"),
        lambda shapes, _, place: rosinality_discriminator(shapes, place),
        _e4s_discriminator_row,
        anywhere=False,
    ),
    Layout(
        "pSp encoder",
        "style_encoder",
        ("state_dict",),
        ("latlayer1.weight", "latlayer2.weight", "styles.0.linear.weight"),
        psp_encoder,
        _psp_row,
        own_keys=partial(_below, "encoder."),
    ),
    Layout(
        "pSp decoder (a StyleGAN2 generator)",
        "generator",
        ("state_dict",),
        ("input.input", "conv1.conv.modulation.weight", "to_rgb1.conv.modulation.weight"),
        psp_decoder,
        lambda cfg: "psp_decoder",
        beside=(LATENT_AVG,),
        own_keys=partial(_below, "decoder."),
    ),
)
