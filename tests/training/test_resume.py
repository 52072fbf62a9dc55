"""A damaged checkpoint costs the steps since the one before, and is told; no run begins anew by itself."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
import torch

from segtalker.errors import DataError
from segtalker.training.loop import LocalContext, RunConfig
from segtalker.training.resume import resume
from segtalker.training.run import run_task
from segtalker.training.state import list_states
from tests.training.ranks import SharedContext, run_ranks
from tests.training.toy import ToyTask

RUN = RunConfig(max_steps=8, save_every=2, keep=3, log_every=8, validate_every=0, picture_every=0)


def train_to(step, folder, *, keep=3):
    """Train up to `step` in `folder`, or go on there; the weights."""
    cfg = dataclasses.replace(RUN, max_steps=step, keep=keep)
    state, _ = run_task(ToyTask(8), cfg, LocalContext(folder / "checkpoints", "cpu"), folder)
    return [p.detach().clone() for p in state.nets["toy"].parameters()]


def flip_a_bit(path):
    """Of a weight, where nothing but a checksum can see it."""
    data = bytearray(path.read_bytes())
    weights = torch.load(path)["nets"]["toy"]["0.weight"]
    data[data.index(weights.numpy().tobytes())] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "one bit": flip_a_bit,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "empty": lambda path: path.write_bytes(b""),
    "of another kind": lambda path: path.write_text("not a checkpoint"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(damage, tmp_path, capsys):
    straight = train_to(8, tmp_path / "straight")
    train_to(6, tmp_path / "run")
    newest = list_states(tmp_path / "run" / "checkpoints")[-1]
    damage(newest)
    capsys.readouterr()
    weights = train_to(8, tmp_path / "run")
    assert all(torch.equal(one, other) for one, other in zip(weights, straight, strict=True))
    line, *others = capsys.readouterr().err.splitlines()
    assert not [other for other in others if "warning" in other]
    assert line.startswith(f"warning: {newest}: damaged checkpoint (")
    assert line.endswith("The run goes on from step 4.")


def test_a_checkpoint_for_which_the_memory_is_full_is_not_damaged(tmp_path, monkeypatch):
    train_to(4, tmp_path)

    def full(*_, **__):
        raise torch.OutOfMemoryError("the device is full")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(torch.OutOfMemoryError):
        train_to(8, tmp_path)
    assert len(list_states(tmp_path / "checkpoints")) == 2


def test_what_is_damaged_does_not_push_out_what_is_whole(tmp_path):
    train_to(6, tmp_path)
    folder = tmp_path / "checkpoints"
    flip_a_bit(list_states(folder)[-1])
    train_to(5, tmp_path, keep=1)
    assert sorted(path.name for path in folder.iterdir()) == [
        "state-00000005.pt",
        "state-00000006.pt.damaged",
    ]


def test_a_run_without_a_whole_checkpoint_ends_and_keeps_ending(tmp_path):
    train_to(4, tmp_path)
    for path in list_states(tmp_path / "checkpoints"):
        flip_a_bit(path)
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"00000004\.pt: damaged.*None of the run's 2 checkpoints"
        ) as error:
            train_to(8, tmp_path)
        assert "\n" not in str(error.value)


def test_all_ranks_go_on_from_the_checkpoint_that_all_of_them_can_read(tmp_path):
    train_to(6, tmp_path)
    for rank in (0, 1):
        shutil.copytree(tmp_path / "checkpoints", tmp_path / f"rank{rank}")
    flip_a_bit(tmp_path / "rank1" / "state-00000006.pt")

    def work(rank):
        context = SharedContext(tmp_path / f"rank{rank}", rank, 2)
        state = ToyTask(8).build(context)
        return resume(state, context), state.step

    (told, step), (own, other_step) = run_ranks(work, tmp_path / "group")
    assert step == other_step == 4
    assert "00000006.pt: another worker could not read" in told[0] and "rank1" in own[0]
