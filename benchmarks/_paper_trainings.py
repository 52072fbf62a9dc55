"""Paper-size trainings for the clock: which there are, the clips that they read, how fast they step.

A step is that of `segtalker train`: the task's own forward and backward passes, optimizer, schedule and
average. What is shown are drawn faces with noise for speech, since neither changes what a step costs.
"""

from __future__ import annotations

import gc
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.region_conv import drawn_face
from segtalker.data.shards import FPS, Sample, ShardWriter
from segtalker.models.syncnet import SyncNet
from segtalker.regions import NUM_REGIONS
from segtalker.training.loop import LocalContext, load_batches, run_loop
from segtalker.training.run import load_train_config, make_task
from segtalker.types import Phone
from segtalker.weights.checkpoint import save_weights

PAPER = Path(__file__).parents[1] / "configs" / "paper"
WARM_STEPS = 4
"""Left out of the clock: kernels are chosen and memory is taken; among them is a step with R1."""
_FRAMES = 40
_MEL_STEPS_PER_S = 80
_BATCHES = 2


@dataclass(frozen=True)
class Training:
    """One training of `configs/paper`."""

    network: str
    overrides: tuple[str, ...] = ()


TRAININGS = {
    "syncnet": Training("syncnet"),
    "tsg": Training("tsg", ("loss.sync_weight=0",)),  # the first half of its steps
    "tsg_sync": Training("tsg", ("sync_from=0",)),  # the second half, under the expert
    "sgi": Training("sgi", ("data.items=4",)),  # one of four workers, which share 16
}
"""Name in the figures -> training, at the batch that the paper gives one GPU."""


@dataclass(frozen=True)
class Speed:
    """What a training costs on a device."""

    steps_per_second: float
    peak_memory_gb: float | None
    """10^9 bytes that tensors took at most, networks and optimizers included; None off CUDA."""
    notes: tuple[str, ...]
    """What the task says of itself: which loss terms are off, and why."""


def paper_config(name: str, corpus: Path, folder: Path) -> Any:
    """The configuration of a training of `TRAININGS` on `corpus`; files that it needs go to `folder`."""
    training = TRAININGS[name]
    overrides = [f"clips.folder={corpus}", *training.overrides]
    if training.network == "tsg":
        overrides.append(f"syncnet={_random_expert(folder)}")
    return load_train_config(training.network, PAPER / f"{training.network}.yaml", overrides)


def draw_corpus(folder: Path, size: int) -> Path:
    """Two people to train on and one held out: faces of all 12 regions, `size` px, that sway."""
    face = drawn_face(size).astype(np.uint8)
    draw = np.random.default_rng(0)
    with ShardWriter(folder) as writer:
        for number, split in enumerate(("train", "train", "val")):
            maps = np.stack([np.roll(face, frame % 5, axis=1) for frame in range(_FRAMES)])
            palette = draw.integers(40, 216, (NUM_REGIONS, 3)).astype(np.uint8)
            sample = Sample(
                key=f"clip{number}",
                maps=maps,
                crops=palette[maps],
                mel=draw.normal(size=(_FRAMES * _MEL_STEPS_PER_S // FPS, 80)),
                tokens=draw.normal(size=(_FRAMES, 104)),
                phones=(Phone("aa", 0.0, _FRAMES / FPS),),
                identity=f"person{number}",
                voice=f"voice{number}",
                engine="noise",
                split=split,
            )
            writer.add(sample)
    return folder


def measure(network: str, cfg: Any, device: torch.device, steps: int, folder: Path) -> Speed:
    """Steps per second of a training over `steps` warm steps, and the memory that they took at most.

    Batches wait on the device and take turns: reading clips is left out, which other processes do beside.
    `torch.OutOfMemoryError` where the device is too small.
    """
    _forget(device)
    task, context = make_task(network, cfg), LocalContext(folder, str(device))
    torch.manual_seed(cfg.run.seed)
    state = task.build(context)
    batches = itertools.cycle(list(load_batches(task.batches(), 0, _BATCHES, context)))

    def step_until(step: int) -> None:
        run_loop(state, batches, task.step, max_steps=step, on_step=lambda *_: None, seed=cfg.run.seed)
        _wait(device)

    step_until(WARM_STEPS)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    step_until(WARM_STEPS + steps)
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None
    return Speed(steps / seconds, peak, tuple(task.notes))


def _random_expert(folder: Path) -> Path:
    """Weights of a SyncNet of the paper's size that has learned nothing: as dear to ask as a trained one."""
    path = folder / "syncnet.safetensors"
    if not path.exists():
        cfg = load_train_config("syncnet", PAPER / "syncnet.yaml").model
        torch.manual_seed(0)
        save_weights(SyncNet(cfg), cfg, path)
    return path


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _forget(device: torch.device) -> None:
    """Give back what the training before held, or its leavings would count as this one's memory."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
