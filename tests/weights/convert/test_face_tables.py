"""The tables of the networks that look at faces name every key that was published, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from segtalker.errors import WeightsError
from segtalker.models.frozen.arcface import ArcFaceConfig
from segtalker.models.frozen.bisenet import BiSeNetConfig
from segtalker.models.frozen.lpips import LPIPSConfig
from segtalker.models.frozen.maskgan_unet import ParsingUNetConfig
from segtalker.weights.checkpoint import network_shapes
from segtalker.weights.convert.layout import Match
from segtalker.weights.convert.layouts import recognise
from segtalker.weights.foreign import ForeignFile
from segtalker.weights.pickles.tensors import InMemory
from tests.weights.convert import official_faces
from tests.weights.convert.official import Shapes
from tests.weights.convert.official_faces import COUNTER, drawn

PUBLISHED: dict[str, tuple[Shapes, int, int, Any]] = {
    "bisenet": (official_faces.bisenet(), 191, 13_300_416, BiSeNetConfig()),
    "irse50": (official_faces.irse(), 397, 43_797_696, ArcFaceConfig()),
    "maskgan_unet": (official_faces.maskgan_unet(), 136, 1_944_355, ParsingUNetConfig()),
    "lpips_alex": (official_faces.alexnet(), 16, 61_100_840, LPIPSConfig("alex")),
    "lpips_vgg": (official_faces.vgg16(), 32, 138_357_544, LPIPSConfig("vgg")),
}
"""Row -> keys of the published file, how many, how many parameters, our configuration."""
TINY = {
    "irse": official_faces.irse(8, (8, 16, 24, 32), (1, 2, 2, 1), 2, 12),
    "parsing_unet": official_faces.maskgan_unet((2, 3, 4, 5, 6), 7),
}


def found(values: dict[str, Tensor]) -> Match:
    (match,) = recognise(ForeignFile(Path("net.pth"), {"": {k: InMemory(v) for k, v in values.items()}}))
    return match


def described(shapes: Shapes) -> Match:
    """Without numbers: nothing is as large as it says."""
    return found({name: torch.empty(shape, device="meta") for name, shape in shapes.items()})


@pytest.mark.parametrize("row", PUBLISHED)
def test_a_published_file_is_recognised_and_every_key_has_its_place(row: str):
    shapes, keys, parameters, expected = PUBLISHED[row]
    assert (len(shapes), official_faces.parameters(shapes)) == (keys, parameters)
    match = described(shapes)
    cfg, table = match.plan()
    assert cfg == expected and match.layout.row(cfg) == row
    assert table.differences(shapes) == ([], [])
    used = {name: s for name, s in shapes.items() if not name.endswith(COUNTER) and "classifier" not in name}
    assert {entry.official: entry.official_shape for entry in table.entries} == used
    ours = network_shapes(match.layout.network, cfg)
    heads = {f"lin{level}" for level in range(5)} if "lpips" in row else set()
    assert {name for name in ours if not name.endswith(COUNTER)} == set(used) | heads
    assert all(table.why_dropped(name) for name in shapes if name not in used)


@pytest.mark.parametrize("kind", TINY)
def test_there_and_back_is_exact(kind: str):
    values = drawn(TINY[kind])
    cfg, table = found(values).plan()
    back = table.to_official(found(values).read(cfg, table))
    assert back.keys() == {name for name in values if not name.endswith(COUNTER)}
    assert all(torch.equal(value, values[name]) for name, value in back.items())


@pytest.mark.parametrize("kind", TINY)
def test_what_a_file_lacks_has_too_many_or_has_of_another_shape_is_listed(kind: str):
    values = drawn(TINY[kind])
    bias = next(name for name in values if name.endswith(".bias"))
    mean = next(name for name in values if name.endswith("running_mean"))
    lacking = {name: value for name, value in values.items() if name not in (bias, mean)}
    with pytest.raises(
        WeightsError, match=f"lacks '{min(bias, mean)}', '{max(bias, mean)}', does not know none"
    ):
        _read(lacking)
    with pytest.raises(WeightsError, match=r"lacks none, does not know 'num_batches', 'sp.conv1.weight'"):
        _read({**values, "sp.conv1.weight": torch.zeros(1), "num_batches": torch.zeros(1)})
    with pytest.raises(WeightsError, match=rf"'{bias}' is \[99\], expected .* a network of another shape"):
        _read({**values, bias: torch.zeros(99)})
    with pytest.raises(WeightsError, match=f"'{mean}' holds NaN"):
        _read({**values, mean: values[mean] / 0 * 0})


def test_a_parser_of_other_labels_is_refused():
    shapes = {**official_faces.bisenet(), "conv_out.conv_out.weight": (20, 256, 1, 1)}
    with pytest.raises(
        WeightsError, match=r"'conv_out.conv_out.weight' is \[20, 256, 1, 1\], expected \[19, "
    ):
        match = described(shapes)
        match.read(*match.plan())


def test_a_deeper_embedder_is_no_irse50_and_a_body_of_other_stages_none_at_all():
    match = described(official_faces.irse(units=(3, 13, 30, 3)))
    cfg, _ = match.plan()
    assert cfg.units == (3, 13, 30, 3) and match.layout.row(cfg) == "irse"
    with pytest.raises(WeightsError, match="an IR-SE body of 3 widths, expected 4"):
        described(official_faces.irse(widths=(64, 128, 512, 512))).plan()  # the encoder of E4S
    with pytest.raises(WeightsError, match="of impossible shapes"):
        described({**TINY["irse"], "output_layer.3.weight": (4,)}).plan()


def _read(values: dict[str, Tensor]) -> None:
    match = found(values)
    match.read(*match.plan())
