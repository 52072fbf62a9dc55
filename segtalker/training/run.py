"""A whole training run: configuration, data, state, loop, and a folder that holds everything it made.

    train("tsg", "configs/mini/tsg.yaml", ["run.max_steps=200"])

A run folder holds `config.yaml`, `metrics.jsonl`, `checkpoints/`, `samples/` and the slim weights. Started
again with the same folder, a run goes on from its newest checkpoint that is whole. `run_task` is what Ray
Train shares.
"""

from __future__ import annotations

import importlib
import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from segtalker.config import config_hash, load_config
from segtalker.errors import ConfigError, SegTalkerError
from segtalker.training.logging import RunLog
from segtalker.training.loop import (
    LocalContext,
    Metrics,
    RunConfig,
    Task,
    TrainContext,
    load_batches,
    run_loop,
)
from segtalker.training.provenance import training_lineage
from segtalker.training.resume import resume
from segtalker.training.run_config import keep_config, refuse_other_config
from segtalker.training.state import TrainState, save_state
from segtalker.training.steps import slow_precision

TASKS: dict[str, tuple[str, str, str]] = {
    "speech": ("segtalker.training.speech_step", "SpeechTask", "SpeechTrainConfig"),
    "syncnet": ("segtalker.training.syncnet_step", "SyncNetTask", "SyncNetTrainConfig"),
    "tsg": ("segtalker.training.tsg_step", "TSGTask", "TSGTrainConfig"),
    "sgi": ("segtalker.training.sgi_step", "SGITask", "SGITrainConfig"),
    "parsing_unet": ("segtalker.training.parsing_unet_step", "ParsingUNetTask", "ParsingUNetTrainConfig"),
    "identity": ("segtalker.training.identity_step", "IdentityTask", "IdentityTrainConfig"),
}
"""Network -> module, task class and configuration class; imported when needed."""

_MAX_BAD_LOSSES = 10


def train(
    network: str,
    config_path: Path | str | None,
    overrides: Sequence[str] = (),
    out: Path | None = None,
    quiet: bool = False,
) -> Path:
    """Train a network alone on this machine; returns the path of its slim weights.

    out: run folder, `runs/NETWORK-CONFIGHASH` by default. Ctrl-C or SIGTERM saves a checkpoint and raises
    `SegTalkerError`; the same call resumes.
    """
    cfg = load_train_config(network, config_path, overrides)
    folder = Path(out) if out is not None else Path("runs") / f"{network}-{config_hash(cfg)}"
    refuse_other_config(folder, cfg)
    keep_config(folder, cfg)
    if cfg.run.threads:
        torch.set_num_threads(cfg.run.threads)
    context = LocalContext(folder / "checkpoints", cfg.run.device)
    task = make_task(network, cfg)
    with _stop_on_signal(context):
        state, figures = run_task(task, cfg.run, context, folder, quiet)
    if state.step < cfg.run.max_steps:
        raise SegTalkerError(
            f"stopped at step {state.step} of {cfg.run.max_steps}; the same command goes on ({folder})."
        )
    return task.save(state, folder, figures)


def load_train_config(network: str, path: Path | str | None, overrides: Sequence[str] = ()) -> Any:
    """The training configuration of a network from YAML and `a.b=c` overrides."""
    if network not in TASKS:
        raise ConfigError(f"no training of '{network}'; there are {', '.join(TASKS)}.")
    module, _, config_name = TASKS[network]
    return load_config(getattr(importlib.import_module(module), config_name), path, overrides)


def make_task(network: str, cfg: Any) -> Task:
    """The task that trains `network`, from its configuration."""
    module, class_name, _ = TASKS[network]
    return getattr(importlib.import_module(module), class_name)(cfg)


def run_task(
    task: Task, cfg: RunConfig, context: TrainContext, folder: Path, quiet: bool = False
) -> tuple[TrainState, Metrics]:
    """Build or restore, train, validate at the end; rank 0 writes. Returns the state and last figures."""
    torch.manual_seed(cfg.seed)  # of what is drawn before the first step; each step has a seed of its own
    state = task.build(context)
    state.lineage = training_lineage(task.cfg)
    warnings = [f"warning: {sentence}" for sentence in resume(state, context)]
    leads = context.rank == 0
    with RunLog(folder, cfg.max_steps, state.step, quiet or not leads) as log:
        notes = [f"note: {note}" for note in (*task.notes, *slow_precision(state.device, cfg.precision))]
        for sentence in warnings + notes:
            log.say(sentence)
        keeper = _Keeper(task, cfg, context, log)
        batches = load_batches(task.batches(), state.step, cfg.max_steps, context, cfg.workers)
        run_loop(
            state,
            batches,
            task.step,
            max_steps=cfg.max_steps,
            on_step=keeper.on_step,
            should_stop=context.should_stop,
            seed=cfg.seed,
            rank=context.rank,
        )
        figures = keeper.finish(state)
    return state, figures


class _Keeper:
    """The loop's `on_step`: logs, saves, validates and warns at the steps that the configuration names."""

    def __init__(self, task: Task, cfg: RunConfig, context: TrainContext, log: RunLog) -> None:
        self._task, self._cfg, self._context, self._log = task, cfg, context, log
        self._bad_losses = 0
        self._alerted = False
        self._saved = -1

    def on_step(self, state: TrainState, metrics: Metrics) -> None:
        cfg, step = self._cfg, state.step
        self._check_finite(step, metrics)
        if self._context.rank == 0:
            self._log.advance(metrics)
        last = step >= cfg.max_steps
        if step % cfg.log_every == 0 or last:
            metrics = self._context.average(metrics)
            self._report(step, metrics)
        if cfg.validate_every and step % cfg.validate_every == 0 and not last:
            if self._context.validates:
                self._validate(state)
            else:
                self._save(state, metrics, validate=True)
        if cfg.picture_every and step % cfg.picture_every == 0 and not last and self._context.rank == 0:
            self._log.picture(step, self._task.picture(state))
        if step % cfg.save_every == 0 or last:
            self._save(state, metrics)

    def finish(self, state: TrainState) -> Metrics:
        """At the end, or when stopped: a checkpoint; when complete also the last figures and picture."""
        if state.step < self._cfg.max_steps:
            self._save(state, {})
            return {}
        if self._context.rank == 0:
            self._log.picture(state.step, self._task.picture(state))
        return self._validate(state)

    def _report(self, step: int, metrics: Metrics) -> None:
        if self._context.rank == 0:
            self._log.write(step, metrics)
        alert = None if self._alerted else self._task.alert(step, metrics)
        if alert:
            self._alerted = True
            self._log.say(f"warning, step {step}: {alert}")

    def _validate(self, state: TrainState) -> Metrics:
        started = time.perf_counter()
        figures = self._task.validate(state)
        if self._context.rank == 0:
            self._log.write(state.step, figures)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self._log.say(f"step {state.step}: {shown} ({time.perf_counter() - started:.1f} s)")
        return figures

    def _save(self, state: TrainState, metrics: Mapping[str, float], validate: bool = False) -> None:
        if self._saved == state.step:
            return
        path = None
        if self._context.rank == 0:
            path = save_state(self._context.folder, state, self._cfg.keep)
        self._context.report({"step": float(state.step), **metrics}, path, validate)
        self._saved = state.step

    def _check_finite(self, step: int, metrics: Metrics) -> None:
        self._bad_losses = 0 if math.isfinite(metrics["loss"]) else self._bad_losses + 1
        if self._bad_losses >= _MAX_BAD_LOSSES:
            raise SegTalkerError(
                f"step {step}: the loss was not finite for {_MAX_BAD_LOSSES} steps. Lower the learning rate "
                "or train with run.precision=fp32; the last checkpoint is from before."
            )


@contextmanager
def _stop_on_signal(context: LocalContext) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM lets the step end and saves; the second one is the usual."""

    def stop(number: int, frame: object) -> None:
        context.stop = True
        signal.signal(number, signal.default_int_handler)

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: whoever started the thread looks after signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
