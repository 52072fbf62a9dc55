"""ArcFace's embedder on IR-SE50 as InsightFace_Pytorch published it: our modules have its names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import groupby

from segtalker.errors import WeightsError
from segtalker.models.frozen.arcface import ArcFaceConfig
from segtalker.weights.checkpoint import network_shapes
from segtalker.weights.convert.layout import Layout
from segtalker.weights.convert.table import KeyTable, Shape, identity_table

_STAGES = 4
_REDUCTION = 16
"""Of a picture's side, by the four stages."""


def embedder(shapes: Mapping[str, Shape], place: str) -> tuple[ArcFaceConfig, KeyTable]:
    """Configuration and table for an embedder of any depth and width, read from its shapes."""
    widths: list[int] = []
    while (name := f"body.{len(widths)}.res_layer.1.weight") in shapes:
        widths.append(shapes[name][0])
    stages = [(width, len(list(units))) for width, units in groupby(widths)]
    if len(stages) != _STAGES:
        raise WeightsError(f"{place}: an IR-SE body of {len(stages)} widths, expected {_STAGES}.")
    (w1, u1), (w2, u2), (w3, u3), (w4, u4) = stages
    embedding_dim, num_features = shapes["output_layer.3.weight"]
    cfg = ArcFaceConfig(
        input_size=_REDUCTION * math.isqrt(num_features // w4),
        stem=shapes["input_layer.0.weight"][0],
        widths=(w1, w2, w3, w4),
        units=(u1, u2, u3, u4),
        embedding_dim=embedding_dim,
    )
    return cfg, identity_table(network_shapes("identity", cfg))


LAYOUTS = (
    Layout(
        "ArcFace on IR-SE",
        "identity",
        ("",),
        ("input_layer.0.weight", "body.0.res_layer.5.fc1.weight", "output_layer.3.weight"),
        lambda shapes, settings, place: embedder(shapes, place),
        lambda cfg: "irse50" if cfg == ArcFaceConfig() else "irse",
    ),
)
