"""The verb `segtalker batch`: its arguments, and the call that they become."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from segtalker.cli_arguments import add_overrides
from segtalker.errors import ConfigError

if TYPE_CHECKING:
    from segtalker.batch.config import BatchConfig
    from segtalker.batch.rows import DubRow
    from segtalker.batch.run import Runner
    from segtalker.dub_config import DubConfig

    OpenWorkers = Callable[[Sequence[DubRow], DubConfig, BatchConfig, str], AbstractContextManager[Runner]]
    """Workers for a batch; what they refuse, they refuse before any work begins."""


_MANIFEST = """a manifest, as CSV:
  id,video,speech,output,speaker,options
  ann-de,ann.mp4,ann.de.wav,,,
  bob-fr,s3://talks/bob.mp4,bob.fr.wav,fr/bob.mp4,index:0,sync_mode=loop; encode.crf=20; edits=lip=red@0.7
as JSON lines:
  {"id": "ann-de", "video": "ann.mp4", "speech": "ann.de.wav", "options": {"sync_mode": "loop"}}

A row needs video, speech, and id or output (by default ID.mp4). Inputs count from the manifest's folder,
outputs from --out. speaker and options are those of 'segtalker dub', for this row alone; edits is what
--edit takes, or a list of edits as in a recipe's file. The same command again goes on: what is finished is
found by its content, and not made again."""


def add_arguments(
    parser: argparse.ArgumentParser,
    workers: str = "processes, each with networks of its own and, unless --set threads=N, one thread",
) -> None:
    """What a batch takes, here and on a cluster. workers: what these are."""
    parser.epilog = "\n\n".join(filter(None, (_MANIFEST, parser.epilog)))
    parser.add_argument(
        "manifest", help=".jsonl, .csv or .parquet in a folder or bucket; its columns are explained below"
    )
    parser.add_argument(
        "--out",
        required=True,
        help="folder or bucket of the outputs, of outcomes.jsonl, outcomes.csv and summary.html",
    )
    parser.add_argument("--workers", default="1", metavar="N", help=f"{workers} (default: 1)")
    parser.add_argument("--config", type=Path, help="YAML file with settings of all rows")
    parser.add_argument(
        "--chunk-frames",
        type=int,
        default=1500,
        metavar="N",
        help="cut videos of more output frames into ranges of at most N (default: 1500; 0: never)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace outputs that were made of something else"
    )
    parser.add_argument(
        "--attempts",
        type=int,
        default=3,
        metavar="N",
        help="tries of a row that its worker died on, or whose storage or memory gave out (default: 3)",
    )
    parser.add_argument(
        "--stall",
        type=int,
        default=1800,
        metavar="S",
        help="end a worker that comes no frame further for S seconds (default: 1800)",
    )
    parser.add_argument(
        "--scratch",
        metavar="DIR",
        help="folder on each machine's disk for fetched inputs and unfinished work",
    )
    parser.add_argument(
        "--cache-gb", type=float, default=20.0, metavar="G", help="room for fetched inputs (default: 20)"
    )
    parser.add_argument(
        "--check", action="store_true", help="dub nothing: check list, settings and that all inputs are there"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a row failed")
    parser.add_argument("--quiet", action="store_true", help="no progress bar or lines")
    add_overrides(parser, "sync_mode=loop")


def run(arguments: argparse.Namespace, open_workers: OpenWorkers | None = None) -> int:
    """Run the batch that the arguments describe; prints what came of it."""
    from segtalker.batch.config import BatchConfig
    from segtalker.batch.lease import Lease
    from segtalker.batch.outcome import CSV_NAME
    from segtalker.batch.rows import placed, read_rows
    from segtalker.batch.run import dub_rows
    from segtalker.batch.summary import PAGE_NAME, summary_lines
    from segtalker.config import load_config
    from segtalker.dub_config import DubConfig
    from segtalker.progress import ProgressBar
    from segtalker.storage import join

    batch = BatchConfig(
        chunk_frames=arguments.chunk_frames,
        attempts=arguments.attempts,
        overwrite=arguments.overwrite,
        stall_s=arguments.stall,
        scratch=arguments.scratch,
        cache_gb=arguments.cache_gb,
    )
    cfg = load_config(DubConfig, arguments.config, arguments.overrides)
    out = placed(arguments.out, ".")
    rows = read_rows(arguments.manifest, out)
    if arguments.check:
        return _check(arguments.manifest, rows, cfg)
    opened = open_workers(rows, cfg, batch, out) if open_workers else _local(arguments, cfg, batch, out)
    with (
        _log_shown(arguments.quiet),
        Lease(out) as lease,  # before the workers, whose beginning takes a while
        opened as runner,
        ProgressBar(arguments.quiet) as bar,
    ):
        standing = dub_rows(rows, cfg, batch, out, runner, bar, lease)
    print(summary_lines(standing))
    print(f"outcomes: {join(out, CSV_NAME)}, {join(out, PAGE_NAME)}")
    failed = any(outcome.state == "failed" for outcome in standing.outcomes)
    return int(arguments.strict and failed)


def _check(manifest: str, rows: Sequence[DubRow], cfg: DubConfig) -> int:
    """Say which rows would fail; 1 where any would."""
    from segtalker.batch.check import find_faults

    faults = find_faults(rows, cfg)
    for name, why in faults:
        print(f"would fail: {name}: {why}")
    found = f"{len(faults)} would fail" if faults else "settings are right and all inputs are there"
    print(f"{manifest}: {len(rows)} row{'s' * (len(rows) != 1)}; {found}.")
    return int(bool(faults))


@contextmanager
def _log_shown(quiet: bool) -> Iterator[None]:
    """Show the log of the batch; its line a minute only where there is no terminal for a bar."""
    log, pace = logging.getLogger("segtalker.batch"), logging.getLogger("segtalker.batch.pace")
    handler = logging.StreamHandler()
    log.addHandler(handler)
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    pace.setLevel(logging.WARNING if sys.stderr.isatty() else logging.NOTSET)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _local(
    arguments: argparse.Namespace, cfg: DubConfig, batch: BatchConfig, out: str
) -> AbstractContextManager[Runner]:
    from segtalker.batch.local import LocalWorkers

    if not arguments.workers.isdecimal() or int(arguments.workers) < 1:
        raise ConfigError(f"--workers {arguments.workers}: on one machine, give a number of processes.")
    return LocalWorkers(cfg, batch, out, int(arguments.workers))
