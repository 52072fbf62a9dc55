"""Train a network on a Ray cluster, with the configurations and the steps of `segtalker train`.

    python -m ray_jobs.train syncnet configs/mini/syncnet.yaml --storage s3://bucket/runs --workers 4

A run is named by its network and configuration, or by --run: the same command goes on where the last
committed checkpoint was, with any number of workers. Its folder in the storage is that of `segtalker train`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec.core
import pyarrow.fs
import ray
from ray.train import (
    CheckpointConfig,
    FailureConfig,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    ValidationConfig,
    ValidationTaskConfig,
)
from ray.train.torch import TorchConfig, TorchTrainer

from ray_jobs.context import OUTCOME, train_worker
from ray_jobs.paths import kept
from ray_jobs.scale import Scale, check_room
from ray_jobs.train_options import build_parser
from ray_jobs.validation import validate_checkpoint
from segtalker.config import config_hash
from segtalker.errors import ConfigError, SegTalkerError
from segtalker.storage import exists, is_local, join, read_bytes
from segtalker.training.run import load_train_config, make_task
from segtalker.training.run_config import keep_config, refuse_other_config
from segtalker.training.steps import split_batch

_STARTS_WITHOUT_ROOM = 10  # of a minute each, when nodes go away during the run


def train(
    network: str,
    config: Path | str | None,
    overrides: Sequence[str],
    storage: str,
    scale: Scale,
    name: str = "",
) -> dict[str, Any]:
    """Train, or go on, or find the run finished; returns what came out, with the URI of the weights.

    name: of the run's folder in the storage; by default that of its network and configuration. Mistakes that
    can be seen from here are raised before a worker starts.
    """
    cfg = load_train_config(network, config, overrides)
    name = name or f"{network}-{config_hash(cfg)}"
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise ConfigError(f"--run {name}: a name is of letters, digits, '.', '_' and '-'.")
    root = storage_root(storage)
    run = join(root, name)
    refuse_other_config(run, cfg, "--run")
    if not exists(join(run, OUTCOME)):
        check_config(network, cfg, scale)
        if not ray.is_initialized():
            ray.init()
        if not scale.wait_for_nodes:
            check_room(scale, [node["Resources"] for node in ray.nodes() if node["Alive"]])
        keep_config(run, cfg)
        job = {
            "network": network,
            "cfg": cfg,
            "run": run,
            "validate_apart": scale.validate_apart,
            "hang_timeout_s": scale.hang_timeout_s,
        }
        _fit(job, scale, _run_config(root, name, cfg.run.keep, scale))
    outcome = json.loads(read_bytes(join(run, OUTCOME)))
    return {**outcome, "run": run, "weights": join(run, outcome["weights"])}


def storage_root(storage: str) -> str:
    """The storage as every worker can name it."""
    if storage.startswith("memory://"):
        raise ConfigError(f"--storage {storage}: workers cannot see the memory of another process.")
    return kept(storage, "--storage")


def check_config(network: str, cfg: Any, scale: Scale) -> None:
    """Refuse what would fail on every worker, by making the first share of a batch here, of each size."""
    device = "cuda" if scale.gpus_per_worker else "cpu"
    if cfg.run.device not in ("auto", device):
        raise ConfigError(
            f"run.device is {cfg.run.device}, but workers with --gpus-per-worker {scale.gpus_per_worker:g} "
            f"run on {device}. Leave run.device at auto."
        )
    batches = make_task(network, cfg).batches()
    for workers in scale.counts:
        share = batches.batch(0, 0, workers)
        try:
            split_batch(share, getattr(cfg, "accumulate", 1))
        except ValueError as error:
            raise ConfigError(f"accumulate: the share of each of {workers} workers: {error}") from error


def _run_config(root: str, name: str, keep: int, scale: Scale) -> RunConfig:
    filesystem, path = None, root
    if not is_local(root):  # through the same library as our own files, which Ray's default is not
        store, path = fsspec.core.url_to_fs(root, use_listings_cache=False)
        filesystem = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(store))
    return RunConfig(
        name=name,
        storage_path=path,
        storage_filesystem=filesystem,
        checkpoint_config=CheckpointConfig(num_to_keep=keep),
        failure_config=FailureConfig(  # type: ignore[call-arg]  # typed as Ray's older one
            max_failures=scale.max_failures,
            controller_failure_limit=-1 if scale.wait_for_nodes else _STARTS_WITHOUT_ROOM,
        ),
    )


def _fit(job: dict[str, Any], scale: Scale, run_config: RunConfig) -> None:
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # else relative paths of a configuration break
    os.environ.setdefault(
        "RAY_TRAIN_COLLECTIVE_TIMEOUT_S", str(scale.hang_timeout_s)
    )  # else Ray waits for ever
    workers: Any = (scale.workers, scale.max_workers) if scale.max_workers else scale.workers
    scaling = ScalingConfig(
        num_workers=workers,
        use_gpu=scale.gpus_per_worker > 0,
        resources_per_worker=scale.worker,
    )
    validation = ValidationConfig(
        fn=validate_checkpoint,  # type: ignore[arg-type]  # its arguments have names
        task_config=ValidationTaskConfig(fn_kwargs={"network": job["network"], "run": job["run"]}),
        ray_remote_kwargs={"num_cpus": scale.cpus_per_worker, "num_gpus": scale.gpus_per_worker},
    )
    trainer = TorchTrainer(
        train_worker,
        train_loop_config=job,
        scaling_config=scaling,
        run_config=run_config,
        torch_config=TorchConfig(timeout_s=scale.hang_timeout_s),
        validation_config=validation if scale.validate_apart else None,  # type: ignore[call-arg]
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise _explained(error) from error


def _explained(error: TrainingFailedError) -> SegTalkerError:
    """The worker's own message; workers that only lost their partner have none worth telling."""
    failures = getattr(error, "worker_failures", None) or {}
    causes = {rank: getattr(failure, "_base_exc", failure) for rank, failure in failures.items()}
    for rank, cause in causes.items():
        if isinstance(cause, SegTalkerError):
            return type(cause)(f"worker {rank}: {cause}")
    for rank, cause in causes.items():
        return SegTalkerError(f"worker {rank}: {type(cause).__name__}: {_one_line(cause)}")
    return SegTalkerError(_one_line(error))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; a mistake of the user becomes one line on standard error."""
    options = build_parser().parse_args(argv)
    try:
        scale = Scale(
            workers=options.workers,
            max_workers=options.max_workers,
            gpus_per_worker=options.gpus_per_worker,
            cpus_per_worker=options.cpus_per_worker,
            max_failures=options.max_failures,
            hang_timeout_s=options.hang_timeout,
            wait_for_nodes=options.wait_for_nodes,
            validate_apart=options.validate_apart,
        )
        what = (options.network, options.config, options.overrides)
        outcome = train(*what, options.storage, scale, options.run)
    except SegTalkerError as error:
        print(f"ray_jobs.train: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ray_jobs.train: stopped; run the same command again to go on.", file=sys.stderr)
        return 130
    figures = ", ".join(f"{name} {value:.4f}" for name, value in outcome["figures"].items())
    print(f"weights: {outcome['weights']} ({outcome['steps']} steps; {figures})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
