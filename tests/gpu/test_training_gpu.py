"""Trainings on CUDA: steps equal those of the CPU, checkpoints travel between the two, memory is counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks._paper_trainings import draw_corpus, measure
from segtalker.models.syncnet import SyncNet
from segtalker.training.loop import LocalContext, Metrics, load_batches, run_loop
from segtalker.training.run import make_task
from segtalker.training.state import load_state, save_state
from segtalker.weights.checkpoint import save_weights
from tests.gpu.device import GPU
from tests.training.recipes import smoke_config

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("exact_float32")]
BF16 = 0.01
"""How far bf16 may take the first loss from that of fp32, as a part of it."""


@pytest.fixture(scope="module", params=["syncnet", "tsg", "sgi"])
def training(request: pytest.FixtureRequest, tmp_path_factory) -> tuple[str, Callable[..., Any]]:
    """A network, and its smoke configuration with changes; TSG learns with the sync loss too."""
    folder, network = tmp_path_factory.mktemp("gpu"), request.param
    corpus, changes = draw_corpus(folder / "corpus", 32), []
    if network == "tsg":
        torch.manual_seed(0)
        cfg = smoke_config("syncnet", corpus).model
        changes = [
            f"syncnet={save_weights(SyncNet(cfg), cfg, folder / 'syncnet.safetensors')}",
            "sync_from=0",
        ]
    return network, partial(smoke_config, network, corpus, *changes)


def steps(
    network: str, cfg: Any, device: str, folder: Path, count: int, resume: Path | None = None
) -> tuple[list[Metrics], Path]:
    """Metrics of `count` steps, and a checkpoint of their end."""
    task, context = make_task(network, cfg), LocalContext(folder / device, device)
    state = task.build(context)
    if resume is not None:
        load_state(resume, state)
    stop, seen = state.step + count, []
    batches = load_batches(task.batches(), state.step, stop, context)
    run_loop(state, batches, task.step, max_steps=stop, on_step=lambda _, metrics: seen.append(metrics))
    return seen, save_state(context.folder, state)


def test_the_first_step_is_that_of_the_cpu(training, tmp_path: Path) -> None:
    network, make_config = training
    (expected,), _ = steps(network, make_config(), "cpu", tmp_path, 1)
    (found,), _ = steps(network, make_config(), "cuda", tmp_path, 1)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert ("r1" in found, "sync" in found) == (network == "sgi", network == "tsg")


def test_bfloat16_stays_near_and_goes_on(training, tmp_path: Path) -> None:
    network, make_config = training
    (expected,), _ = steps(network, make_config(), "cpu", tmp_path, 1)
    found, _ = steps(network, make_config("run.precision=bf16"), "cuda", tmp_path, 3)
    assert found[0]["loss"] == pytest.approx(expected["loss"], rel=BF16)
    assert all(math.isfinite(metrics["loss"]) and metrics["grad_norm"] > 0 for metrics in found)


@pytest.mark.parametrize(("before", "after"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_training_goes_on_where_another_device_left_it(
    training, before: str, after: str, tmp_path: Path
) -> None:
    network, make_config = training
    _, checkpoint = steps(network, make_config(), before, tmp_path / "first", 2)
    (expected,), _ = steps(network, make_config(), before, tmp_path / "stays", 1, checkpoint)
    (found,), _ = steps(network, make_config(), after, tmp_path / "moves", 1, checkpoint)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_the_memory_of_a_training_is_counted(training, tmp_path: Path) -> None:
    network, make_config = training
    speed = measure(network, make_config(), GPU, 2, tmp_path)
    assert speed.steps_per_second > 0 and speed.peak_memory_gb is not None
    state = make_task(network, make_config()).build(LocalContext(tmp_path, "cpu"))
    weights = sum(value.numel() * 4 for net in state.nets.values() for value in net.parameters())
    assert weights / 1e9 < speed.peak_memory_gb < 8
