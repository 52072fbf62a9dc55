"""Smoke trainings on the tiny corpus, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segtalker.training.loop import LocalContext, Metrics, load_batches, run_loop
from segtalker.training.run import load_train_config, make_task
from segtalker.training.state import TrainState, load_state

CONFIGS = Path(__file__).parents[2] / "configs"


def smoke_config(network: str, corpus: Path, *overrides: str, name: str | None = None) -> Any:
    path = CONFIGS / "smoke" / f"{name or network}.yaml"
    return load_train_config(network, path, [f"clips.folder={corpus}", *overrides])


def run_steps(
    network: str, cfg: Any, stop: int, folder: Path, resume: Path | None = None
) -> tuple[TrainState, list[Metrics]]:
    """Train up to step `stop`, from scratch or from a checkpoint; also the metrics of each step."""
    task, context = make_task(network, cfg), LocalContext(folder, "cpu")
    state = task.build(context)
    if resume is not None:
        load_state(resume, state)
    seen: list[Metrics] = []
    batches = load_batches(task.batches(), state.step, stop, context)
    run_loop(state, batches, task.step, max_steps=stop, on_step=lambda state, metrics: seen.append(metrics))
    return state, seen


def read_metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
