"""Prepare a dataset on a Ray cluster: what `segtalker prepare` does, with workers on all nodes.

Ray Data gives each worker one row of the manifest at a time; all stages of a clip run in one actor,
which loads its networks once and writes the samples itself. Only rows and outcomes travel. A clip whose
worker or node dies is begun again, and its folder appears once; after the driver dies, the same command finds
what is done.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import ray
import torch
from ray.util.annotations import RayDeprecationWarning

from ray_jobs.paths import absolute, kept
from segtalker import cli_prepare
from segtalker.config import parse_config, to_dict
from segtalker.data.manifest import ClipRow, row_from_values, row_to_values
from segtalker.data.outcome import Outcome, outcome_from_values
from segtalker.data.prepare import PrepareConfig, clip_output_key, load_tools, prepare_clip
from segtalker.errors import ConfigError, SegTalkerError
from segtalker.storage import Uri

_EXAMPLES = """on a cluster:
  ray job submit --address http://HEAD:8265 --working-dir . -- python -m ray_jobs.prepare \\
    hdtf HDTF_dataset --videos s3://bucket/hdtf --out /shared/hdtf --workers 32
on this machine:
  python -m ray_jobs.prepare folder videos --out data/videos --workers 2

Paths are those that all nodes see. The flags of each source: python -m ray_jobs.prepare folder --help"""
_ROUNDS = 3
_ERRORED_BLOCKS = "ray.data._internal.execution.streaming_executor_state"


class Preparer:
    """One worker: networks are loaded once, then clip after clip is prepared where the worker runs."""

    load = staticmethod(load_tools)

    def __init__(self, config: dict[str, Any], out: str) -> None:
        torch.set_num_threads(1)  # one core a worker is what it asked the cluster for
        self._cfg, self._out = parse_config(PrepareConfig, config), out
        self._tools = self.load(self._cfg)

    def __call__(self, row: dict[str, str]) -> dict[str, str]:
        """The outcome of a manifest row, both as JSON: a column may be empty in one block only."""
        clip = row_from_values(json.loads(row["row"]))
        outcome = prepare_clip(clip, self._cfg, self._tools, self._out)
        return {"outcome": json.dumps(asdict(outcome))}


def run_actors(
    rows: Sequence[ClipRow],
    cfg: PrepareConfig,
    out: Uri,
    workers: int,
    worker: type[Preparer] = Preparer,
) -> Iterator[Outcome]:
    """The `Runner` of a cluster: `workers` actors of one CPU each, wherever there is room.

    A clip whose worker died is left to a later round, so that none waits for a node that is gone while others
    are idle, and none that kills its workers is tried for ever.
    """
    worker.load(cfg)  # missing weights are told here, not by every worker
    check_workers(workers)
    found = [replace(row, source=absolute(row.source), labels=absolute(row.labels)) for row in rows]
    return _run_rounds({row.clip: row for row in found}, cfg, out, workers, worker)


def _run_rounds(
    left: dict[str, ClipRow], cfg: PrepareConfig, out: Uri, workers: int, worker: type[Preparer]
) -> Iterator[Outcome]:
    for _ in range(_ROUNDS):
        for outcome in _run_round(list(left.values()), cfg, out, workers, worker):
            del left[outcome.clip]
            yield outcome
        if not left:
            return
        print(f"ray_jobs.prepare: workers died on {len(left)} clips: once more", file=sys.stderr)
    reason = f"its worker died {_ROUNDS} times: perhaps for want of memory, or the video crashes its decoder"
    for row in left.values():
        key = clip_output_key(row, cfg)
        yield Outcome(row.clip, key, "failed", reason, row.dataset, row.identity, row.split, row.source)


def check_workers(workers: int) -> None:
    """Refuse workers that the cluster cannot hold all at once."""
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    have = int(ray.cluster_resources().get("CPU", 0))
    if not 1 <= workers < have:
        raise ConfigError(
            f"--workers {workers}: this cluster has {have} CPUs, and handing out the clips takes one. "
            f"Ask for 1 to {have - 1}."
        )


def _run_round(
    rows: Sequence[ClipRow], cfg: PrepareConfig, out: Uri, workers: int, worker: type[Preparer]
) -> Iterator[Outcome]:
    """Outcomes of all rows but those that a worker died on. A dead worker is replaced where there is room."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # the command has its own, in clips
    context.max_errored_blocks = -1  # a block is a row, and comes back in the next round
    logging.getLogger(_ERRORED_BLOCKS).setLevel(logging.CRITICAL)  # which is not worth a stack trace each
    # What is done is found by its key: Ray need not remember it, and the plan may start from rows in hand.
    items = [{"row": json.dumps(row_to_values(row))} for row in rows]
    clips = ray.data.from_items(items, override_num_blocks=len(items))
    # One clip at a time: a dying worker takes no other clip with it.
    pool = ray.data.ActorPoolStrategy(size=min(workers, len(rows)), max_tasks_in_flight_per_actor=1)
    with warnings.catch_warnings():
        # Ray 2.60 wants options by names of their own, and has none for this one (github.com/ray-project/ray
        # issue 65227); without it Ray itself would repeat a clip that kills its workers for ever.
        warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated", RayDeprecationWarning)
        outcomes = clips.map(
            worker,  # type: ignore[arg-type]
            fn_constructor_args=(to_dict(cfg), str(out)),
            compute=pool,
            num_cpus=1,
            max_task_retries=0,
        )
    for row in outcomes.iter_rows():
        yield outcome_from_values(json.loads(row["outcome"]))


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ray_jobs.prepare",
        description=(__doc__ or "").splitlines()[0],
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cli_prepare.add_arguments(parser)
    options = parser.parse_args(words)
    for name in set(vars(options)) & {"place", "videos"}:
        setattr(options, name, absolute(getattr(options, name)))
    try:
        options.out = kept(options.out, "--out")
        return cli_prepare.run(options, run_actors)
    except SegTalkerError as error:
        print(f"ray_jobs.prepare: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ray_jobs.prepare: stopped; run the same command again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
