"""A damaged checkpoint costs the steps since the one before, and is told; no run begins anew by itself."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
import torch

from segtalker.errors import ConfigError, DataError, WeightsError
from segtalker.readiness import PRESETS
from segtalker.training.loop import LocalContext, RunConfig
from segtalker.training.resume import resume
from segtalker.training.run import load_train_config, run_task
from segtalker.training.run_config import keep_config, refuse_other_config
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


class JudgedTask(ToyTask):
    """A toy whose objective looks through networks."""

    def __init__(self, max_steps, networks):
        super().__init__(max_steps)
        self.networks = networks

    def build(self, context):
        state = super().build(context)
        state.loss_networks = self.networks
        return state


def judged_to(step, folder, networks):
    cfg = dataclasses.replace(RUN, max_steps=step)
    return run_task(JudgedTask(8, networks), cfg, LocalContext(folder / "checkpoints", "cpu"), folder)


FACE, PARSER = "networks.arcface", "networks.parsing_unet"


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({}, {FACE: "a"}, f"{FACE} was off and is on now .go on without it by --set {FACE}=null"),
        ({FACE: "a", PARSER: ""}, {FACE: "a"}, f"changed: {PARSER} was on and is off now .import its file"),
        ({FACE: "a"}, {FACE: "b"}, f"{FACE} is another file than it was .import the earlier one again"),
    ],
)
def test_a_run_does_not_go_on_with_another_objective(before, now, words, tmp_path):
    judged_to(4, tmp_path, before)
    with pytest.raises(WeightsError, match=rf"00000004\.pt: the objective .*{words}") as error:
        judged_to(6, tmp_path, now)
    assert "\n" not in str(error.value)
    assert list_states(tmp_path / "checkpoints")[-1].name == "state-00000004.pt"
    state, _ = judged_to(6, tmp_path, before)
    assert state.step == 6


def test_a_hash_that_nobody_knows_is_no_change(tmp_path):
    judged_to(4, tmp_path, {FACE: ""})
    assert judged_to(6, tmp_path, {FACE: "a"})[0].step == 6


def test_a_checkpoint_from_before_the_networks_were_kept_goes_on(tmp_path):
    judged_to(4, tmp_path, {})
    (path,) = list_states(tmp_path / "checkpoints")[-1:]
    values = torch.load(path)
    del values["loss_networks"]
    torch.save(values, path)
    assert judged_to(6, tmp_path, {FACE: "a"})[0].step == 6


def test_a_network_of_auto_may_be_left_out_where_a_run_goes_on_and_none_may_be_named(tmp_path):
    smoke = PRESETS.parent / "smoke" / "sgi.yaml"
    for place in ("auto", "null", "auto"):
        cfg = load_train_config("sgi", smoke, [f"networks.arcface={place}"])
        refuse_other_config(tmp_path, cfg)
        keep_config(tmp_path, cfg)
    other = load_train_config("sgi", smoke, ["networks.arcface=other.safetensors"])
    with pytest.raises(ConfigError, match="holds a run of another configuration"):
        refuse_other_config(tmp_path, other)


@pytest.mark.parametrize("text", ["[", "run: {steps: 1}", "text"])
def test_a_configuration_that_nobody_can_read_is_named(text, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    cfg = load_train_config("sgi", PRESETS.parent / "smoke" / "sgi.yaml")
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read .*with --run\.") as error:
        refuse_other_config(tmp_path, cfg, "--run")
    assert "\n" not in str(error.value)
