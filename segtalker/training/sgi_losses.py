"""The generator's objective of SGI (arXiv 2409.03605, eq. (8)-(13)) and the networks that it looks through.

A term whose pretrained network is not given is off, and the run says so by name. Networks that we trained on
the synthetic corpus stand in under their own names (`perceptual_mini`, `parsing_mini`, `id_mini`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segtalker.errors import WeightsError
from segtalker.losses.identity import arcface_crop, identity_loss
from segtalker.losses.parsing import parser_input, parsing_loss
from segtalker.losses.perceptual import (
    feature_distance,
    gradient_l1,
    l2_loss,
    multi_scale_distance,
    pyramid_l1,
)
from segtalker.models.frozen.lpips import LPIPSNet
from segtalker.regions import NUM_REGIONS, Region
from segtalker.training.loop import TrainContext
from segtalker.training.weights_uri import weights_at
from segtalker.weights.checkpoint import is_ours, weights_info
from segtalker.weights.importing import load_network
from segtalker.weights.uses import AUTO, WeightsUse

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
    """The frozen networks, each a path, a URI or `cache:ROW`; of ours or as published. None: its term is off.

    `auto` is what `segtalker weights import` put into the cache; the term is off where it is not there.
    """

    lpips_net: LPIPSNet = "alex"
    lpips_trunk: str | None = AUTO
    """LPIPS on the trunk that `lpips_net` names."""
    arcface: str | None = AUTO
    """IR-SE50."""
    parsing_unet: str | None = AUTO
    """MaskGAN's U-Net."""
    parsing_mini: str | None = None
    """Our own parsing U-Net: gives `parsing_mini` and the features of `perceptual_mini`."""
    id_mini: str | None = None
    """Our own identity embedder."""


def loss_networks(cfg: SGILossConfig, networks: LossNetworksConfig) -> tuple[WeightsUse, ...]:
    """The frozen networks of all terms that have a weight, in their order."""
    mini_weight = max(cfg.perceptual_mini_weight, cfg.parsing_mini_weight)
    terms = (
        (cfg.lpips_weight, "lpips_trunk", "lpips", f"lpips_{networks.lpips_net}", "lpips"),
        (cfg.id_weight, "arcface", "identity", "irse50", "id"),
        (cfg.parsing_weight, "parsing_unet", "parsing_unet", "maskgan_unet", "parsing"),
        (mini_weight, "parsing_mini", "parsing_unet", "", "perceptual_mini and parsing_mini"),
        (cfg.id_mini_weight, "id_mini", "identity", "", "id_mini"),
    )
    return tuple(
        WeightsUse(f"networks.{key}", getattr(networks, key), network, "loss", row, term)
        for weight, key, network, row, term in terms
        if weight
    )


class SGILosses(nn.Module):
    """All terms of the generator but the adversarial one; `notes` says which are on by `auto` or off."""

    def __init__(self, cfg: SGILossConfig, networks: LossNetworksConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.notes: list[str] = []
        self.files: dict[str, str] = {}
        """The networks that are on, as `TrainState.loss_networks`."""
        found = {use.key: self._load(use) for use in loss_networks(cfg, networks)}
        self.lpips: Any = found.get("networks.lpips_trunk")
        self.arcface: Any = found.get("networks.arcface")
        self.unet: Any = found.get("networks.parsing_unet")
        self.unet_mini: Any = found.get("networks.parsing_mini")
        self.embedder_mini: Any = found.get("networks.id_mini")
        if self.lpips is not None and self.lpips.cfg.net != networks.lpips_net:
            raise WeightsError(
                f"networks.lpips_trunk: {networks.lpips_trunk} is LPIPS on '{self.lpips.cfg.net}', "
                f"networks.lpips_net says '{networks.lpips_net}'. Give the two the same."
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
            size = self.unet.cfg.input_size
            levels = _features(self.unet, parser_input(pred, size), parser_input(target, size))
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

    def agree(self, context: TrainContext) -> None:
        """Make sure that all ranks have the same terms; `WeightsError` names what only some machines have."""
        networks = {"lpips": self.lpips, "id": self.arcface, "parsing": self.unet}
        shares = context.average({term: float(net is not None) for term, net in networks.items()})
        if split := [name for name, share in shares.items() if 0 < share < 1]:
            raise WeightsError(
                f"only some machines have the network of the loss terms {', '.join(split)} in their cache. "
                "Import its file on all of them, or name it under `networks` by a path or URI that all see."
            )

    def _load(self, use: WeightsUse) -> Any:
        """The network of a term, None where the term is off."""
        path = weights_at(use)
        if path is not None:
            if use.by_itself:
                self.notes.append(f"loss term {use.term} is on: {use.row} is in the cache, {path}.")
            self.files[use.key] = _origin(path) if use.published else ""
            return load_network(path, use.network)
        why = "no weights of its network are given (`networks`)."
        if use.by_itself:
            why = f"{use.row} is not in the cache (segtalker weights list)."
        self.notes.append(f"loss term {use.term} is off: {why}")
        return None

    def _pixel_weights(self, region_map: Tensor) -> Tensor | None:
        """[N, 1, S, S], None where all pixels count alike."""
        cfg = self.cfg
        if cfg.detail_weight == cfg.background_weight == 1.0:
            return None
        table = torch.ones(NUM_REGIONS, device=region_map.device)
        table[list(_DETAIL)] = cfg.detail_weight
        table[Region.BACKGROUND] = cfg.background_weight
        return table[region_map.long()][:, None]


def _origin(path: Path) -> str:
    """SHA-256 of the published file behind one in the cache; empty where it does not say."""
    return str(weights_info(path)["info"].get("sha256", "")) if is_ours(path) else ""


def _features(net: Any, pred: Tensor, target: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Features of both; no graph for the target."""
    with torch.no_grad():
        wanted = net.features(target)
    return net.features(pred), wanted
