"""The published networks behind metrics, as many as this machine has: an evaluation gets these."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import nn

from segtalker.faces.identity import Embedder, Recogniser, load_embedder
from segtalker.models.frozen.i3d import I3D
from segtalker.models.frozen.inception import Inception
from segtalker.models.frozen.lpips import LPIPS
from segtalker.models.frozen.syncnet_v2 import SyncNetV2
from segtalker.weights.checkpoint import load_weights
from segtalker.weights.registry import rows_of
from segtalker.weights.store import locate

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class MetricNetworks:
    """A network for each metric; None switches it off."""

    fid: Inception | None = None
    """For `frechet.picture_moments`."""
    fvd: I3D | None = None
    """For `frechet.video_moments`."""
    sync: SyncNetV2 | None = None
    """For `sync_scores.face_sync_curve`: Sync-C and Sync-D."""
    lpips: LPIPS | None = None
    """For `perceptual.lpips_between`."""
    embedder: Embedder | None = None
    """For `likeness.face_embeddings`: CSIM."""


def load_metric_networks(
    available: Mapping[str, str | None],
    device: torch.device | str = "cpu",
    only: Collection[str] | None = None,
) -> MetricNetworks:
    """The networks of the metrics that are on, out of the weights cache; `WeightsError` if one is damaged.

    available: metric -> row of the registry that gives it, or None, as `readiness.available_metrics` says.
    only: metrics that are wanted; by default all.
    """
    rows = {name: row for name, row in available.items() if only is None or name in only}
    recogniser = rows.get("CSIM")
    return MetricNetworks(
        fid=_loaded(rows.get("FID"), Inception, device),
        fvd=_loaded(rows.get("FVD"), I3D, device),
        sync=_loaded(rows.get("Sync-C") or rows.get("Sync-D"), SyncNetV2, device),
        lpips=_loaded(rows.get("LPIPS"), LPIPS, device),
        embedder=load_embedder(cast(Recogniser, recogniser), str(device)) if recogniser else None,
    )


def _loaded(name: str | None, kind: type[Network], device: torch.device | str) -> Network | None:
    """The network of a row; None of none."""
    if name is None:
        return None
    (row,) = rows_of(name)
    network = load_weights(locate(name), row.network, device)
    assert isinstance(network, kind), f"{name} is no {kind.__name__}"
    return network
