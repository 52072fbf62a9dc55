"""The smallest task with dropout, for tests of the loop: two layers that learn a sum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from segtalker.data.sampler import IndexedSampler
from segtalker.training.loop import Metrics, TrainContext
from segtalker.training.state import OptimConfig, TrainState
from segtalker.training.steps import Batch, seeded


class ToyTask:
    """As much of a `Task` as `run_task` asks for: four samples a step, two numbers each."""

    def __init__(self, max_steps: int) -> None:
        self.cfg = None
        self.notes: list[str] = []
        self._max_steps = max_steps
        self._sampler = IndexedSampler(16, 4, seed=1)

    def build(self, context: TrainContext) -> TrainState:
        state = TrainState(self._sampler, context.device)
        net = seeded(lambda: nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1)), 1)
        state.add("toy", net, OptimConfig(lr=0.01, warmup_steps=0), self._max_steps, wrap=context.wrap)
        return state

    def batches(self) -> ToyTask:
        return self

    def batch(self, step: int, rank: int, world_size: int) -> Batch:
        draws = [draw.generator() for draw in self._sampler.batch(step, rank, world_size)]
        return {"x": torch.from_numpy(np.stack([g.normal(size=2) for g in draws])).float()}

    def step(self, state: TrainState, batch: Batch) -> Metrics:
        loss = toy_loss(state.nets["toy"], batch)
        loss.backward()
        state.apply("toy")
        return {"loss": float(loss.detach())}

    def validate(self, state: TrainState) -> Metrics:
        return {"val_loss": float(toy_loss(state.averaged("toy"), self.batch(0, 0, 1)).detach())}

    def picture(self, state: TrainState) -> None:
        return None

    def alert(self, step: int, metrics: Mapping[str, float]) -> str | None:
        return None


def toy_loss(net: nn.Module, batch: Batch) -> Tensor:
    return (net(batch["x"])[:, 0] - batch["x"].sum(dim=1)).square().mean()
