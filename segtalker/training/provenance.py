"""Licences travel: trained weights say which published networks they come from.

`run_task` notes at the beginning what the configuration names, while the files are sure to be there, and
every task saves its network by `save_trained`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

from torch import nn

from segtalker.training.state import TrainState
from segtalker.training.weights_uri import weights_at
from segtalker.weights.checkpoint import save_weights
from segtalker.weights.importing import lineage_of
from segtalker.weights.lineage import Lineage
from segtalker.weights.uses import WeightsUse, weights_of


def training_lineage(cfg: Any) -> Lineage:
    """Of what a training with the configuration `cfg` makes; nothing is loaded but what files say."""
    return reduce(or_, map(_lineage, weights_of(cfg)), Lineage())


def save_trained(
    net: nn.Module, model: Any, path: Path, cfg: Any, state: TrainState, figures: Mapping[str, float]
) -> Path:
    """Slim weights of a trained network.

    model: the configuration that `net` was built from; cfg: that of the training. The file remembers steps,
    seed, held-out figures and lineage.
    """
    info = {"steps": state.step, "seed": cfg.run.seed, "figures": dict(figures), **state.lineage.told()}
    return save_weights(net, model, path, info)


def _lineage(use: WeightsUse) -> Lineage:
    path = weights_at(use)
    if path is None:
        return Lineage()
    found = lineage_of(path, use.network)
    return found if use.role == "start" else found.through_loss()
