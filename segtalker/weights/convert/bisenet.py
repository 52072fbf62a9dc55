"""BiSeNet's face parser as face-parsing.PyTorch published it: our modules have its names."""

from __future__ import annotations

from segtalker.models.frozen.bisenet import BiSeNetConfig
from segtalker.weights.checkpoint import network_shapes
from segtalker.weights.convert.layout import Layout
from segtalker.weights.convert.table import KeyTable, identity_table


def face_parser() -> tuple[BiSeNetConfig, KeyTable]:
    """Configuration and table; there is one size, and its 19 labels are what `regions.merge_raw` reads."""
    cfg = BiSeNetConfig()
    return cfg, identity_table(network_shapes("bisenet", cfg))


LAYOUTS = (
    Layout(
        "BiSeNet face parser",
        "bisenet",
        ("",),
        ("cp.arm16.conv_atten.weight", "ffm.convblk.conv.weight", "conv_out.conv_out.weight"),
        lambda shapes, settings, place: face_parser(),
        lambda cfg: "bisenet",
    ),
)
