"""What a worker asks of Ray, with a stand-in for it: no cluster is started."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch

from segtalker.errors import DataError
from segtalker.storage import join, put_folder, read_bytes, remove, write_bytes
from segtalker.training.loop import LocalContext, RunConfig
from segtalker.training.resume import resume
from segtalker.training.run import run_task
from segtalker.training.state import list_states
from tests.training.ranks import run_ranks
from tests.training.toy import ToyTask

pytestmark = pytest.mark.ray
RUN = RunConfig(max_steps=6, save_every=2, keep=3, log_every=6, validate_every=0, picture_every=0)


@pytest.fixture
def run(store, tmp_path, monkeypatch):
    """The URI of a run with committed checkpoints of the steps 2, 4 and 6, of which Ray kept all."""
    import ray.train.torch

    run_task(ToyTask(6), RUN, LocalContext(tmp_path / "states", "cpu"), tmp_path / "figures", quiet=True)
    names = []
    for path in list_states(tmp_path / "states"):
        names.append(f"step_{path.stem.removeprefix('state-')}")
        folder = tmp_path / "staged" / names[-1]
        folder.mkdir(parents=True)
        path.rename(folder / path.name)
        put_folder(folder, join(store, names[-1]))
    kept = [SimpleNamespace(checkpoint=SimpleNamespace(path=f"bucket/{name}")) for name in names]
    place = SimpleNamespace(get_world_rank=lambda: 0, get_world_size=lambda: 1)
    monkeypatch.setattr(ray.train, "get_context", lambda: place)
    monkeypatch.setattr(ray.train.torch, "get_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(ray.train, "get_checkpoint", lambda: kept[-1].checkpoint)
    monkeypatch.setattr(ray.train, "get_all_reported_checkpoints", lambda consistency_mode: kept)
    return store


def resumed(run, tmp_path):
    """The step that a worker begins at, what it says, the names that it gives to new checkpoints."""
    from ray_jobs.context import RayContext

    context = RayContext(run, tmp_path / "scratch")
    state = ToyTask(6).build(LocalContext(tmp_path, "cpu"))
    said = resume(state, context)
    return state.step, said, [context._new_name(step) for step in (6, 8)]


def changed(uri):
    data = bytearray(read_bytes(uri))
    data[len(data) // 2] ^= 1  # the manifest has the checksum of every byte
    write_bytes(uri, bytes(data))


DAMAGES = {
    "a changed file": lambda folder: changed(join(folder, "state-00000006.pt")),
    "a file that is cut short": lambda folder: write_bytes(join(folder, "state-00000006.pt"), b"PK"),
    "a file that is gone": lambda folder: remove(join(folder, "state-00000006.pt")),
    "no manifest": lambda folder: remove(join(folder, "MANIFEST.json")),
    "a damaged manifest": lambda folder: write_bytes(join(folder, "MANIFEST.json"), b"{"),
}


def test_a_whole_run_goes_on_from_its_last_committed_checkpoint(run, tmp_path):
    assert resumed(run, tmp_path)[:2] == (6, [])
    assert b'{"step": 6, "workers": 1}' in read_bytes(join(run, "starts.jsonl"))


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_run_goes_on_from_the_committed_checkpoint_before_a_damaged_one(damage, run, tmp_path):
    damage(join(run, "step_00000006"))
    step, (sentence,), names = resumed(run, tmp_path)
    assert step == 4 and "step_00000006" in sentence and sentence.endswith("goes on from step 4.")
    assert b'{"step": 4, "workers": 1}' in read_bytes(join(run, "starts.jsonl"))
    # Ray deletes the old checkpoint by its name some day: a new one of the same name would go with it.
    assert names == ["step_00000006-2", "step_00000008"]


def test_names_of_checkpoints_never_come_back(run, tmp_path):
    from ray_jobs.context import RayContext

    context = RayContext(run, tmp_path / "scratch")
    context._registered = ["step_00000004", "step_00000006-2"]
    names = [context._new_name(step) for step in (2, 4, 6)]
    assert names == ["step_00000002", "step_00000004-2", "step_00000006-3"]


def test_a_run_whose_checkpoints_are_all_damaged_ends(run, tmp_path):
    for step in (2, 4, 6):
        remove(join(run, f"step_{step:08d}", "MANIFEST.json"))
    with pytest.raises(DataError, match="step_00000006: no MANIFEST.*None of the run's 3 checkpoints"):
        resumed(run, tmp_path)


def test_a_worker_that_never_answers_ends_the_attempt_of_the_others_with_a_sentence(tmp_path):
    from ray_jobs.context import told_hang

    def work(rank):
        if rank:
            time.sleep(1.0)  # longer than anyone waits
            return None
        with told_hang(0.5):
            torch.distributed.all_reduce(torch.ones(1))

    told, _ = run_ranks(work, tmp_path, timeout_s=0.5)
    assert told.startswith("SegTalkerError: no answer from another worker for 0.5 s: it hangs")
    assert "last committed checkpoint" in told and "--hang-timeout" in told


def test_another_error_of_a_worker_is_left_as_it_is():
    from ray_jobs.context import told_hang

    with pytest.raises(RuntimeError, match="^out of memory$"), told_hang(1):
        raise RuntimeError("out of memory")
