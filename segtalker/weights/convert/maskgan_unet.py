"""The face parsing U-Net of MaskGAN as CelebAMask-HQ published it: our modules have its names."""

from __future__ import annotations

from collections.abc import Mapping

from segtalker.models.frozen.maskgan_unet import ParsingUNetConfig
from segtalker.weights.checkpoint import network_shapes
from segtalker.weights.convert.layout import Layout
from segtalker.weights.convert.table import KeyTable, Shape, identity_table


def parsing_unet(shapes: Mapping[str, Shape]) -> tuple[ParsingUNetConfig, KeyTable]:
    """Configuration and table for a U-Net of any width, read from its shapes."""
    w1, w2, w3, w4, w5 = (
        shapes[f"{block}.conv1.0.weight"][0] for block in ("conv1", "conv2", "conv3", "conv4", "center")
    )
    cfg = ParsingUNetConfig(widths=(w1, w2, w3, w4, w5), num_classes=shapes["final.weight"][0])
    return cfg, identity_table(network_shapes("parsing_unet", cfg))


LAYOUTS = (
    Layout(
        "MaskGAN's face parsing U-Net",
        "parsing_unet",
        ("",),
        ("conv1.conv1.0.weight", "center.conv1.0.weight", "up_concat1.up.weight"),
        lambda shapes, settings, place: parsing_unet(shapes),
        lambda cfg: "maskgan_unet" if cfg == ParsingUNetConfig() else "parsing_unet",
    ),
)
