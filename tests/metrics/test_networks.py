"""What the cache holds switches metrics on: each network arrives where its metric looks for it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from segtalker.errors import WeightsError
from segtalker.faces.identity import ArcFaceEmbedder
from segtalker.metrics.networks import MetricNetworks, load_metric_networks
from segtalker.models.frozen.i3d import I3D
from segtalker.models.frozen.inception import Inception
from segtalker.models.frozen.lpips import LPIPS
from segtalker.models.frozen.syncnet_v2 import SyncNetV2
from segtalker.readiness import available_metrics
from tests.weights.judges import METRICS, put

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

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


def on(networks: MetricNetworks) -> set[str]:
    return {item.name for item in fields(networks) if getattr(networks, item.name) is not None}


def test_an_empty_cache_has_no_networks_for_any_metric():
    available = available_metrics()
    assert available == dict.fromkeys(FIELDS) and on(load_metric_networks(available)) == set()


def test_every_metric_of_the_registry_gets_its_own_network_and_the_others_stay_off(tmp_path: Path):
    for row in METRICS:
        put(row, tmp_path)
    available = available_metrics()
    assert set(available) == set(FIELDS) and None not in available.values()
    for metric, name in FIELDS.items():
        found = load_metric_networks(available, only=(metric,))
        assert on(found) == {name} and isinstance(getattr(found, name), KINDS[name]), metric
    assert on(load_metric_networks(available)) == set(KINDS)


def test_what_the_cache_holds_is_on_by_itself_and_ready_to_evaluate(tmp_path: Path):
    for row in ("inception_fid", "lpips_alex"):
        put(row, tmp_path)
    found = load_metric_networks(available_metrics())
    assert on(found) == {"fid", "lpips"}
    assert found.fid is not None and found.fid.cfg.divisor == 16 and not found.fid.training


def test_a_network_that_went_away_meanwhile_is_asked_for_by_name():
    with pytest.raises(WeightsError, match="inception_fid"):
        load_metric_networks({"FID": "inception_fid"})
