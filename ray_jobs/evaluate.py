"""Score videos on a Ray cluster: what `segtalker evaluate` does, with workers on all nodes.

Ray Data gives each worker one video at a time; all that is measured on it is measured in one actor, which
loads its networks once and keeps the record itself, in the folder of the result. Only rows and small records
travel; the figures of a set are merged from the records in the order of their names, so that they are those
of one process. After the driver dies, the same command finds what was scored.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import cv2
import torch
from ray.exceptions import RayError

from ray_jobs.dub import ray_workers
from ray_jobs.paths import absolute, kept
from ray_jobs.pool import Pool, check_pool
from ray_jobs.rounds import DIED, run_rounds
from segtalker import cli_evaluate
from segtalker.config import parse_config, to_dict
from segtalker.errors import SegTalkerError
from segtalker.evaluation.pairs import PLACES, Pair, pair_from_values, pair_to_values
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.scoring import Record, score_task
from segtalker.evaluation.tasks import Task
from segtalker.evaluation.tools import load_tools
from segtalker.storage import Uri

if TYPE_CHECKING:
    from segtalker.evaluation.driven import OpenDubbers

_EXAMPLES = """on a cluster:
  ray job submit --address http://HEAD:8265 --working-dir . -- python -m ray_jobs.evaluate run \\
    --method ours=s3://bucket/ours --method wav2lip=s3://bucket/wav2lip --references s3://bucket/test \\
    --out s3://bucket/result --workers 32
on this machine:
  python -m ray_jobs.evaluate run --method ours=out/ours --references test --out result --workers 2
  python -m ray_jobs.evaluate cross data/hdtf --out crossed --workers 2

Paths are those that all nodes see."""


class Scorer:
    """One worker: networks are loaded once, then video after video is scored where the worker runs."""

    load = staticmethod(load_tools)

    def __init__(self, protocol: dict[str, Any], out: str) -> None:
        torch.set_num_threads(1)  # one core a worker is what it asked the cluster for
        cv2.setNumThreads(1)
        self._protocol, self._out = parse_config(EvalProtocol, protocol), out
        self._tools = self.load(self._protocol)

    def __call__(self, row: dict[str, str]) -> dict[str, str]:
        """The record of a task, as JSON beside the key of its row."""
        task = Task(row["method"], pair_from_values(json.loads(row["pair"])))
        record = score_task(task, self._protocol, self._tools, self._out)
        return {"key": row["key"], "record": json.dumps(asdict(record))}


def run_actors(
    tasks: Sequence[Task], protocol: EvalProtocol, out: Uri, workers: int, worker: type[Scorer] = Scorer
) -> Iterator[Record]:
    """The `Runner` of a cluster: `workers` actors of one CPU each, wherever there is room."""
    found = _with_absolute_weights(protocol)
    worker.load(found)  # damaged or missing weights are told here, not by every worker
    pool = Pool.parse(str(workers), gpus=0, cpus=1)
    check_pool(pool)
    return _records(tasks, found, absolute(str(out)), pool, worker)


def _records(
    tasks: Sequence[Task], protocol: EvalProtocol, out: str, pool: Pool, worker: type[Scorer]
) -> Iterator[Record]:
    rows = {
        str(number): {
            "key": str(number),
            "method": task.method,
            "pair": json.dumps(pair_to_values(_absolute(task.pair))),
        }
        for number, task in enumerate(tasks)
    }
    arguments = to_dict(protocol), out
    for key, answer in run_rounds(
        rows, worker, arguments, pool, "ray_jobs.evaluate", lambda answer: answer["key"]
    ):
        task = tasks[int(key)]
        if answer is None:
            reason = f"{DIED}: perhaps for want of memory, or a video crashes its decoder"
            yield Record(task.method, task.pair.id, reason=reason)
        else:
            yield Record(**json.loads(answer["record"]))


def _absolute(pair: Pair) -> Pair:
    """The same files, named so that workers in other folders find them."""
    return replace(pair, **{name: absolute(getattr(pair, name)) for name in PLACES})


def _with_absolute_weights(protocol: EvalProtocol) -> EvalProtocol:
    return replace(
        protocol,
        expert=protocol.expert if protocol.expert == "mini" else absolute(protocol.expert),
        parsing_unet=absolute(protocol.parsing_unet) if protocol.parsing_unet else None,
        identity=absolute(protocol.identity) if protocol.identity else None,
    )


def dubbers(workers: int) -> OpenDubbers:
    """Actors that dub the test clips of `self` and `cross`, one CPU each."""
    pool = Pool.parse(str(workers), gpus=0, cpus=1)
    return lambda rows, cfg, batch, out: ray_workers(rows, cfg, batch, absolute(out), pool)


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ray_jobs.evaluate",
        description=(__doc__ or "").splitlines()[0],
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    cli_evaluate.add_run_arguments(actions.add_parser("run", help="score videos of one or several methods"))
    for name, speech in (("self", "their own speech"), ("cross", "the speech of others")):
        meaning = f"dub the test clips of a prepared folder with {speech}, and score"
        cli_evaluate.add_driven_arguments(actions.add_parser(name, help=meaning))
    options = parser.parse_args(words)
    try:
        options.out = kept(options.out, "--out")
        if options.action != "run":
            options.data = absolute(options.data)
        return cli_evaluate.run(options, run_actors, dubbers(options.workers))
    except SegTalkerError as error:
        print(f"ray_jobs.evaluate: {error}", file=sys.stderr)
        return error.exit_code
    except RayError as error:  # as where a node lacks the weights
        why = str(error).strip().splitlines()[-1]
        print(f"ray_jobs.evaluate: the workers cannot go on: {why} What is done is kept.", file=sys.stderr)
        return SegTalkerError.exit_code
    except KeyboardInterrupt:
        print("ray_jobs.evaluate: stopped; run the same command again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
