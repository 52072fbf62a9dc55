"""The verb `segtalker prepare`: its arguments, and the call that they become."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from segtalker.cli_arguments import add_overrides

if TYPE_CHECKING:
    from segtalker.data.prepare_run import Runner

Parser = argparse.ArgumentParser

_SOURCES = {
    "hdtf": ("HDTF_dataset", "clips of HDTF, by its text files from github.com/MRzzm/HDTF"),
    "folder": ("VIDEOS", "all videos of a folder or bucket; a sub-folder, else a file, is one person"),
    "synthetic": ("CORPUS", "videos that 'segtalker synth clips' made"),
    "manifest": ("FILE", "clips that were planned before (.jsonl, .csv, .parquet)"),
}
_WHAT = (
    "Each clip is cut, brought to 25 frames and 16000 samples a second, its face tracked, aligned and "
    "parsed, its speech turned into features. What is there already is not made again. Clips that are of no "
    "use are listed with the reason in OUT/outcomes.jsonl."
)
_DOWNLOAD = (
    "first fetch missing videos with yt-dlp (pip install 'segtalker[download]'). They belong to their "
    "owners: do this only if you have the right to, and do not pass them on"
)


def add_arguments(parser: Parser) -> None:
    """One sub-command for each kind of source."""
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    for kind, (place, meaning) in _SOURCES.items():
        verb = sources.add_parser(kind, help=meaning, description=f"Prepare {meaning}. {_WHAT}")
        verb.add_argument("place", metavar=place, help=meaning)
        verb.add_argument(
            "--out", required=True, help="folder or bucket of shards; train on it as clips.folder"
        )
        if kind == "hdtf":
            verb.add_argument(
                "--videos",
                default="",
                help="folder or bucket of the videos, such as Radio1.mp4; --plan-only counts without it",
            )
            verb.add_argument("--download", action="store_true", help=_DOWNLOAD)
        if kind in ("hdtf", "folder"):
            verb.add_argument("--val", type=float, default=0.05, help="share of the people (default: 0.05)")
            verb.add_argument("--test", type=float, default=0.05, help="share of the people (default: 0.05)")
        verb.add_argument("--workers", type=int, default=1, help="processes (default: 1); about 1 GB each")
        verb.add_argument("--plan-only", action="store_true", help="only write OUT/manifest.jsonl")
        verb.add_argument(
            "--config", type=Path, help="YAML file with any of the settings, see OUT/prepare.yaml"
        )
        verb.add_argument("--quiet", action="store_true", help="no progress bar")
        add_overrides(verb, "size=256")


def run(arguments: argparse.Namespace, runner: Runner | None = None) -> int:
    """Prepare what the arguments say; prints what came of it. runner: works off the clips elsewhere."""
    from segtalker.data.manifest import SplitConfig
    from segtalker.data.prepare_run import run_processes
    from segtalker.preparation import Source, run_prepare

    options = vars(arguments)
    source = Source(
        arguments.source, arguments.place, options.get("videos", ""), options.get("download", False)
    )
    print(
        run_prepare(
            source,
            arguments.out,
            arguments.config,
            arguments.overrides,
            SplitConfig(options.get("val", 0.05), options.get("test", 0.05)),
            arguments.workers,
            arguments.plan_only,
            arguments.quiet,
            runner or run_processes,
        )
    )
    return 0
