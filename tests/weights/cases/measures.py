"""The networks that judge: lip sync, perceptual distance, and the features of FID and FVD."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.weights import faces_reference, published
from tests.weights import metrics_reference as reference
from tests.weights.cases.case import Case, Cases, Pairs, at_unit_scale, uniform
from tests.weights.convert import official_faces
from tests.weights.convert import official_metrics as official
from tests.weights.convert.official import Shapes


def cases(full: bool) -> Cases:
    """Rows `syncnet_v2`, `wav2lip_expert`, `lpips_{alex,vgg}`, `inception_fid`, `i3d_fvd`."""
    return {
        "syncnet_v2": _syncnet_v2(full),
        "wav2lip_expert": _wav2lip_expert(full),
        "lpips_alex": _lpips("alex", official_faces.alexnet(), full),
        "lpips_vgg": _lpips("vgg", official_faces.vgg16(), full),
        "inception_fid": _inception(full),
        "i3d_fvd": _i3d(full),
    }


def _syncnet_v2(full: bool) -> Case:
    drawn = partial(official.drawn, official.syncnet_v2(1 if full else 32))

    def outputs(net: Any) -> Pairs:
        windows, mfcc = 255 * uniform(2, 3, 5, 224, 224), 10 * uniform(2, 1, 13, 20)
        w = reference.doubles(drawn())
        faces, speech = reference.syncnet_v2(w, windows.double(), mfcc.double())
        yield at_unit_scale(net.embed_faces(windows), faces)  # as large as the pixels that it sees
        yield at_unit_scale(net.embed_speech(mfcc), speech)

    looks_like = "syncnet_v2" if full else "syncnet"
    return Case(official.syncnet_v2(), lambda path: torch.save(drawn(), path), outputs, looks_like)


def _wav2lip_expert(full: bool) -> Case:
    drawn = partial(official.drawn, official.lip_expert(1 if full else 8))

    def write(path: Path) -> None:
        state = published.in_parallel(drawn())
        torch.save({"state_dict": state, "optimizer": {"state": {}}, "global_step": 1}, path)

    def outputs(net: Any) -> Pairs:
        windows, mel = uniform(4, 15, 48, 96), 8 * uniform(4, 1, 80, 16) - 4
        expected = reference.lip_expert(reference.doubles(drawn()), windows.double(), mel.double())
        yield net.probability(net.embed_masks(windows), net.embed_mel(mel)), expected

    return Case(official.lip_expert(), write, outputs, "wav2lip_expert" if full else "lip_expert")


def _lpips(net_name: str, shapes: Shapes, full: bool) -> Case:
    def drawn() -> dict[str, Tensor]:
        if full:
            return official_faces.drawn(shapes, 5)
        trunk = {name: shape for name, shape in shapes.items() if name.startswith("features.")}
        dropped = {name: torch.zeros(1) for name in shapes if name not in trunk}  # really up to 0.5 GB
        return {**official_faces.drawn(trunk, 5), **dropped}

    def outputs(net: Any) -> Pairs:
        one, noise = (2 * uniform(4, 3, *(2 * [224 if full else 48])) - 1).split(2)
        other = one + torch.tensor([0.1, 1.0])[:, None, None, None] * (noise - one)  # one near, one far
        trunk, heads = map(faces_reference.doubles, (drawn(), _installed_heads(net_name)))
        yield net(one, other), faces_reference.lpips(trunk, heads, one.double(), other.double())

    return Case(shapes, lambda path: torch.save(drawn(), path), outputs, f"lpips_{net_name}")


def _installed_heads(net_name: str) -> Mapping[str, Tensor]:
    """LPIPS' heads, which come with its package."""
    package = importlib.util.find_spec("lpips")
    assert package is not None and package.origin is not None, "pip install 'segtalker[metrics]'"
    path = Path(package.origin).parent / "weights" / "v0.1" / f"{net_name}.pth"
    return torch.load(path, map_location="cpu", weights_only=True)


def _inception(full: bool) -> Case:
    drawn = partial(official.drawn, official.inception(1 if full else 16))

    def outputs(net: Any) -> Pairs:
        side = 299 if full else 107  # any size passes; the smaller ends in 2 x 2
        pictures = 2 * uniform(2, 3, side, side) - 1
        yield net(pictures), reference.inception(reference.doubles(drawn()), pictures.double())

    looks_like = "inception_fid" if full else "inception"
    return Case(official.inception(), lambda path: torch.save(drawn(), path), outputs, looks_like)


def _i3d(full: bool) -> Case:
    small = official.i3d(thin=8, classes=5)
    drawn = partial(official.drawn, official.i3d() if full else small)

    def write(path: Path) -> None:
        torch.jit.save(published.scripted(drawn()), str(path))

    def outputs(net: Any) -> Pairs:
        videos = 2 * uniform(1, 3, 16, 224, 224) - 1
        yield net(videos), reference.i3d(reference.doubles(drawn()), videos.double())

    return Case(official.i3d(), write, outputs, "i3d_fvd" if full else "i3d")
