"""What the trainings of a single network share: how it is built, and how it is saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from segtalker.data.sampler import IndexedSampler
from segtalker.training.loop import Metrics, RunConfig, StepBatches, TrainContext
from segtalker.training.provenance import save_trained
from segtalker.training.state import OptimConfig, TrainState
from segtalker.training.steps import seeded
from segtalker.training.weights_uri import local_weights
from segtalker.weights.checkpoint import fill_weights


class SampledBatches(StepBatches, Protocol):
    """Batches with a data position to save."""

    sampler: IndexedSampler


class SingleConfig(Protocol):
    """What such a training's configuration has at least."""

    @property
    def model(self) -> Any:
        """Configuration of the network."""

    @property
    def optimizer(self) -> OptimConfig:
        """Of the network."""

    @property
    def run(self) -> RunConfig:
        """How long and on what."""


C = TypeVar("C", bound=SingleConfig)


class SingleTask(Generic[C]):
    """The part of a `Task` that does not depend on what is learned; see `training/loop.py`."""

    name: str
    """Of the network in states, logs and file names."""
    network: Callable[[Any], nn.Module]
    """Class of the network, built from `cfg.model`."""

    def __init__(self, cfg: C, batches: SampledBatches) -> None:
        self.cfg = cfg
        self.notes: list[str] = []
        self._train = batches

    def build(self, context: TrainContext) -> TrainState:
        """The network with its optimizer."""
        cfg = self.cfg
        state = TrainState(self._train.sampler, context.device, cfg.run.channels_last)
        net = seeded(lambda: type(self).network(cfg.model), cfg.run.seed)
        if (start := getattr(cfg, "start_from", None)) is not None:
            fill_weights(net, local_weights(start))
        state.add(self.name, net, cfg.optimizer, cfg.run.max_steps, wrap=context.wrap)
        return state

    def batches(self) -> StepBatches:
        """Training batches by step."""
        return self._train

    def update(self, state: TrainState, losses: Mapping[str, Any]) -> Metrics:
        """Optimizer step on the gradient of `loss`, one of `losses`; what to log."""
        losses["loss"].backward()
        norm = float(state.apply(self.name))
        shown = {name: float(value.detach()) for name, value in losses.items()}
        return {**shown, "grad_norm": norm, "lr": state.learning_rate(self.name)}

    def picture(self, state: TrainState) -> NDArray[np.uint8] | None:
        """There is nothing to see."""
        return None

    def alert(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """Nothing is known to go wrong quietly."""
        return None

    def save(self, state: TrainState, folder: Path, figures: Mapping[str, float]) -> Path:
        """Slim weights of the averaged network."""
        path = folder / f"{self.name}.safetensors"
        return save_trained(state.averaged(self.name), self.cfg.model, path, self.cfg, state, figures)
