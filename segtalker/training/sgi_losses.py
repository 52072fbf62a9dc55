"""The generator's objective of SGI (arXiv 2409.03605, eq. (8)-(13)) and the networks that it looks through.

A term whose pretrained network is not given is off, and the run says so by name. Networks that we trained on
the synthetic corpus stand in under their own names (`perceptual_mini`, `parsing_mini`, `id_mini`).
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from segtalker.errors import WeightsError
from segtalker.losses.identity import arcface_crop, identity_loss
from segtalker.losses.parsing import parsing_loss
from segtalker.losses.perceptual import (
    feature_distance,
    gradient_l1,
    l2_loss,
    multi_scale_distance,
    pyramid_l1,
)
from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.models.frozen.lpips import LPIPS, LPIPSNet
from segtalker.models.frozen.maskgan_unet import ParsingUNet, ParsingUNetConfig
from segtalker.regions import NUM_REGIONS, Region
from segtalker.training.weights_uri import local_weights
from segtalker.weights.checkpoint import load_weights

_DETAIL = (Region.LIP, Region.EYEBROWS, Region.EYES, Region.MOUTH, Region.EYE_GLASS)


@dataclass(frozen=True, kw_only=True)
class SGILossConfig:
    """Every weight of the objective; the defaults are the paper's."""

    l2_weight: float = 1.0
    lpips_weight: float = 0.8
    id_weight: float = 0.1
    parsing_weight: float = 0.1
    adv_weight: float = 0.01
    perceptual_mini_weight: float = 0.0
    parsing_mini_weight: float = 0.0
    id_mini_weight: float = 0.0
    pyramid_weight: float = 0.0
    """Of the mean absolute error at full, half and quarter size."""
    gradient_weight: float = 0.0
    """Of the error of neighbour differences, for sharp edges."""
    detail_weight: float = 1.0
    """Of pixels of lips, mouth, eyes, brows and glasses in L2 and the gradient term."""
    background_weight: float = 1.0
    """Of background pixels there."""
    lpips_sizes: tuple[int, ...] = (1024, 512, 256)
    id_multi_level: bool = False
    parsing_multi_level: bool = False
    adv_start_step: int = 0
    """Adversarial training begins here; before, the discriminator rests too."""
    d_every: int = 1
    """The discriminator learns every so many steps."""
    r1_gamma: float = 10.0
    """0 switches R1 off."""
    r1_every: int = 16
    """Steps of the discriminator between two R1 penalties."""

    @property
    def adversarial(self) -> bool:
        """Whether there is a discriminator at all."""
        return self.adv_weight > 0


@dataclass(frozen=True, kw_only=True)
class LossNetworksConfig:
    """Files of the frozen networks, paths or URIs; None leaves their terms out."""

    lpips_net: LPIPSNet = "alex"
    lpips_trunk: str | None = None
    """torchvision state dict of AlexNet or VGG16; the heads come with the installed `lpips` package."""
    arcface: str | None = None
    """Published IR-SE50 state dict."""
    parsing_unet: str | None = None
    """Published MaskGAN U-Net state dict."""
    parsing_mini: str | None = None
    """Our own parsing U-Net: gives `parsing_mini` and the features of `perceptual_mini`."""
    id_mini: str | None = None
    """Our own identity embedder."""


class SGILosses(nn.Module):
    """All terms of the generator but the adversarial one; `notes` says which are off, and why."""

    def __init__(self, cfg: SGILossConfig, networks: LossNetworksConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.notes: list[str] = []
        self.lpips = self._network(
            "lpips", cfg.lpips_weight, networks.lpips_trunk, lambda path: load_lpips(path, networks.lpips_net)
        )
        self.arcface = self._network("id", cfg.id_weight, networks.arcface, load_arcface)
        self.unet = self._network("parsing", cfg.parsing_weight, networks.parsing_unet, load_parsing_unet)
        self.unet_mini = self._network(
            "perceptual_mini and parsing_mini",
            max(cfg.perceptual_mini_weight, cfg.parsing_mini_weight),
            networks.parsing_mini,
            lambda path: load_weights(path, "parsing_unet"),
        )
        self.embedder_mini = self._network(
            "id_mini", cfg.id_mini_weight, networks.id_mini, lambda path: load_weights(path, "identity")
        )
        self.requires_grad_(False).eval()

    def forward(self, pred: Tensor, target: Tensor, target_map: Tensor) -> dict[str, Tensor]:
        """Each term by name, unweighted, and `loss`, their weighted sum.

        pred, target: images [N, 3, S, S] in [-1, 1]; target_map: region map [N, S, S].
        """
        cfg = self.cfg
        weights = self._pixel_weights(target_map)
        terms: dict[str, tuple[float, Tensor]] = {"l2": (cfg.l2_weight, l2_loss(pred, target, weights))}
        if cfg.pyramid_weight:
            terms["pyramid"] = cfg.pyramid_weight, pyramid_l1(pred, target)
        if cfg.gradient_weight:
            terms["gradient"] = cfg.gradient_weight, gradient_l1(pred, target, weights)
        if self.lpips is not None:
            distance = multi_scale_distance(self.lpips, pred, target, cfg.lpips_sizes)
            terms["lpips"] = cfg.lpips_weight, distance
        if self.arcface is not None:
            levels = _features(self.arcface, arcface_crop(pred), arcface_crop(target))
            terms["id"] = cfg.id_weight, identity_loss(*levels, cfg.id_multi_level)
        if self.unet is not None:
            levels = _features(self.unet, pred, target)
            terms["parsing"] = cfg.parsing_weight, parsing_loss(*levels, cfg.parsing_multi_level)
        if self.unet_mini is not None:
            levels = _features(self.unet_mini, pred, target)
            terms["perceptual_mini"] = cfg.perceptual_mini_weight, feature_distance(*levels)
            terms["parsing_mini"] = cfg.parsing_mini_weight, parsing_loss(*levels)
        if self.embedder_mini is not None:
            levels = _features(self.embedder_mini, pred, target)
            terms["id_mini"] = cfg.id_mini_weight, identity_loss(*levels)
        loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
        return {"loss": loss, **{name: value for name, (_, value) in terms.items()}}

    def train(self, mode: bool = True) -> SGILosses:
        """Frozen networks stay in evaluation mode."""
        return super().train(False)

    def _network(
        self, term: str, weight: float, path: str | None, build: Callable[[Path], nn.Module]
    ) -> nn.Module | None:
        if not weight:
            return None
        if path is None:
            self.notes.append(f"loss term {term} is off: no weights of its network are given (`networks`).")
            return None
        return build(local_weights(path))

    def _pixel_weights(self, region_map: Tensor) -> Tensor | None:
        """[N, 1, S, S], None where all pixels count alike."""
        cfg = self.cfg
        if cfg.detail_weight == cfg.background_weight == 1.0:
            return None
        table = torch.ones(NUM_REGIONS, device=region_map.device)
        table[list(_DETAIL)] = cfg.detail_weight
        table[Region.BACKGROUND] = cfg.background_weight
        return table[region_map.long()][:, None]


def load_lpips(path: Path, net: LPIPSNet) -> LPIPS:
    """LPIPS from a torchvision trunk and the heads in the installed `lpips` package, never imported."""
    spec = importlib.util.find_spec("lpips")
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError("LPIPS: its heads come with a package: pip install 'segtalker[metrics]'.")
    heads = Path(spec.submodule_search_locations[0]) / "weights" / "v0.1" / f"{net}.pth"
    module = LPIPS(net)
    try:
        module.load(_state_dict(path), _state_dict(heads))
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"{path}: not a torchvision {net} trunk. Give alexnet or vgg16.") from error
    return module


def load_arcface(path: Path) -> ArcFace:
    """Published IR-SE50 weights; older files lack the batch counters."""
    return _filled(ArcFace(ArcFaceConfig()), path, "IR-SE50")


def load_parsing_unet(path: Path) -> ParsingUNet:
    """Published MaskGAN U-Net weights."""
    return _filled(ParsingUNet(ParsingUNetConfig()), path, "MaskGAN U-Net")


Net = TypeVar("Net", bound=nn.Module)


def _filled(net: Net, path: Path, what: str) -> Net:
    fresh = net.state_dict()
    counters = {name: fresh[name] for name in fresh if name.endswith("num_batches_tracked")}
    try:
        net.load_state_dict({**counters, **_state_dict(path)})
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(f"{path}: not the weights of {what}: {reason}") from error
    return net


def _state_dict(path: Path) -> dict[str, Tensor]:
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise WeightsError(f"{path}: missing or damaged weights ({error}).") from error


def _features(net: nn.Module, pred: Tensor, target: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Features of both; no graph for the target."""
    assert isinstance(net, (ParsingUNet, ArcFace))
    with torch.no_grad():
        wanted = net.features(target)
    return net.features(pred), wanted
