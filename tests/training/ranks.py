"""Several ranks on one machine for tests: forked processes that share gradients through gloo."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # once here, or each forked process would import it
from torch import nn
from torch.distributed import FileStore, destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel

from segtalker.training.loop import LocalContext, Metrics
from segtalker.training.state import list_states


class SharedContext(LocalContext):
    """One rank of a process group."""

    def __init__(self, folder: Path, rank: int, world_size: int, resume: Path | None = None) -> None:
        super().__init__(folder, "cpu")
        self.rank, self.world_size = rank, world_size
        self._resume = resume or folder

    def checkpoints(self) -> list[str]:
        return [path.name for path in reversed(list_states(self._resume))]

    def fetch(self, name: str) -> Path:
        return self._resume / name

    def begin(self, step: int, damaged: Sequence[str]) -> None:
        pass

    def wrap(self, net: nn.Module) -> nn.Module:
        return DistributedDataParallel(net, broadcast_buffers=False)

    def average(self, metrics: Metrics) -> Metrics:
        values = torch.tensor([metrics[name] for name in sorted(metrics)])
        torch.distributed.all_reduce(values)
        return dict(zip(sorted(metrics), (values / self.world_size).tolist(), strict=True))


def run_ranks(
    work: Callable[[int], Any], folder: Path, world_size: int = 2, timeout_s: float = 120.0
) -> list[Any]:
    """What `work(rank)` returns in each of `world_size` processes of one group; an error as its text.

    Forked from a process with one thread, which torch allows; `folder` must be new to the group.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"result{rank}" for rank in range(world_size)]

    def run(rank: int) -> None:
        torch.set_num_threads(1)
        store = FileStore(str(folder / "store"), world_size)
        init_process_group(
            "gloo", store=store, rank=rank, world_size=world_size, timeout=timedelta(seconds=timeout_s)
        )
        try:
            found = work(rank)
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        files[rank].write_bytes(pickle.dumps(found))
        destroy_process_group()

    started = [multiprocessing.get_context("fork").Process(target=run, args=(r,)) for r in range(world_size)]
    for process in started:
        process.start()
    for process in started:
        process.join(30 + timeout_s)
        process.kill()
    return [pickle.loads(file.read_bytes()) for file in files]
