"""Prepare a dataset on a Ray cluster: what `segtalker prepare` does, with workers on all nodes.

Ray Data gives each worker one row of the manifest at a time; all stages of a clip run in one actor,
which loads its networks once and writes the samples itself. Only rows and outcomes travel. A clip whose
worker or node dies is begun again, and its folder appears once; after the driver dies, the same command finds
what is done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from ray_jobs.paths import absolute, kept
from ray_jobs.pool import Pool, check_pool
from ray_jobs.rounds import DIED, run_rounds
from segtalker import cli_prepare
from segtalker.config import parse_config, to_dict
from segtalker.data.manifest import ClipRow, row_from_values, row_to_values
from segtalker.data.outcome import Outcome, outcome_from_values
from segtalker.data.prepare import PrepareConfig, clip_output_key, load_tools, prepare_clip
from segtalker.errors import SegTalkerError
from segtalker.storage import Uri

_EXAMPLES = """on a cluster:
  ray job submit --address http://HEAD:8265 --working-dir . -- python -m ray_jobs.prepare \\
    hdtf HDTF_dataset --videos s3://bucket/hdtf --out /shared/hdtf --workers 32
on this machine:
  python -m ray_jobs.prepare folder videos --out data/videos --workers 2

Paths are those that all nodes see. The flags of each source: python -m ray_jobs.prepare folder --help"""


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

    A clip whose worker died is begun again; one that kills its workers is a failure.
    """
    worker.load(cfg)  # missing weights are told here, not by every worker
    pool = Pool.parse(str(workers), gpus=0, cpus=1)
    check_pool(pool)
    found = [replace(row, source=absolute(row.source), labels=absolute(row.labels)) for row in rows]
    return _outcomes({row.clip: row for row in found}, cfg, out, pool, worker)


def _outcomes(
    rows: dict[str, ClipRow], cfg: PrepareConfig, out: Uri, pool: Pool, worker: type[Preparer]
) -> Iterator[Outcome]:
    values = {clip: {"row": json.dumps(row_to_values(row))} for clip, row in rows.items()}
    arguments = to_dict(cfg), str(out)
    for clip, answer in run_rounds(values, worker, arguments, pool, "ray_jobs.prepare", _clip_of):
        yield _failed(rows[clip], cfg) if answer is None else _outcome(answer)


def _outcome(answer: dict[str, str]) -> Outcome:
    return outcome_from_values(json.loads(answer["outcome"]))


def _clip_of(answer: dict[str, str]) -> str:
    return _outcome(answer).clip


def _failed(row: ClipRow, cfg: PrepareConfig) -> Outcome:
    reason = f"{DIED}: perhaps for want of memory, or the video crashes its decoder"
    key = clip_output_key(row, cfg)
    return Outcome(row.clip, key, "failed", reason, row.dataset, row.identity, row.split, row.source)


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
