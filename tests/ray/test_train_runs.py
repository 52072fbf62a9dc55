"""Which run the training job goes on with, when the cache gains a network between two starts.

No cluster is started: in place of Ray's trainer, the worker's part of the job runs here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segtalker.config import load_yaml
from segtalker.errors import ConfigError, SegTalkerError, WeightsError
from segtalker.training.loop import LocalContext
from segtalker.training.run import make_task, run_task
from segtalker.weights import store
from tests.training.pictures import make_picture_corpus
from tests.training.recipes import CONFIGS
from tests.weights.judges import put

pytestmark = pytest.mark.ray
FACE = "networks.arcface"
Start = Callable[..., dict[str, Any]]


class Interrupted(LocalContext):
    """Is told to stop after its first step."""

    def should_stop(self) -> bool:
        return True


class Trainer:
    """As `TorchTrainer` with one worker on this machine; without a checkpoint it is interrupted."""

    def __init__(self, worker: object, *, train_loop_config: dict[str, Any], **others: object) -> None:
        self._job = train_loop_config

    def fit(self) -> None:
        cfg, folder = self._job["cfg"], Path(self._job["run"])
        checkpoints = folder / "checkpoints"
        context = (LocalContext if checkpoints.exists() else Interrupted)(checkpoints, "cpu")
        task = make_task(self._job["network"], cfg)
        state, figures = run_task(task, cfg.run, context, folder, quiet=True)
        if state.step < cfg.run.max_steps:
            raise SegTalkerError("interrupted")
        weights = task.save(state, folder, figures).name
        (folder / "outcome.json").write_text(
            json.dumps({"weights": weights, "steps": state.step, "figures": figures})
        )


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts the job of a small SGI whose identity loss is on where the cache holds its network."""
    from ray_jobs import train as job

    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RAY_TRAIN_COLLECTIVE_TIMEOUT_S", "")  # so that it is put back
    monkeypatch.setattr(job.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(job.ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    monkeypatch.setattr(job, "TorchTrainer", Trainer)
    corpus = make_picture_corpus(tmp_path / "pictures")
    run = {"max_steps": 2, "save_every": 1, "validate_every": 0, "picture_every": 0, "log_every": 1}
    common = [f"clips.folder={corpus}", "loss.id_weight=0.1", *(f"run.{k}={v}" for k, v in run.items())]

    def started(*overrides: str, name: str = "") -> dict[str, Any]:
        config = CONFIGS / "smoke" / "sgi.yaml"
        return job.train(
            "sgi", config, [*common, *overrides], str(tmp_path / "runs"), job.Scale(workers=1), name
        )

    return started


def test_a_network_that_appears_between_two_starts_is_refused_and_can_be_left_out(
    start: Start, tmp_path: Path
):
    with pytest.raises(SegTalkerError, match="interrupted"):
        start()
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("sgi-") and load_yaml(run / "config.yaml")["networks"]["arcface"] == "auto"
    put("irse50", tmp_path)
    with pytest.raises(
        WeightsError, match=f"{FACE} was off and is on now .*--set {FACE}=null.*--run"
    ) as error:
        start()
    assert "\n" not in str(error.value) and not (run / "outcome.json").exists()
    done = start(f"{FACE}=null", name=run.name)
    assert done["steps"] == 2 and done["run"] == str(run)
    assert [row["step"] for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())][-1] == 2
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.name]


def test_a_network_that_goes_between_two_starts_is_asked_for(start: Start, tmp_path: Path):
    put("irse50", tmp_path)
    with pytest.raises(SegTalkerError, match="interrupted"):
        start(name="mine")
    place = store.place_of("irse50")
    assert place is not None
    kept = place.rename(tmp_path / "kept")
    with pytest.raises(WeightsError, match=f"{FACE} was on and is off now .import its file again"):
        start(name="mine")
    kept.rename(place)
    assert start(name="mine")["run"] == str(tmp_path / "runs" / "mine")


def test_a_run_left_without_a_network_by_its_own_name_is_another_one(start: Start, tmp_path: Path):
    """A run is named by its configuration: null is another one than auto, whose folder has to be named."""
    for override in (f"{FACE}=auto", f"{FACE}=null"):
        with pytest.raises(SegTalkerError, match="interrupted"):
            start(override)
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_named_run_goes_on_with_its_own_configuration_only_even_if_it_is_finished(
    start: Start, tmp_path: Path
):
    with pytest.raises(SegTalkerError, match="interrupted"):
        start(name="mine")
    before = (tmp_path / "runs" / "mine" / "config.yaml").read_text()
    words = "runs/mine: holds a run of another configuration .*another folder with --run"
    with pytest.raises(ConfigError, match=words):
        start("optimizer.lr=0.5", name="mine")
    start(name="mine")
    with pytest.raises(ConfigError, match=words):
        start("optimizer.lr=0.5", name="mine")
    assert (tmp_path / "runs" / "mine" / "config.yaml").read_text() == before
    start("run.log_every=2", name="mine")  # what is only told is free
