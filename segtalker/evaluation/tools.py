"""The networks behind the figures, loaded once for many videos, and what is not measured for want of one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from segtalker.evaluation.protocol import EvalProtocol
from segtalker.faces.detect import FaceBackend, load_backend
from segtalker.metrics.mini import RandomFeatures
from segtalker.metrics.networks import MetricNetworks, load_metric_networks
from segtalker.models.frozen.arcface import ArcFace
from segtalker.models.frozen.maskgan_unet import ParsingUNet
from segtalker.models.syncnet import SyncNet
from segtalker.parsing.parse import Parser, load_parser
from segtalker.readiness import metrics, rows_here
from segtalker.weights.checkpoint import load_weights, weights_path

_Net = TypeVar("_Net", bound=nn.Module)
_PUBLISHED = {
    "sync_c": "Sync-C",
    "sync_d": "Sync-D",
    "lpips": "LPIPS",
    "fid": "FID",
    "fvd": "FVD",
    "csim": "CSIM",
}
"""Figure -> the name by which the registry knows what needs a published network."""
_NAMES = {
    "sync": ("sync_c", "sync_d", "sync_offset"),
    "expert": ("expert_confidence", "expert_distance", "expert_offset"),
    "landmarks": ("f_lmd", "m_lmd", "f_lmd_centred", "m_lmd_centred"),
    "image": ("psnr", "ssim"),
    "miou": ("miou",),
    "opening": ("opening", "opening_labels", "leak", "silence", "silence_leak", "closure"),
    "seam": ("seam",),
    "flicker": ("flicker", "flicker_output", "jitter"),
    "mini": ("perceptual_mini", "id_mini", "frechet_mini"),
    "lpips": ("lpips",),
    "csim": ("csim",),
    "fid": ("fid",),
    "fvd": ("fvd",),
}
"""Group of figures -> their names."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What `score_pair` looks through; None switches off what needs it."""

    backend: FaceBackend
    parser: Parser
    expert: SyncNet | None = None
    published: MetricNetworks = field(default_factory=MetricNetworks)
    parsing_unet: ParsingUNet | None = None
    """For perceptual_mini."""
    identity: ArcFace | None = None
    """For id_mini."""
    random: RandomFeatures | None = None
    """For frechet_mini."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Figure that was asked for -> why this machine cannot measure it, and what would change that."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """What measures -> which network: a row of the registry, or the SHA-256 of a file."""

    def measured(self, protocol: EvalProtocol) -> frozenset[str]:
        """Names of the figures of a video or a set that these tools measure under a protocol."""
        wanted = figure_names(protocol.metrics)
        has = {
            "sync_c": self.published.sync, "sync_d": self.published.sync, "sync_offset": self.published.sync,
            "lpips": self.published.lpips, "csim": self.published.embedder, "fid": self.published.fid,
            "fvd": self.published.fvd, "perceptual_mini": self.parsing_unet, "id_mini": self.identity,
            "frechet_mini": self.random, **dict.fromkeys(_NAMES["expert"], self.expert),
        }  # fmt: skip
        return frozenset({name for name in wanted if has.get(name, self) is not None} | {"coverage"})


def figure_names(groups: Iterable[str]) -> frozenset[str]:
    """Names of all figures of groups of a protocol, whether they can be measured here or not."""
    return frozenset(name for group in groups for name in _NAMES[group])


def load_tools(protocol: EvalProtocol, device: str = "cpu") -> Tools:
    """All networks that the protocol asks for and that are here; `WeightsError` where one is damaged."""
    wanted = {_PUBLISHED[name] for name in figure_names(protocol.metrics) if name in _PUBLISHED}
    switches = [switch for switch in metrics(rows_here()) if switch.name in wanted]
    rows = {switch.name: switch.by.name for switch in switches if switch.by is not None}
    mini = protocol.wants("mini")
    files = {
        "expert": weights_path(protocol.expert, "sync_expert") if protocol.wants("expert") else None,
        "perceptual_mini": Path(protocol.parsing_unet) if protocol.parsing_unet and mini else None,
        "id_mini": Path(protocol.identity) if protocol.identity and mini else None,
    }
    absent = {
        figure: " ".join(switch.remedy)
        for switch in switches
        for figure, name in _PUBLISHED.items()
        if name == switch.name and switch.by is None
    }
    if mini and files["perceptual_mini"] is None:
        absent["perceptual_mini"] = "Train segtalker train parsing_unet and set parsing_unet to its weights."
    if mini and files["id_mini"] is None:
        absent["id_mini"] = "Train segtalker train identity and set identity to its weights."
    return Tools(
        backend=load_backend(protocol.faces),
        parser=load_parser(protocol.parser),
        expert=_loaded(files["expert"], "syncnet", SyncNet, device),
        published=load_metric_networks(rows, device),
        parsing_unet=_loaded(files["perceptual_mini"], "parsing_unet", ParsingUNet, device),
        identity=_loaded(files["id_mini"], "identity", ArcFace, device),
        random=RandomFeatures().to(device) if mini else None,
        absent=absent,
        networks=rows | {name: _digest(path) for name, path in files.items() if path is not None},
    )


def _loaded(path: Path | None, network: str, kind: type[_Net], device: str | torch.device) -> _Net | None:
    if path is None:
        return None
    net = load_weights(path, network, device)
    assert isinstance(net, kind)
    return net


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
