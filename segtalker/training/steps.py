"""What the steps of all trainings need: parts of a batch, precision, seeds."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

Batch = dict[str, Tensor]
T = TypeVar("T", bound=nn.Module)


def accumulate(net: nn.Module, batch: Batch, parts: int) -> Iterator[Batch]:
    """`split_batch` for a loop whose body makes the forward and the backward pass of each part by `net`.

    Data-parallel ranks exchange the gradients of all parts once, in the last part's backward pass.
    """
    *first, last = split_batch(batch, parts)
    for part in first:
        if isinstance(net, DistributedDataParallel):
            with net.no_sync():
                yield part
        else:
            yield part
    yield last


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """Equal slices along the first axis, for gradient accumulation: the mean loss of all is the batch's."""
    size = len(next(iter(batch.values())))
    if size % parts:
        raise ValueError(f"a batch of {size} cannot be accumulated in {parts} equal parts.")
    return [
        {name: tensor[i * size // parts : (i + 1) * size // parts] for name, tensor in batch.items()}
        for i in range(parts)
    ]


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Mixed precision for the forward pass; losses are summed in fp32 by their own functions."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def slow_precision(device: torch.device, precision: str) -> list[str]:
    """A note where bf16 is emulated: there it costs several times the time of fp32."""
    if device.type != "cpu" or precision != "bf16" or platform.machine() not in ("x86_64", "AMD64"):
        return []
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return []
    return ["this CPU has no bf16 arithmetic; --set run.precision=fp32 trains several times faster."]


def seeded(build: Callable[[], T], seed: int) -> T:
    """Build a network with torch's generator at `seed`, so that every rank and every run starts alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def seed_generators(device: torch.device, *key: int) -> None:
    """Set torch's generators of the CPU and of `device` to a state that depends on `key` alone.

    Before every step this costs little, and a checkpoint need not hold the generators of all ranks: whoever
    takes up a step, however often the ranks have changed, draws its dropout as if nothing had happened.
    """
    value = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
    torch.default_generator.manual_seed(value)  # torch.manual_seed asks every backend: far slower
    if device.type == "cuda":
        torch.cuda.manual_seed_all(value)
    elif device.type == "mps":
        torch.mps.manual_seed(value)
