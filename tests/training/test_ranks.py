"""What several ranks owe to one: the same training after a restart, the same gradients by one exchange."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from segtalker.training.loop import RunConfig
from segtalker.training.run import make_task, run_task
from tests.training.pictures import make_picture_corpus
from tests.training.ranks import SharedContext, run_ranks
from tests.training.recipes import smoke_config
from tests.training.toy import ToyTask

RUN = RunConfig(max_steps=8, save_every=4, log_every=8, validate_every=0, picture_every=0, device="cpu")


def train_two(folder, steps, resume=None):
    """The weights that each of two ranks has after `steps`, begun anew or from the checkpoint in `resume`."""

    def work(rank):
        torch.manual_seed(7 + rank)  # a new process has another generator state
        context = SharedContext(folder / f"rank{rank}", rank, 2, resume)
        cfg = dataclasses.replace(RUN, max_steps=steps)
        state, _ = run_task(ToyTask(8), cfg, context, folder / f"out{rank}", quiet=True)
        return [p.detach().numpy() for p in state.nets["toy"].parameters()]

    return run_ranks(work, folder)


def test_two_resumed_ranks_draw_the_dropout_that_they_would_have_drawn(tmp_path):
    straight = train_two(tmp_path / "straight", 8)
    train_two(tmp_path / "half", 4)
    resumed = train_two(tmp_path / "rest", 8, resume=tmp_path / "half" / "rank0")
    for weights, expected in zip((*resumed, straight[1]), (*straight, straight[0]), strict=True):
        assert all((one == other).all() for one, other in zip(weights, expected, strict=True))


@pytest.mark.parametrize("network", ["syncnet", "tsg", pytest.param("sgi", marks=pytest.mark.slow)])
def test_accumulated_parts_exchange_gradients_once_and_have_those_of_the_whole_batch(
    network, tiny_corpus, tmp_path
):
    corpus = make_picture_corpus(tmp_path / "pictures") if network == "sgi" else tiny_corpus

    def first_step(rank, parts):
        task = make_task(network, smoke_config(network, corpus, f"accumulate={parts}"))
        state = task.build(SharedContext(tmp_path, rank, 2))
        exchanges = []

        def counted(group, bucket):
            exchanges.append(bucket.index())
            return allreduce_hook(group, bucket)

        state.nets[network].register_comm_hook(None, counted)
        state.apply = lambda name: torch.tensor(0.0)  # keeps the gradients
        task.step(state, task.batches().batch(0, rank, 2))
        gradients = [p.grad.numpy() for p in state.nets[network].parameters() if p.grad is not None]
        return gradients, exchanges

    (whole, once), _ = run_ranks(lambda rank: first_step(rank, 1), tmp_path / "whole")
    (halved, halves), (other, _) = run_ranks(lambda rank: first_step(rank, 2), tmp_path / "halved")
    assert len(once) >= 1 and len(halves) == len(once)
    largest = max(abs(gradient).max() for gradient in whole)
    assert largest > 0
    for one, two, same in zip(whole, halved, other, strict=True):
        assert abs(one - two).max() <= 1e-3 * largest and (two == same).all()
