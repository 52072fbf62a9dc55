from __future__ import annotations

import os
import signal

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from segtalker.data.sampler import IndexedSampler
from segtalker.errors import ConfigError, DataError, SegTalkerError
from segtalker.training import run as run_module
from segtalker.training.loop import LocalContext, load_batches
from segtalker.training.run import make_task, train
from segtalker.training.state import (
    MAX_BAD_STEPS,
    OptimConfig,
    TrainState,
    learning_rate_factor,
    load_state,
    newest_state,
    save_state,
    update_average,
)
from segtalker.training.steps import slow_precision, split_batch
from segtalker.weights.checkpoint import load_weights, weights_info
from tests.training.recipes import CONFIGS, read_metrics, run_steps, smoke_config

SMOKE = CONFIGS / "smoke" / "syncnet.yaml"


def state_of(net: nn.Module, **optimizer: object) -> TrainState:
    state = TrainState(IndexedSampler(8, 2, seed=1), torch.device("cpu"))
    state.add("net", net, OptimConfig(warmup_steps=0, **optimizer), max_steps=100)  # type: ignore[arg-type]
    return state


def tensors_of(value: object, where: str = "") -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {where: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {k: v for name, item in items for k, v in tensors_of(item, f"{where}/{name}").items()}


@pytest.mark.parametrize("network", ["syncnet", "tsg"])
def test_a_resumed_run_equals_an_uninterrupted_one(network, tiny_corpus, tmp_path):
    cfg = smoke_config(network, tiny_corpus)
    straight, all_metrics = run_steps(network, cfg, 8, tmp_path)
    halfway, _ = run_steps(network, cfg, 5, tmp_path)
    checkpoint = save_state(tmp_path, halfway)
    torch.manual_seed(999)  # a new process has another generator state
    resumed, later_metrics = run_steps(network, cfg, 8, tmp_path, resume=checkpoint)
    assert later_metrics == all_metrics[5:]
    expected, found = tensors_of(straight.state_dict()), tensors_of(resumed.state_dict())
    assert expected.keys() == found.keys() and any("optimizers" in name for name in expected)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("network", ["syncnet", "tsg"])
def test_two_accumulated_halves_have_the_loss_and_the_gradients_of_the_whole_batch(
    network, tiny_corpus, tmp_path
):
    def first_step(parts: int) -> tuple[float, list[torch.Tensor]]:
        task = make_task(network, smoke_config(network, tiny_corpus, f"accumulate={parts}"))
        state = task.build(LocalContext(tmp_path, "cpu"))
        state.apply = lambda name: torch.tensor(0.0)  # type: ignore[method-assign]  # keeps the gradients
        loss = task.step(state, task.batches().batch(0, 0, 1))["loss"]
        return loss, [p.grad for p in state.nets[network].parameters() if p.grad is not None]

    (loss, gradients), (halved_loss, halved_gradients) = first_step(1), first_step(2)
    assert loss == pytest.approx(halved_loss, rel=1e-5)
    largest = max(float(g.abs().max()) for g in gradients)
    for a, b in zip(gradients, halved_gradients, strict=True):
        assert torch.allclose(a, b, atol=1e-5 * largest)


def test_a_run_folder_holds_configuration_metrics_checkpoints_samples_and_weights(tiny_corpus, tmp_path):
    path = train("syncnet", SMOKE, [f"clips.folder={tiny_corpus}"], out=tmp_path / "run", quiet=True)
    folder = tmp_path / "run"
    assert yaml.safe_load((folder / "config.yaml").read_text())["run"]["max_steps"] == 20
    steps = [row["step"] for row in read_metrics(folder) if "loss" in row]
    assert steps == [10, 20] and "val_accuracy" in read_metrics(folder)[-1]
    assert [p.name for p in sorted((folder / "checkpoints").iterdir())] == [
        "state-00000010.pt",
        "state-00000020.pt",
    ]
    assert (folder / "samples" / "00000020.png").is_file()
    info = weights_info(path)["info"]
    assert info["steps"] == 20 and info["figures"]["val_accuracy"] > 0
    assert load_weights(path, "syncnet").cfg.size == 32


def stop_at(step, monkeypatch):
    """Let the first run that reaches `step` be interrupted there."""
    finish = run_module._Keeper.on_step

    def on_step(keeper, state, metrics):
        finish(keeper, state, metrics)
        if state.step == step:
            monkeypatch.setattr(run_module._Keeper, "on_step", finish)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(run_module._Keeper, "on_step", on_step)


def last_state(folder):
    return tensors_of(torch.load(newest_state(folder / "checkpoints"), weights_only=True))


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        ("syncnet", []),
        ("syncnet", ["data.voices={corpus}", "loss.phone_weight=0.5"]),
        ("speech", ["model.context.dropout=0.1"]),
        ("speech", ["model.context.dropout=0.1", "optimizer.ema_decay=0"]),
    ],
)
def test_ctrl_c_saves_a_checkpoint_and_the_same_call_goes_on_as_if_nothing_had_happened(
    network, settings, tiny_corpus, tmp_path, monkeypatch
):
    config, folder = CONFIGS / "smoke" / f"{network}.yaml", tmp_path / "run"
    overrides = [f"clips.folder={tiny_corpus}", "run.log_every=1"]
    overrides += [setting.format(corpus=tiny_corpus) for setting in settings]
    stop_at(7, monkeypatch)
    with pytest.raises(SegTalkerError, match="stopped at step 7 of 20"):
        train(network, config, overrides, out=folder, quiet=True)
    assert newest_state(folder / "checkpoints").name == "state-00000007.pt"
    assert not (folder / f"{network}.safetensors").exists()
    train(network, config, overrides, out=folder, quiet=True)
    # Looking at the validation figures more often is no other training.
    straight = train(network, config, [*overrides, "run.validate_every=6"], tmp_path / "straight", quiet=True)
    expected, found = last_state(straight.parent), last_state(folder)
    assert expected.keys() == found.keys() and any("optimizers" in name for name in expected)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    losses = [[row["loss"] for row in read_metrics(f) if "loss" in row] for f in (folder, straight.parent)]
    assert losses[0] == losses[1] and len(losses[0]) == 20


@pytest.mark.parametrize("network", ["speech", "syncnet", "tsg"])
def test_a_resumed_run_does_not_go_back_to_the_weights_that_it_started_from(
    network, tiny_corpus, tmp_path, monkeypatch
):
    config, start = CONFIGS / "smoke" / f"{network}.yaml", tmp_path / "start.safetensors"
    corpus = f"clips.folder={tiny_corpus}"

    def first_weights(seed):
        overrides = [corpus, f"run.seed={seed}", "run.max_steps=1"]
        train(network, config, overrides, tmp_path / f"first-{seed}", quiet=True).rename(start)

    first_weights(1)
    overrides = [corpus, f"start_from={start}", "run.max_steps=6", "run.log_every=1"]
    straight = train(network, config, overrides, tmp_path / "straight", quiet=True)
    stop_at(3, monkeypatch)
    with pytest.raises(SegTalkerError, match="stopped at step 3"):
        train(network, config, overrides, tmp_path / "run", quiet=True)
    first_weights(2)  # whoever read them again now would be somebody else
    resumed = train(network, config, overrides, tmp_path / "run", quiet=True)
    expected, found = load_file(straight), load_file(resumed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_folder_of_another_configuration_is_refused_but_bookkeeping_may_change(tiny_corpus, tmp_path):
    overrides = [f"clips.folder={tiny_corpus}", "run.max_steps=2"]
    train("syncnet", SMOKE, overrides, out=tmp_path, quiet=True)
    train("syncnet", SMOKE, [*overrides, "run.log_every=1"], out=tmp_path, quiet=True)
    with pytest.raises(ConfigError, match="another configuration"):
        train("syncnet", SMOKE, [*overrides, "optimizer.lr=0.5"], out=tmp_path, quiet=True)


def test_an_unknown_network_and_a_misspelt_key_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no training of 'sgl'"):
        train("sgl", SMOKE)
    with pytest.raises(ConfigError, match="did you mean 'loss.nce_weight'"):
        train("syncnet", SMOKE, ["loss.nce_wieght=1"], out=tmp_path)


def test_gradients_that_are_not_finite_change_nothing_and_end_the_run_at_last():
    net = nn.Linear(2, 1)
    state = state_of(net)
    before = net.weight.detach().clone()
    for _ in range(MAX_BAD_STEPS - 1):
        (net(torch.ones(1, 2)).sum() * float("nan")).backward()
        state.apply("net")
    assert torch.equal(net.weight, before)
    (net(torch.ones(1, 2)).sum() * float("nan")).backward()
    with pytest.raises(SegTalkerError, match="'net' not finite 10 times in a row"):
        state.apply("net")


def test_one_good_step_forgives_the_bad_ones():
    net = nn.Linear(2, 1)
    state = state_of(net)
    for scale in [float("nan")] * (MAX_BAD_STEPS - 1) + [1.0] + [float("nan")] * (MAX_BAD_STEPS - 1):
        (net(torch.ones(1, 2)).sum() * scale).backward()
        state.apply("net")


def test_two_networks_learn_apart_and_both_come_back(tmp_path):
    def build() -> TrainState:
        state = TrainState(IndexedSampler(8, 2, seed=1), torch.device("cpu"))
        torch.manual_seed(0)
        state.add("generator", nn.Linear(2, 2), OptimConfig(), max_steps=10)
        state.add("discriminator", nn.Linear(2, 1), OptimConfig(lr=0.1), max_steps=10, ema=False)
        return state

    state = build()
    before = state.nets["discriminator"].weight.detach().clone()
    state.nets["discriminator"](state.nets["generator"](torch.ones(1, 2))).sum().backward()
    state.apply("generator")
    assert torch.equal(state.nets["discriminator"].weight, before)
    state.apply("discriminator")
    assert not torch.equal(state.nets["discriminator"].weight, before)
    back = build()
    load_state(save_state(tmp_path, state), back)
    expected, found = tensors_of(state.state_dict()), tensors_of(back.state_dict())
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert set(back.ema) == {"generator"}


def test_the_average_is_the_exponential_one():
    average, net = nn.Linear(1, 1), nn.Linear(1, 1)
    a, b = average.weight.item(), net.weight.item()
    update_average(average, net, 0.9)
    assert average.weight.item() == pytest.approx(0.9 * a + 0.1 * b)


def test_the_learning_rate_warms_up_and_ends_at_its_final_ratio():
    cfg = OptimConfig(warmup_steps=10, final_lr_ratio=0.1)
    factors = [learning_rate_factor(step, cfg, 110) for step in range(111)]
    assert factors[0] == pytest.approx(1 / 11) and factors[10] == 1.0 and factors[110] == pytest.approx(0.1)
    assert factors[60] == pytest.approx(0.55) and all(f == 1 for f in factors if f > 0.9999)
    constant = OptimConfig(warmup_steps=0, schedule="constant")
    assert learning_rate_factor(99, constant, 100) == 1.0


def test_only_the_newest_checkpoints_stay_and_a_damaged_one_is_named(tmp_path):
    state = state_of(nn.Linear(2, 1))
    for step in (1, 2, 3):
        state.step = step
        path = save_state(tmp_path, state, keep=2)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["state-00000002.pt", "state-00000003.pt"]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="state-00000003.pt: damaged"):
        load_state(newest_state(tmp_path), state)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    path = save_state(tmp_path, state_of(nn.Linear(2, 1)))
    with pytest.raises(ConfigError, match="another size"):
        load_state(path, state_of(nn.Linear(3, 1)))


def test_a_batch_is_cut_into_equal_parts_only():
    batch = {"a": torch.arange(4), "b": torch.arange(8).view(4, 2)}
    parts = split_batch(batch, 2)
    assert torch.equal(torch.cat([part["b"] for part in parts]), batch["b"])
    with pytest.raises(ValueError, match="3 equal parts"):
        split_batch(batch, 3)


@pytest.mark.parametrize("has_bf16", [True, False])
def test_emulated_bf16_is_named_where_it_costs_time(has_bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    notes = slow_precision(torch.device("cpu"), "bf16")
    assert notes == [] if has_bf16 else "run.precision=fp32" in notes[0]
    assert slow_precision(torch.device("cpu"), "fp32") == []
    assert slow_precision(torch.device("cuda"), "bf16") == []


_IN_THIS_PROCESS = []


class _WhatItSees:
    def batch(self, step, rank=0, world_size=1):
        return {"seen": torch.tensor(len(_IN_THIS_PROCESS)), "step": torch.tensor(step)}


def test_workers_begin_without_the_locks_and_the_state_of_this_process(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}._IN_THIS_PROCESS", ["a thread's lock, say"])
    context = LocalContext(tmp_path, "cpu")
    found = [
        (int(batch["step"]), int(batch["seen"]))
        for batch in load_batches(_WhatItSees(), 3, 6, context, workers=1)
    ]
    assert found == [(3, 0), (4, 0), (5, 0)]
