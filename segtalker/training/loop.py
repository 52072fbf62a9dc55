"""The only training loop: plain torch, driven alone or by Ray Train.

The loop knows nothing of networks, files or clusters. What is trained comes as a `Task`; where it runs comes
as a `TrainContext`; logging, checkpoints and validation are the caller's `on_step`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset

from segtalker.training.state import TrainState, list_states
from segtalker.training.steps import Batch, seed_generators

Metrics = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How long, how often and on what; every training configuration has one as `run`."""

    max_steps: int = 1000
    seed: int = 1
    log_every: int = 10
    save_every: int = 200
    keep: int = 2
    """Checkpoints that stay."""
    validate_every: int = 200
    """0: only at the end."""
    picture_every: int = 200
    """0: only at the end."""
    device: str = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = False
    threads: int = 0
    """CPU threads of torch; 0 leaves it to torch."""
    workers: int = 0
    """Processes that prepare batches; 0: between the steps."""

    def __post_init__(self) -> None:
        if min(self.max_steps, self.log_every, self.save_every, self.keep) < 1:
            raise ValueError("max_steps, log_every, save_every and keep must be >= 1.")


class TrainContext(Protocol):
    """Where a run takes place. `LocalContext` is one process; Ray Train has its own."""

    rank: int
    world_size: int
    device: torch.device
    folder: Path
    """Of this run's checkpoints; on a cluster, local to the worker."""
    validates: bool
    """Whether the ranks validate between their steps; else someone does with checkpoints they report."""

    def wrap(self, net: nn.Module) -> nn.Module:
        """Make a network data-parallel."""

    def checkpoints(self) -> list[str]:
        """Names of the checkpoints to go on from, the newest first; the same on all ranks."""

    def fetch(self, name: str) -> Path:
        """A checkpoint as a file on this disk; `DataError` or `StorageError` where it is not whole."""

    def begin(self, step: int, damaged: Sequence[str]) -> None:
        """Training begins at `step`, since the checkpoints `damaged`, which are newer, cannot be read."""

    def average(self, metrics: Metrics) -> Metrics:
        """Means of figures over all ranks, which ask for them equally often."""

    def report(self, metrics: Mapping[str, float], checkpoint: Path | None, validate: bool = False) -> None:
        """Say how it goes; `checkpoint` has just been written, and is to be validated by someone else."""

    def should_stop(self) -> bool:
        """True when someone asked the run to end."""


class Task(Protocol):
    """What is trained: a `training/x_step.py` has one class with these methods, built as `XTask(cfg)`."""

    cfg: Any
    """The configuration that it was built from."""
    notes: list[str]
    """For the person who waits: which loss terms are off and why, what was left out of the data."""

    def build(self, context: TrainContext) -> TrainState:
        """Fresh networks, optimizers and sampler, the same for every rank."""

    def batches(self) -> StepBatches:
        """The training data by step, as a picklable `StepBatches`."""

    def step(self, state: TrainState, batch: Batch) -> Metrics:
        """One optimization step: forward, backward, `state.apply(...)`. `loss` is among the metrics."""

    def validate(self, state: TrainState) -> Metrics:
        """Figures on held-out data, of the averaged network."""

    def picture(self, state: TrainState) -> NDArray[np.uint8] | None:
        """A sample sheet, RGB [H, W, 3]."""

    def alert(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """A sentence when the run goes wrong in a known way."""

    def save(self, state: TrainState, folder: Path, figures: Mapping[str, float]) -> Path:
        """Write the slim weights; returns their path."""


class StepBatches(Protocol):
    """Batches as a pure function of the step; any worker process can make any of them."""

    def batch(self, step: int, rank: int, world_size: int) -> Batch:
        """This rank's share of the batch of `step`."""


class LocalContext:
    """One process on one device."""

    rank, world_size = 0, 1
    validates = True

    def __init__(self, folder: Path, device: str = "auto") -> None:
        self.folder = folder
        self.device = pick_device(device)
        self.stop = False

    def wrap(self, net: nn.Module) -> nn.Module:
        """The network itself."""
        return net

    def checkpoints(self) -> list[str]:
        """The files in the folder."""
        return [path.name for path in reversed(list_states(self.folder))]

    def fetch(self, name: str) -> Path:
        """The file itself."""
        return self.folder / name

    def begin(self, step: int, damaged: Sequence[str]) -> None:
        """Set damaged files aside, where they count no more among those that are kept."""
        for name in damaged:
            os.replace(self.folder / name, self.folder / f"{name}.damaged")

    def average(self, metrics: Metrics) -> Metrics:
        """The figures themselves."""
        return metrics

    def report(self, metrics: Mapping[str, float], checkpoint: Path | None, validate: bool = False) -> None:
        """Nobody else listens."""

    def should_stop(self) -> bool:
        """True once `stop` was set."""
        return self.stop


def run_loop(
    state: TrainState,
    batches: Iterable[Batch],
    step: Callable[[TrainState, Batch], Metrics],
    *,
    max_steps: int,
    on_step: Callable[[TrainState, Metrics], None],
    should_stop: Callable[[], bool] = lambda: False,
    seed: int = 0,
    rank: int = 0,
) -> TrainState:
    """Train until step `max_steps` or `should_stop()`; `on_step` sees the state after each step.

    What a step draws from torch's generators depends on (seed, rank, step) alone.
    """
    if state.step >= max_steps:
        return state
    for batch in batches:
        state.learn()
        seed_generators(state.device, seed, rank, state.step)
        metrics = step(state, batch)
        state.step += 1
        state.sampler.advance()
        on_step(state, metrics)
        if state.step >= max_steps or should_stop():
            break
    return state


def load_batches(
    source: StepBatches, start: int, stop: int, context: TrainContext, workers: int = 0
) -> Iterator[Batch]:
    """Batches of the steps [start, stop) on the context's device, prepared ahead by `workers` processes."""
    data = _StepDataset(source, start, stop, context.rank, context.world_size)
    pin = context.device.type == "cuda"
    loader = DataLoader(
        data,
        batch_size=None,
        num_workers=workers,
        pin_memory=pin,
        # Its own, or starting the loader would draw from torch's and a resumed run would differ.
        generator=torch.Generator(),
        # A fork copies locks that other threads hold (those of a bucket's client), and may wait for ever.
        multiprocessing_context="spawn" if workers else None,
    )
    for batch in loader:
        yield {name: tensor.to(context.device, non_blocking=pin) for name, tensor in batch.items()}


class _StepDataset(Dataset[Batch]):
    """Item i is the whole batch of step start + i."""

    def __init__(self, source: StepBatches, start: int, stop: int, rank: int, world_size: int) -> None:
        self._source, self._start, self._stop = source, start, stop
        self._rank, self._world_size = rank, world_size

    def __len__(self) -> int:
        return max(0, self._stop - self._start)

    def __getitem__(self, item: int) -> Batch:
        return self._source.batch(self._start + item, self._rank, self._world_size)


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA, then MPS, then the CPU; anything else is what torch calls a device."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
