"""The command line of `ray_jobs.train`."""

from __future__ import annotations

import argparse
from pathlib import Path

from segtalker.cli_arguments import add_overrides
from segtalker.training.run import TASKS


def build_parser() -> argparse.ArgumentParser:
    """What it takes, with examples."""
    parser = argparse.ArgumentParser(
        prog="python -m ray_jobs.train",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train a network on a Ray cluster; the same command again goes on, or finds it finished.",
        epilog="Paths in CONFIG are those that all nodes see: absolute, or in the job's working directory.\n"
        "The batch size of CONFIG is that of all workers together.\n\n"
        "on a cluster:\n"
        "  ray job submit --address http://HEAD:8265 --working-dir . -- python -m ray_jobs.train \\\n"
        "    tsg configs/mini/tsg.yaml --storage s3://bucket/runs --workers 4 --gpus-per-worker 1\n"
        "on this machine:\n"
        "  python -m ray_jobs.train syncnet configs/smoke/syncnet.yaml --storage runs --workers 2",
    )
    parser.add_argument("network", choices=list(TASKS), help="what to train")
    parser.add_argument("config", type=Path, help="YAML file, as for `segtalker train`")
    add_overrides(parser, "run.max_steps=1000")
    parser.add_argument(
        "--storage", required=True, metavar="URI", help="folder or bucket of all runs, seen by every node"
    )
    parser.add_argument(
        "--run",
        default="",
        metavar="NAME",
        help="folder of the run there (default: a name of NETWORK and of CONFIG with its --set)",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument(
        "--max-workers",
        type=int,
        default=0,
        metavar="N",
        help="up to so many while there is room, also when nodes come and go (default: always --workers)",
    )
    parser.add_argument(
        "--gpus-per-worker", type=float, default=0.0, metavar="G", help="default: 0, on the CPU"
    )
    parser.add_argument("--cpus-per-worker", type=float, default=1.0, metavar="C", help="default: 1")
    parser.add_argument(
        "--max-failures",
        type=int,
        default=3,
        metavar="N",
        help="restarts after a lost worker or node (default: 3; -1: no end)",
    )
    parser.add_argument(
        "--hang-timeout",
        type=int,
        default=1200,
        metavar="S",
        help="seconds that workers wait for one that does not answer before all begin again (default: 1200)",
    )
    parser.add_argument(
        "--validate-apart",
        action="store_true",
        help="held-out figures by one more task of a worker's size, into RUN/validation; the workers go on",
    )
    parser.add_argument(
        "--wait-for-nodes", action="store_true", help="wait for a cluster that grows, instead of refusing"
    )
    return parser
