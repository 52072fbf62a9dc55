"""The parsers and the embedder of faces; the parsers have one size, and see larger pictures if `full`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.weights import faces_reference as reference
from tests.weights.cases.case import Case, Cases, Pairs, uniform
from tests.weights.convert import official_faces as official


def cases(full: bool) -> Cases:
    """Rows `bisenet`, `maskgan_unet`, `irse50`."""
    return {"bisenet": _bisenet(full), "maskgan_unet": _maskgan_unet(full), "irse50": _irse50(full)}


def _bisenet(full: bool) -> Case:
    shapes = official.bisenet()
    drawn = partial(official.drawn, shapes, 1, 1.0)

    def outputs(net: Any) -> Pairs:
        image = _pictures(1, *((512, 512) if full else (72, 104)))  # 104 is no multiple of 32
        expected = reference.bisenet(reference.doubles(drawn()), image.double())
        yield from zip(net(image), expected, strict=True)

    return Case(shapes, lambda path: _older_format(drawn(), path), outputs, "bisenet")


def _maskgan_unet(full: bool) -> Case:
    shapes = official.maskgan_unet()
    drawn = partial(official.drawn, shapes, 4)

    def outputs(net: Any) -> Pairs:
        image = _pictures(1, *((512, 512) if full else (64, 48)))
        logits, features = reference.maskgan_unet(reference.doubles(drawn()), image.double())
        yield net(image), logits
        yield from zip(net.features(image), features, strict=True)

    return Case(shapes, lambda path: torch.save(drawn(), path), outputs, "maskgan_unet")


def _irse50(full: bool) -> Case:
    units = (3, 4, 14, 3) if full else (1, 2, 2, 1)
    small = official.irse(stem=8, widths=(8, 16, 24, 32), units=units, side=2, embedding=12)
    shapes, gain = (official.irse(), 0.3) if full else (small, 0.5)
    drawn = partial(official.drawn, shapes, 2, gain)

    def outputs(net: Any) -> Pairs:
        image = _pictures(2, *((112, 112) if full else (32, 32)))
        expected = reference.irse(reference.doubles(drawn()), image.double(), units)
        yield from zip(net.features(image), expected, strict=True)

    def write(path: Path) -> None:
        _older_format(drawn(), path)

    return Case(official.irse(), write, outputs, "irse50" if full else "irse")


def _older_format(values: dict[str, Tensor], path: Path) -> None:
    """As PyTorch saved before 1.6, when these files were published."""
    torch.save(values, path, _use_new_zipfile_serialization=False)


def _pictures(count: int, *size: int) -> Tensor:
    return uniform(count, 3, *size) * 2 - 1
