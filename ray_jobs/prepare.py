"""Prepare a dataset on a Ray cluster: what `segtalker prepare` does, with workers on all nodes.

Ray Data gives each worker one row of the manifest at a time; all stages of a clip run in one actor,
which loads its networks once and writes the samples itself. Only rows and outcomes travel. A clip whose
worker or node dies is begun again elsewhere, and its folder appears once; after the driver dies, the same
command finds what is done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
import torch

from segtalker import cli_prepare
from segtalker.config import parse_config, to_dict
from segtalker.data.manifest import ClipRow, row_from_values, row_to_values
from segtalker.data.outcome import Outcome, outcome_from_values
from segtalker.data.prepare import PrepareConfig, load_tools, prepare_clip
from segtalker.errors import SegTalkerError
from segtalker.storage import Uri, is_local

_EXAMPLES = """on a cluster:
  ray job submit --address http://HEAD:8265 --working-dir . -- python -m ray_jobs.prepare \\
    hdtf HDTF_dataset --videos s3://bucket/hdtf --out /shared/hdtf --workers 32
on this machine:
  python -m ray_jobs.prepare folder videos --out data/videos --workers 2

Paths are those that all nodes see. The flags of each source: python -m ray_jobs.prepare folder --help"""


class Preparer:
    """One worker: networks are loaded once, then clip after clip is prepared where the worker runs."""

    def __init__(self, config: dict[str, Any], out: str) -> None:
        torch.set_num_threads(1)  # one core a worker is what it asked the cluster for
        self._cfg, self._out = parse_config(PrepareConfig, config), out
        self._tools = load_tools(self._cfg)

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
    """The `Runner` of a cluster: `workers` actors of one CPU each, wherever there is room."""
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    have = int(ray.cluster_resources().get("CPU", 0))
    if not 1 <= workers < have:
        raise SegTalkerError(
            f"--workers {workers}: this cluster has {have} CPUs, and handing out the clips takes one. "
            f"Ask for 1 to {have - 1}."
        )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # the command has its own, in clips
    # What is done is found by its key: Ray need not remember it, and the plan may start from rows in hand.
    items = [{"row": json.dumps(row_to_values(row))} for row in rows]
    clips = ray.data.from_items(items, override_num_blocks=len(items))
    pool = ray.data.ActorPoolStrategy(size=min(workers, len(rows)))
    arguments = (to_dict(cfg), str(out))
    outcomes = clips.map(worker, fn_constructor_args=arguments, compute=pool, num_cpus=1)  # type: ignore[arg-type]
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
    for name in ("place", "videos", "out"):  # workers may stand in another folder
        uri = getattr(options, name, "")
        if uri and is_local(uri):
            setattr(options, name, str(Path(uri.removeprefix("file://")).absolute()))
    try:
        return cli_prepare.run(options, run_actors)
    except SegTalkerError as error:
        print(f"ray_jobs.prepare: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ray_jobs.prepare: stopped; run the same command again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
