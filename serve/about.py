"""What the service computes with, out of the headers of its weights files."""

from __future__ import annotations

from typing import Any

from segtalker import storage
from segtalker.dub_config import DubConfig
from segtalker.regions import Region
from segtalker.report import package_versions
from segtalker.weights.checkpoint import weights_info, weights_path


def describe(cfg: DubConfig) -> dict[str, Any]:
    """The answer of `/v1/models`: networks with their configuration and hash, regions, versions."""
    networks = {}
    for name, weights in (("tsg", cfg.tsg.weights), ("sgi", cfg.sgi.weights)):
        path = weights_path(weights, name)
        told = weights_info(path)
        networks[name] = {
            "weights": path.name,
            "sha256": storage.fingerprint(path)["sha256"],
            "config": told["config"],
            "info": told["info"],
        }
    return {
        "networks": networks,
        "size": networks["sgi"]["config"]["generator"]["size"],
        "faces": cfg.faces.backend,
        "parser": cfg.parsing.backend,
        "regions": {region.name.lower(): int(region) for region in Region},
        "versions": package_versions(),
    }
