"""The training job: the figures and weights of `segtalker train`, whatever happens to a worker."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from tests.training.pictures import make_picture_corpus
from tests.training.recipes import CONFIGS, read_metrics
from tests.training.tiny import make_tiny_corpus

pytestmark = pytest.mark.ray
SYNCNET = CONFIGS / "smoke" / "syncnet.yaml"


@pytest.fixture(scope="module")
def tiny_corpus(tmp_path_factory):
    return make_tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny")


@pytest.fixture(scope="module")
def overrides(tiny_corpus):
    """Six steps with a checkpoint after every second one."""
    run = {"max_steps": 6, "log_every": 1, "save_every": 2, "validate_every": 3, "picture_every": 6}
    return [f"clips.folder={tiny_corpus}", *(f"run.{key}={value}" for key, value in run.items())]


@pytest.fixture(scope="module")
def trained(cluster, overrides, tmp_path_factory):
    """The run folder of an undisturbed training by two workers."""
    from ray_jobs.train import Scale, train

    storage = tmp_path_factory.mktemp("storage")
    outcome = train("syncnet", SYNCNET, overrides, str(storage), Scale(workers=2, cpus_per_worker=0.5))
    return Path(outcome["run"])


def arguments(overrides, storage, *more):
    settings = [part for override in overrides for part in ("--set", override)]
    return ["syncnet", str(SYNCNET), "--storage", str(storage), *settings, *more]


def figures(folder):
    """Rows of metrics.jsonl without times."""
    return [{k: v for k, v in row.items() if k != "elapsed_s"} for row in read_metrics(folder)]


def test_two_workers_equal_one_process(trained, overrides, tmp_path):
    from segtalker.training.run import train

    alone = train("syncnet", SYNCNET, overrides, out=tmp_path / "alone", quiet=True).parent
    expected, found = figures(alone), figures(trained)
    # Two halves are summed in another order than the whole: 5e-6 was found at most (of a gradient norm).
    assert [row["step"] for row in found] == [row["step"] for row in expected]
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    weights, others = (
        torch.load(next(folder.rglob("state-00000006.pt")))["nets"]["syncnet"] for folder in (trained, alone)
    )
    for name, tensor in others.items():
        # A constant that a norm or a mean takes away again has no gradient but rounding, on which Adam walks.
        if not name.endswith("conv_block.0.bias") and not name.startswith("shape_heads"):
            assert torch.allclose(weights[name], tensor, rtol=0, atol=2e-5), name


def test_the_folder_in_storage_is_that_of_a_run(trained):
    names = {path.name for path in trained.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "outcome.json", "samples", "syncnet.safetensors"} <= names
    assert [path.name for path in sorted(trained.glob("step_*"))] == ["step_00000004", "step_00000006"]
    assert sorted(path.name for path in (trained / "step_00000006").iterdir()) == [
        "MANIFEST.json",
        "state-00000006.pt",
    ]


def test_the_same_command_finds_the_run_finished(trained, overrides, monkeypatch, capsys):
    from ray_jobs import train as job

    monkeypatch.setattr(job, "TorchTrainer", lambda *args, **kwargs: pytest.fail("trains again"))
    before = (trained / "syncnet.safetensors").stat().st_mtime_ns
    assert job.main(arguments(overrides, trained.parent, "--workers", "3")) == 0
    assert f"weights: {trained / 'syncnet.safetensors'} (6 steps" in capsys.readouterr().out
    assert (trained / "syncnet.safetensors").stat().st_mtime_ns == before


def test_a_run_goes_on_from_its_committed_checkpoint_when_a_worker_is_killed(
    trained, overrides, tmp_path, monkeypatch
):
    from ray_jobs import train as job

    log = tmp_path / "steps.txt"
    monkeypatch.setattr(job, "train_worker", killed_once(tmp_path / "killed", log))
    scale = job.Scale(workers=2, cpus_per_worker=0.5, max_failures=1)
    outcome = job.train("syncnet", SYNCNET, overrides, str(tmp_path / "storage"), scale)
    # Step 5 (the fifth, after the checkpoint of four) was begun twice, the first four were not repeated.
    assert log.read_text().split() == ["0", "1", "2", "3", "4", "4", "5"]
    assert figures(Path(outcome["run"])) == figures(trained)
    again, straight = load_file(outcome["weights"]), load_file(trained / "syncnet.safetensors")
    assert all(torch.equal(again[name], straight[name]) for name in straight)


def test_a_run_whose_last_checkpoint_is_damaged_ends_as_if_it_were_whole(trained, overrides, tmp_path):
    from ray_jobs.train import Scale, train

    run = tmp_path / trained.name
    shutil.copytree(trained, run)
    for left in ("outcome.json", "syncnet.safetensors"):
        (run / left).unlink()
    (run / "step_00000006" / "state-00000006.pt").write_bytes(b"cut short")
    outcome = train("syncnet", SYNCNET, overrides, str(tmp_path), Scale(workers=2, cpus_per_worker=0.5))
    assert json.loads((run / "starts.jsonl").read_text().splitlines()[-1]) == {"step": 4, "workers": 2}
    # The new checkpoint of step 6 has a name of its own, so that Ray may retire the damaged one.
    assert "step_00000006-2" in {path.name for path in run.glob("step_*")}
    assert figures(run) == figures(trained)
    again, straight = load_file(outcome["weights"]), load_file(trained / "syncnet.safetensors")
    assert all(torch.equal(again[name], straight[name]) for name in straight)


def test_a_task_beside_the_workers_finds_the_held_out_figures_that_they_would(trained, overrides, tmp_path):
    from ray_jobs.train import Scale, train

    scale = Scale(cpus_per_worker=0.5, validate_apart=True)
    run = Path(train("syncnet", SYNCNET, overrides, str(tmp_path), scale)["run"])
    held_out = [row for row in figures(trained) if row["step"] == 3 and "val_accuracy" in row]
    assert len(held_out) == 1
    found = json.loads((run / "validation" / "step_00000003.json").read_text())
    assert found == pytest.approx(held_out[0], rel=1e-4)
    assert [
        row for row in figures(run) if "val_accuracy" in row and row["step"] == 3
    ] == []  # nobody else did
    assert json.loads((run / "outcome.json").read_text())["figures"].keys() == found.keys() - {"step"}


def killed_once(marker, log):
    """A worker loop in which rank 1 dies by SIGKILL before the fifth step, once its checkpoint counts."""

    def worker(job):
        import os
        import signal

        import ray.train
        from ray.train import CheckpointConsistencyMode

        from ray_jobs.context import train_worker
        from segtalker.training.syncnet_step import SyncNetTask

        step = SyncNetTask.step
        rank = ray.train.get_context().get_world_rank()

        def deadly(self, state, batch):
            if rank == 0:
                with log.open("a") as file:
                    file.write(f"{state.step}\n")
            if state.step == 4 and rank == 1 and not marker.exists():
                ray.train.get_all_reported_checkpoints(consistency_mode=CheckpointConsistencyMode.COMMITTED)
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return step(self, state, batch)

        SyncNetTask.step = deadly
        train_worker(job)

    return worker


@pytest.mark.filterwarnings("ignore:.broadcast_buffers:FutureWarning", "ignore:Grad strides")
@pytest.mark.parametrize("network", ["speech", "syncnet", "tsg", "sgi"])
def test_every_parameter_takes_part_in_every_step(network, tiny_corpus, tmp_path):
    """Data parallelism waits for the gradient of each; one process that shares with itself finds out."""
    from torch.nn.parallel import DistributedDataParallel

    from segtalker.training.loop import LocalContext
    from segtalker.training.run import load_train_config, make_task

    class Shared(LocalContext):
        def wrap(self, net):
            return DistributedDataParallel(net, broadcast_buffers=False)

    corpus = make_picture_corpus(tmp_path / "pictures") if network == "sgi" else tiny_corpus
    cfg = load_train_config(network, CONFIGS / "smoke" / f"{network}.yaml", [f"clips.folder={corpus}"])
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        task = make_task(network, cfg)
        state = task.build(Shared(tmp_path, "cpu"))
        for number in range(3):  # what is missing in one step is an error of the next
            task.step(state, task.batches().batch(number, 0, 1))
            state.step += 1
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--set", "optimizer.learn=1"], 2, "unknown key 'optimizer.learn'"),
        (["--set", "clips.folder=/nowhere"], 6, "/nowhere"),
        (["--workers", "3"], 2, "batch of 4 cannot be shared by 3 workers"),
        (["--workers", "2", "--set", "accumulate=4"], 2, "a batch of 2 cannot be accumulated in 4"),
        (["--workers", "0"], 2, "--workers must be >= 1"),
        (["--run", "../mine"], 2, "--run ../mine: a name is of letters"),
        (["--hang-timeout", "0"], 2, "--hang-timeout 0: must be at least 1 second"),
        (["--workers", "2", "--max-workers", "1"], 2, "--max-workers 1 is less than --workers 2"),
        (["--workers", "2", "--max-workers", "4"], 2, "batch of 4 cannot be shared by 3 workers"),
        (["--set", "run.device=cuda"], 2, "run.device is cuda"),
        (["--storage", "memory://runs"], 2, "memory of another process"),
        (["--storage", "nonsense://runs"], 7, "nonsense://runs"),
    ],
)
def test_a_mistake_is_one_line_before_ray_starts(
    more, code, message, overrides, tmp_path, monkeypatch, capsys
):
    from ray_jobs import train as job

    monkeypatch.setattr(job, "ray", None)
    assert job.main([*arguments(overrides, tmp_path), *more]) == code
    found = capsys.readouterr().err
    assert message in found and found.startswith("ray_jobs.train: ") and found.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--gpus-per-worker", "1"], "2 nodes with 5 CPU, 1 GPU hold 1."),
        (["--cpus-per-worker", "3"], "no room for 2 workers of 3 CPU each: 2 nodes with 5 CPU"),
    ],
)
def test_more_than_the_cluster_has_is_refused_at_once(
    more, message, overrides, tmp_path, monkeypatch, capsys
):
    from ray_jobs import train as job

    nodes = [{"CPU": 2.0, "GPU": 1.0}, {"CPU": 3.0}, {"CPU": 64.0, "GPU": 8.0}]
    alive = (True, True, False)
    found = [{"Alive": a, "Resources": node} for a, node in zip(alive, nodes, strict=True)]
    monkeypatch.setattr(job.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(job.ray, "nodes", lambda: found)
    assert job.main([*arguments(overrides, tmp_path), "--workers", "2", *more]) == 2
    line = capsys.readouterr().err
    assert message in line and "--wait-for-nodes" in line and line.count("\n") == 1


def test_workers_wait_for_each_other_as_long_as_they_are_told(overrides, tmp_path, monkeypatch):
    from ray_jobs import train as job

    def start(worker, *, train_loop_config, torch_config, **others):
        told.extend([torch_config.timeout_s, train_loop_config["hang_timeout_s"]])
        outcome = Path(train_loop_config["run"]) / "outcome.json"
        outcome.write_text(json.dumps({"weights": "x", "steps": 6, "figures": {}}))
        return SimpleNamespace(fit=lambda: None)

    told: list[int] = []
    monkeypatch.setenv("RAY_TRAIN_COLLECTIVE_TIMEOUT_S", "")  # so that it is put back
    monkeypatch.delenv("RAY_TRAIN_COLLECTIVE_TIMEOUT_S")
    monkeypatch.setattr(job.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(job.ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    monkeypatch.setattr(job, "TorchTrainer", start)
    assert job.main([*arguments(overrides, tmp_path), "--hang-timeout", "90"]) == 0
    assert told == [90, 90] and os.environ["RAY_TRAIN_COLLECTIVE_TIMEOUT_S"] == "90"


def test_shares_of_a_processor_fit_exactly():
    from ray_jobs.train import Scale, check_room

    check_room(Scale(workers=20, cpus_per_worker=0.1), [{"CPU": 2.0}])


def test_the_message_of_a_worker_is_told_and_not_that_of_its_partner():
    from ray.train import WorkerGroupError
    from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

    from ray_jobs.train import _explained
    from segtalker.errors import StorageError

    lost = RuntimeError("[/pytorch/gloo.cc] Connection closed by peer")
    raised = UserExceptionWithTraceback(StorageError("s3://b/x: cannot read it."), "Traceback ...")
    error = _explained(WorkerGroupError("...", {0: lost, 1: raised}))
    assert isinstance(error, StorageError) and str(error) == "worker 1: s3://b/x: cannot read it."
    assert str(_explained(WorkerGroupError("...", {0: lost}))).startswith("worker 0: RuntimeError: [/py")
