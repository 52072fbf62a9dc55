"""What the service computes with, out of the headers of its weights files."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from segtalker import storage
from segtalker.dub_config import DubConfig
from segtalker.editing.colours import NAMES
from segtalker.editing.recipe import KINDS, LOOKS
from segtalker.regions import Region
from segtalker.report import package_versions
from segtalker.weights.checkpoint import weights_info, weights_path
from serve.api.edits import MAX_REFERENCES


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
        "edits": describe_edits(),
        "regions": {region.name.lower(): int(region) for region in Region},
        "versions": package_versions(),
    }


def describe_edits() -> dict[str, Any]:
    """What a recipe may hold: kinds with the least and largest amount and their fields, regions, colours."""
    return {
        "kinds": {name: asdict(kind) for name, kind in KINDS.items()},
        "regions": list(LOOKS),
        "colours": dict(NAMES),
        "most_references": MAX_REFERENCES,
    }
