"""What several ranks owe to one: the same training after a restart."""

from __future__ import annotations

import dataclasses

import torch

from segtalker.training.loop import RunConfig
from segtalker.training.run import run_task
from segtalker.training.state import newest_state
from tests.training.ranks import SharedContext, run_ranks
from tests.training.toy import ToyTask

RUN = RunConfig(max_steps=8, save_every=4, log_every=8, validate_every=0, picture_every=0, device="cpu")


def train_two(folder, steps, resume=None):
    """The weights that each of two ranks has after `steps`, begun anew or from the checkpoint in `resume`."""

    def work(rank):
        torch.manual_seed(7 + rank)  # a new process has another generator state
        context = SharedContext(folder / f"rank{rank}", rank, 2)
        context.restore = lambda: newest_state(resume) if resume else None
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
