"""Everything that a training run is made of, and how it goes to disk and back: resumed equals uninterrupted.

A task (`training/loop.py`) fills a `TrainState` with `add`, one call for each network that learns:

    state = TrainState(sampler, device)
    state.add("generator", SGI(cfg.sgi), cfg.optimizer, max_steps, wrap=context.wrap)
    state.add("discriminator", Discriminator(cfg.disc), cfg.d_optimizer, max_steps, ema=False, wrap=...)

and its step calls `loss.backward()` and then `state.apply("generator")`, which clips, steps the optimizer and
its schedule, clears the gradients and moves the average. Frozen networks (experts, perceptual) stay outside.
"""

from __future__ import annotations

import copy
import math
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from segtalker.data.sampler import IndexedSampler
from segtalker.errors import ConfigError, DataError, SegTalkerError
from segtalker.weights.lineage import Lineage, lineage_in

MAX_BAD_STEPS = 10
"""Updates in a row that may be skipped for gradients that are not finite."""
_DAMAGE = (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile)


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How one network learns."""

    kind: Literal["adam", "adamw"] = "adamw"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    warmup_steps: int = 100
    schedule: Literal["constant", "cosine"] = "cosine"
    final_lr_ratio: float = 0.01
    """Last learning rate over the first, for `cosine`."""
    grad_clip: float = 1.0
    """Largest gradient norm; 0 leaves gradients alone."""
    ema_decay: float = 0.999
    """Of the averaged copy that is validated and shipped; 0 keeps none."""

    def __post_init__(self) -> None:
        if self.lr <= 0 or not 0 <= self.ema_decay < 1 or self.warmup_steps < 0:
            raise ValueError("lr must be > 0, ema_decay in [0, 1), warmup_steps >= 0.")


def learning_rate_factor(step: int, cfg: OptimConfig, max_steps: int) -> float:
    """Factor on `cfg.lr` at a step: linear warm-up, then constant or half a cosine to the final ratio."""
    if step < cfg.warmup_steps:
        return (step + 1) / (cfg.warmup_steps + 1)
    if cfg.schedule == "constant":
        return 1.0
    done = min(1.0, (step - cfg.warmup_steps) / max(1, max_steps - cfg.warmup_steps))
    return cfg.final_lr_ratio + (1 - cfg.final_lr_ratio) * 0.5 * (1 + math.cos(math.pi * done))


class TrainState:
    """Networks that learn, their averages, optimizers and schedules, the step, the data position.

    No generators: `run_loop` seeds them anew for each step.
    """

    def __init__(self, sampler: IndexedSampler, device: torch.device, channels_last: bool = False) -> None:
        self.step = 0
        self.sampler = sampler
        self.device = device
        self.lineage = Lineage()
        """The published networks behind what is trained, those of the runs that it goes on from included."""
        self.loss_networks: dict[str, str] = {}
        """The frozen networks of the objective by key of the configuration, as in `networks.arcface`, each
        with the SHA-256 of its published file; empty where that is not known."""
        self.nets: dict[str, nn.Module] = {}
        self.ema: dict[str, nn.Module] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self._updates: dict[str, int] = {}
        self._schedules: dict[str, tuple[OptimConfig, int]] = {}
        self._channels_last = channels_last
        self._bad_steps = 0

    def add(
        self,
        name: str,
        net: nn.Module,
        cfg: OptimConfig,
        max_steps: int,
        *,
        ema: bool = True,
        wrap: Callable[[nn.Module], nn.Module] = lambda net: net,
    ) -> nn.Module:
        """Let `net` learn under `name`; returns it on its device, wrapped (data-parallel) by `wrap`."""
        net = net.to(self.device)
        if self._channels_last:
            net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if ema and cfg.ema_decay > 0:
            self.ema[name] = copy.deepcopy(net).eval().requires_grad_(False)
        self.nets[name] = wrap(net)
        trainable = [p for p in net.parameters() if p.requires_grad]
        kind = torch.optim.AdamW if cfg.kind == "adamw" else torch.optim.Adam
        self.optimizers[name] = kind(
            trainable,
            lr=cfg.lr,
            betas=cfg.betas,
            weight_decay=cfg.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self._updates[name], self._schedules[name] = 0, (cfg, max_steps)
        return self.nets[name]

    def apply(self, name: str) -> Tensor:
        """One optimizer step of `name` from the gradients it holds; returns their norm before clipping.

        Gradients that are not finite are thrown away; after `MAX_BAD_STEPS` such steps in a row the run ends.
        """
        cfg, optimizer = self._schedules[name][0], self.optimizers[name]
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate(name)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, cfg.grad_clip if cfg.grad_clip > 0 else math.inf)
        if bool(torch.isfinite(norm)):
            optimizer.step()
            self._bad_steps = 0
        else:
            self._bad_steps += 1
            if self._bad_steps >= MAX_BAD_STEPS:
                raise SegTalkerError(
                    f"step {self.step}: gradients of '{name}' not finite {MAX_BAD_STEPS} times in a row. "
                    f"Lower its learning rate (now {cfg.lr:g}) or train with precision fp32."
                )
        optimizer.zero_grad(set_to_none=True)
        self._updates[name] += 1
        if name in self.ema:
            # The average forgets the random start quickly, then slows down to its nominal decay.
            decay = min(cfg.ema_decay, (1 + self.step) / (10 + self.step))
            update_average(self.ema[name], unwrap(self.nets[name]), decay)
        return norm

    def averaged(self, name: str) -> nn.Module:
        """The network to validate and ship, in evaluation mode: the average, or itself without one."""
        return self.ema.get(name, unwrap(self.nets[name])).eval()

    def learn(self) -> None:
        """Put every network in training mode, which `averaged` may have ended."""
        for net in self.nets.values():
            net.train()

    def learning_rate(self, name: str) -> float:
        """Learning rate of the next update."""
        cfg, max_steps = self._schedules[name]
        return cfg.lr * learning_rate_factor(self._updates[name], cfg, max_steps)

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on as if nothing had happened."""
        return {
            "step": self.step,
            "bad_steps": self._bad_steps,
            "sampler": self.sampler.state_dict(),
            "nets": {name: unwrap(net).state_dict() for name, net in self.nets.items()},
            "ema": {name: net.state_dict() for name, net in self.ema.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "updates": dict(self._updates),
            "lineage": self.lineage.told(),
            "loss_networks": dict(self.loss_networks),
        }

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Take up a saved state; the networks must be the same."""
        if set(values["nets"]) != set(self.nets) or set(values["ema"]) != set(self.ema):
            raise ConfigError(
                f"the checkpoint holds {sorted(values['nets'])}, this run trains {sorted(self.nets)}. "
                "Resume with the same configuration, or start in another folder with --out."
            )
        self.sampler.load_state_dict(values["sampler"])
        try:
            for name, net in self.nets.items():
                unwrap(net).load_state_dict(values["nets"][name])
            for name, net in self.ema.items():
                net.load_state_dict(values["ema"][name])
        except RuntimeError as error:
            raise ConfigError(
                "the checkpoint is of networks of another size. Resume with the same configuration, or start "
                f"in another folder with --out. ({str(error).splitlines()[0]})"
            ) from error
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(values["optimizers"][name])
            self._updates[name] = int(values["updates"][name])
        self.step, self._bad_steps = int(values["step"]), int(values["bad_steps"])
        self.lineage |= lineage_in(values.get("lineage", {}))  # checkpoints of before have none


def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Exponential moving average: average <- decay * average + (1 - decay) * net; buffers are copied."""
    with torch.no_grad():
        for mean, value in zip(average.parameters(), net.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for kept, buffer in zip(average.buffers(), net.buffers(), strict=True):
            kept.copy_(buffer)


def unwrap(net: nn.Module) -> nn.Module:
    """The network inside a data-parallel wrapper."""
    return net.module if isinstance(net, nn.parallel.DistributedDataParallel) else net


def save_state(folder: Path, state: TrainState, keep: int = 2) -> Path:
    """Write `state-<step>.pt` into `folder` in one move; only the newest `keep` stay. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"state-{state.step:08d}.pt"
    temporary = path.with_suffix(".tmp")
    torch.save(state.state_dict(), temporary)
    os.replace(temporary, path)
    for old in list_states(folder)[:-keep] if keep > 0 else ():
        old.unlink(missing_ok=True)
    return path


def list_states(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the oldest first."""
    found: Iterable[Path] = folder.glob("state-*.pt") if folder.is_dir() else ()
    return sorted(path for path in found if re.fullmatch(r"state-\d{8}\.pt", path.name))


def newest_state(folder: Path) -> Path | None:
    """The last of `list_states`, None if there is none."""
    return next(reversed(list_states(folder)), None)


def load_state(path: Path, state: TrainState) -> dict[str, str] | None:
    """Restore `state` from a file of `save_state`, without executing anything in it.

    Returns the `loss_networks` of the run that saved it, which `state` keeps its own of: who validates has
    none. None if the checkpoint is from before they were kept.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            changed = archive.testzip()  # torch does not look at the checksums that it writes
        if changed is not None:
            raise ValueError(f"{changed} is not what was written")
        values = torch.load(path, map_location=state.device, weights_only=True)
    except torch.OutOfMemoryError:  # a RuntimeError, but the file is whole
        raise
    except _DAMAGE as error:
        raise DataError(f"{path}: damaged checkpoint ({_first_line(error)}).") from error
    state.load_state_dict(values)
    return values.get("loss_networks")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
