"""Dub all rows of a manifest on a Ray cluster: what `segtalker batch` does, with workers on all nodes.

Ray Data gives each worker one task at a time: a short row, the analysis of a long one, a range of it, or its
join. All stages of a task run in one actor, which loads its networks once; only rows and outcomes travel.
A task whose worker or node dies is done again in a later round; after the driver dies, the same command finds
what is done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from ray.exceptions import RayError

from ray_jobs.paths import absolute, kept
from ray_jobs.pool import Pool, check_pool, run_round
from segtalker import cli_batch
from segtalker.batch.config import BatchConfig
from segtalker.batch.rows import DubRow, refuse_paths_beside_buckets
from segtalker.batch.run import Runner
from segtalker.batch.tasks import Answer, Task
from segtalker.batch.worker import Worker
from segtalker.config import parse_config, to_dict
from segtalker.dub_config import DubConfig
from segtalker.errors import SegTalkerError

_EXAMPLES = """on a cluster:
  ray job submit --address http://HEAD:8265 --working-dir . -- python -m ray_jobs.dub \\
    s3://bucket/clips.parquet --out s3://bucket/dubbed --workers 8 --gpus-per-worker 0.25
on this machine:
  python -m ray_jobs.dub clips.csv --out dubbed --workers 2

Paths are those that all nodes see. --workers 2:8 lets the number of CPU workers follow the work."""


class Dubber:
    """One worker of a batch as an actor of Ray Data."""

    kind: type[Worker] = Worker

    def __init__(self, config: dict[str, Any], batch: dict[str, Any], out: str, gpus: float) -> None:
        if 0 < gpus < 1:
            _share_gpu(gpus)
        self._worker = self.kind(parse_config(DubConfig, config), BatchConfig(**batch), out)

    def __call__(self, row: dict[str, str]) -> dict[str, str]:
        """The answer to a task, both as JSON: a column may be empty in one block only."""
        return {"answer": self._worker(Task.from_json(row["task"])).to_json()}

    def __del__(self) -> None:
        """Ray Data lets go of the worker before its process ends."""
        if hasattr(self, "_worker"):
            self._worker.close()


@contextmanager
def ray_workers(
    rows: Sequence[DubRow],
    cfg: DubConfig,
    batch: BatchConfig,
    out: str,
    pool: Pool,
    paths_shared: bool = False,
    dubber: type[Dubber] = Dubber,
) -> Iterator[Runner]:
    """A `Runner` whose workers are actors; what the cluster cannot hold is refused here."""
    if not paths_shared:
        refuse_paths_beside_buckets(rows, out)
    stages = dubber.kind.make_stages(replace(cfg, device="cpu"))
    _ = stages.backend, stages.parser, stages.networks  # what is missing is told here, not by every worker
    check_pool(pool)
    setup = (to_dict(cfg), asdict(replace(batch, threads=pool.threads)), out, pool.gpus)

    def run(tasks: Sequence[Task]) -> Iterator[Answer]:
        rows = [{"task": task.to_json()} for task in tasks]
        for row in run_round(rows, dubber, setup, pool):
            yield Answer.from_json(row["answer"])

    yield run


def _share_gpu(share: float) -> None:
    """Ray does not keep workers on one GPU from taking its whole memory; this does."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `segtalker batch`, and the shares of each worker."""
    cli_batch.add_arguments(parser, "actors on any nodes, or bounds such as 2:8 that follow the work")
    parser.add_argument(
        "--gpus-per-worker",
        type=float,
        default=0.0,
        metavar="G",
        help="such as 0.25 for four workers on each (default: 0)",
    )
    parser.add_argument("--cpus-per-worker", type=float, default=1.0, metavar="C", help="default: 1")
    parser.add_argument(
        "--paths-shared", action="store_true", help="every node sees the local paths beside the buckets"
    )


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ray_jobs.dub",
        description=(__doc__ or "").splitlines()[0],
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    options = parser.parse_args(words)
    try:
        options.out = kept(options.out, "--out")
        options.manifest = absolute(options.manifest)
        pool = Pool.parse(options.workers, options.gpus_per_worker, options.cpus_per_worker)
        return cli_batch.run(
            options,
            lambda rows, cfg, batch, out: ray_workers(rows, cfg, batch, out, pool, options.paths_shared),
        )
    except SegTalkerError as error:
        print(f"ray_jobs.dub: {error}", file=sys.stderr)
        return error.exit_code
    except RayError as error:  # as where a node lacks the weights
        why = str(error).strip().splitlines()[-1]
        print(f"ray_jobs.dub: the workers cannot go on: {why} What is done is kept.", file=sys.stderr)
        return SegTalkerError.exit_code
    except KeyboardInterrupt:
        print("ray_jobs.dub: stopped; run the same command again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
