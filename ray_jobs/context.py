"""What a worker of a training job does: `segtalker.training` with Ray Train around it.

A checkpoint exists once its manifest is in storage and Ray has registered it. Everything else of a run folder
(figures, TensorBoard events, sample pictures, weights) is put beside the checkpoints as whole files.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import ray.train
import ray.train.torch
import torch
from ray.train import Checkpoint, CheckpointConsistencyMode, CheckpointUploadMode
from torch import nn

from segtalker.errors import DataError, SegTalkerError
from segtalker.storage import exists, fetch_folder, get_file, join, put_file, put_folder, write_bytes
from segtalker.training.loop import Metrics
from segtalker.training.run import make_task, run_task
from segtalker.training.state import newest_state

OUTCOME = "outcome.json"
"""Written last into a run's folder: the run is finished, this came out."""
STARTS = "starts.jsonl"
"""A row for each time that the workers began: `step` and `workers`."""
_FIGURES = "metrics.jsonl"
_STEP = "step_"
_TIMEOUTS = ("Timed out waiting", "collective operation timeout")
"""What gloo and NCCL say when a collective operation took too long; neither has a class for it."""


def train_worker(job: dict[str, Any]) -> None:
    """Train `job["network"]` with the configuration `job["cfg"]` into the folder of URI `job["run"]`."""
    cfg = job["cfg"]
    with tempfile.TemporaryDirectory(prefix="segtalker-") as scratch:
        context = RayContext(job["run"], Path(scratch), validates=not job["validate_apart"])
        if cfg.run.threads:
            torch.set_num_threads(cfg.run.threads)
        task = make_task(job["network"], cfg)
        with told_hang(job["hang_timeout_s"]):
            state, figures = run_task(task, cfg.run, context, context.run_folder)
        if context.rank == 0:
            weights = task.save(state, context.run_folder, figures)
            context.finish({"weights": weights.name, "steps": state.step, "figures": figures})


@contextmanager
def told_hang(timeout_s: float) -> Iterator[None]:
    """Say in words that another worker did not answer within the process group's `timeout_s`.

    With NCCL the watchdog of torch may end the process first; Ray restarts the workers either way.
    """
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error) for words in _TIMEOUTS):
            raise
        raise SegTalkerError(
            f"no answer from another worker for {timeout_s:g} s: it hangs, or the network is cut. All "
            "begin again from the last committed checkpoint. If it was only slow, raise --hang-timeout."
        ) from error


class RayContext:
    """One worker among `world_size`; see `segtalker.training.loop.TrainContext`."""

    def __init__(self, run: str, scratch: Path, validates: bool = True) -> None:
        """Work for the run at URI `run`, with an empty folder `scratch` on this node's disk."""
        self.validates = validates
        place = ray.train.get_context()
        self.rank, self.world_size = place.get_world_rank(), place.get_world_size()
        self.device: torch.device = ray.train.torch.get_device()
        self.folder = scratch / "checkpoints"
        self.run_folder = scratch / "run"
        self._run, self._scratch = run, scratch
        self._sent: dict[Path, tuple[int, int]] = {}
        self._registered: list[str] = []
        for name in (_FIGURES, STARTS) if self.rank == 0 else ():
            if exists(join(run, name)):  # those of an earlier attempt go on
                get_file(join(run, name), self.run_folder / name)

    def wrap(self, net: nn.Module) -> nn.Module:
        """Data-parallel; alone, the network itself.

        Buffers stay with their rank: sending them before every forward pass would change them in place
        between two passes of one network, and batch statistics are shared where that is possible.
        """
        if self.world_size > 1 and self.device.type == "cuda":
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
        return ray.train.torch.prepare_model(net, parallel_strategy_kwargs={"broadcast_buffers": False})

    def checkpoints(self) -> list[str]:
        """Those that Ray has registered and kept."""
        latest = ray.train.get_checkpoint()
        if latest is None:
            return []
        found = ray.train.get_all_reported_checkpoints(consistency_mode=CheckpointConsistencyMode.COMMITTED)
        names = [PurePosixPath(reported.checkpoint.path).name for reported in reversed(found)]
        newest = PurePosixPath(latest.path).name
        self._registered = [newest, *(name for name in names if name != newest)]
        return self._registered

    def fetch(self, name: str) -> Path:
        """The file in a checkpoint's folder, fetched and verified."""
        fetched = self._scratch / "restored" / name
        fetch_folder(join(self._run, name), fetched)
        path = newest_state(fetched)
        if path is None:
            raise DataError(f"{join(self._run, name)}: holds no checkpoint.")
        return path

    def begin(self, step: int, damaged: Sequence[str]) -> None:
        """Note the start beside the run; damaged folders stay, because Ray counts them, and retires them."""
        shutil.rmtree(self._scratch / "restored", ignore_errors=True)
        if self.rank:
            return
        self.run_folder.mkdir(parents=True, exist_ok=True)
        with (self.run_folder / STARTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "workers": self.world_size}) + "\n")
        put_file(self.run_folder / STARTS, join(self._run, STARTS))

    def average(self, metrics: Metrics) -> Metrics:
        """Means over all workers."""
        if self.world_size == 1:
            return metrics
        names = sorted(metrics)
        values = torch.tensor([metrics[name] for name in names], dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(values)
        return dict(zip(names, (values / self.world_size).tolist(), strict=True))

    def report(self, metrics: Mapping[str, float], checkpoint: Path | None, validate: bool = False) -> None:
        """Hand a checkpoint to the upload in the background; training goes on meanwhile."""
        name, staged = self._new_name(int(metrics["step"])), None
        if checkpoint is not None:
            folder = self._scratch / "staged" / name
            folder.mkdir(parents=True)
            os.link(checkpoint, folder / checkpoint.name)  # outlives the local retention
            staged = Checkpoint.from_directory(str(folder))
        ray.train.report(
            dict(metrics),
            checkpoint=staged,
            checkpoint_dir_name=name,
            checkpoint_upload_mode=CheckpointUploadMode.ASYNC,
            delete_local_checkpoint_after_upload=True,
            checkpoint_upload_fn=self._upload,
            validation=validate and staged is not None,
        )

    def _new_name(self, step: int) -> str:
        """Of the checkpoint of `step`; never that of a damaged one, with which Ray would delete both."""
        name = f"{_STEP}{step:08d}"
        known = [other.partition("-") for other in self._registered]
        turns = [int(turn or 1) for begin, _, turn in known if begin == name]
        return f"{name}-{max(turns) + 1}" if turns else name

    def should_stop(self) -> bool:
        """Workers are ended from outside and go on from their last checkpoint."""
        return False

    def finish(self, outcome: dict[str, Any]) -> None:
        """Wait until the last checkpoint counts, put every file in storage, then say that all is done."""
        ray.train.get_all_reported_checkpoints(consistency_mode=CheckpointConsistencyMode.COMMITTED)
        self._put_files()
        write_bytes(join(self._run, OUTCOME), (json.dumps(outcome, indent=1) + "\n").encode())

    def _upload(self, checkpoint: Checkpoint, name: str) -> Checkpoint:
        """Ray's own copy to a bucket can fail without saying so; this one is verified or raises.

        The figures go first, so that those in storage never end before the checkpoint does.
        """
        self._put_files()
        put_folder(Path(checkpoint.path), join(self._run, name))
        storage = ray.train.get_context().get_storage()
        return Checkpoint(storage.build_checkpoint_path_from_name(name), storage.storage_filesystem)

    def _put_files(self) -> None:
        for path in sorted(p for p in self.run_folder.rglob("*") if p.is_file()):
            found = path.stat()
            version = (found.st_size, found.st_mtime_ns)
            if self._sent.get(path) != version:
                put_file(path, join(self._run, path.relative_to(self.run_folder).as_posix()))
                self._sent[path] = version
