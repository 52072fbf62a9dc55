"""What the cache holds switches metrics on: each network arrives where its metric looks for it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from segtalker.errors import WeightsError
from segtalker.faces.identity import ArcFaceEmbedder
from segtalker.metrics.networks import MetricNetworks, load_metric_networks
from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.models.frozen.i3d import I3D, I3DConfig
from segtalker.models.frozen.inception import Inception, InceptionConfig
from segtalker.models.frozen.lpips import LPIPS, LPIPSConfig
from segtalker.models.frozen.syncnet_v2 import SyncNetV2, SyncNetV2Config
from segtalker.readiness import available_metrics
from segtalker.weights import store
from segtalker.weights.checkpoint import save_weights

NETWORKS = {
    "inception_fid": (Inception, InceptionConfig(divisor=32)),
    "i3d_fvd": (I3D, I3DConfig(num_classes=5, divisor=16)),
    "syncnet_v2": (SyncNetV2, SyncNetV2Config(divisor=32)),
    "lpips_alex": (LPIPS, LPIPSConfig()),
    "irse50": (ArcFace, ArcFaceConfig.mini()),
}
KINDS = {"fid": Inception, "fvd": I3D, "sync": SyncNetV2, "lpips": LPIPS, "embedder": ArcFaceEmbedder}
FIELDS = {
    "FID": "fid",
    "FVD": "fvd",
    "Sync-C": "sync",
    "Sync-D": "sync",
    "LPIPS": "lpips",
    "CSIM": "embedder",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one, and no pack at home."""
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("INSIGHTFACE_HOME", raising=False)


def put(*names: str) -> None:
    """Tiny networks where the cache keeps the published ones."""
    for name in names:
        kind, cfg = NETWORKS[name]
        place = store.place_of(name)
        assert place is not None
        with store.installing(place, "a test") as made:
            save_weights(kind(cfg), cfg, made)


def on(networks: MetricNetworks) -> set[str]:
    return {item.name for item in fields(networks) if getattr(networks, item.name) is not None}


def test_an_empty_cache_has_no_networks_for_any_metric():
    available = available_metrics()
    assert available == dict.fromkeys(FIELDS) and on(load_metric_networks(available)) == set()


def test_every_metric_of_the_registry_gets_its_own_network_and_the_others_stay_off():
    put(*NETWORKS)
    available = available_metrics()
    assert set(available) == set(FIELDS) and None not in available.values()
    for metric, name in FIELDS.items():
        found = load_metric_networks(available, only=(metric,))
        assert on(found) == {name} and isinstance(getattr(found, name), KINDS[name]), metric
    assert on(load_metric_networks(available)) == set(KINDS)


def test_what_the_cache_holds_is_on_by_itself_and_ready_to_evaluate():
    put("inception_fid", "lpips_alex")
    found = load_metric_networks(available_metrics())
    assert on(found) == {"fid", "lpips"}
    assert found.fid is not None and found.fid.cfg.divisor == 32 and not found.fid.training


def test_a_network_that_went_away_meanwhile_is_asked_for_by_name():
    with pytest.raises(WeightsError, match="inception_fid"):
        load_metric_networks({"FID": "inception_fid"})
