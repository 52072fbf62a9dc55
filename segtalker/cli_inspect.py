"""`segtalker inspect`: pictures of what the system sees in videos."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from segtalker.cli_arguments import add_overrides
from segtalker.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `segtalker inspect` takes."""
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO", help="videos or pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder of index.html and its pictures")
    parser.add_argument("--frames", type=int, default=6, metavar="N", help="frames of a sheet (6)")
    parser.add_argument(
        "--samples", type=int, default=40, metavar="N", help="frames of a video whose codes are compared (40)"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="look at the first S seconds only")
    parser.add_argument("--speaker", metavar="WHO", help="whose face, as in segtalker dub")
    parser.add_argument("--config", type=Path, help="YAML file with any of the settings of segtalker dub")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_overrides(parser, "parsing.backend=bisenet")


def run(arguments: argparse.Namespace) -> int:
    """Look at the videos."""
    from segtalker.config import load_config
    from segtalker.dub_config import DubConfig
    from segtalker.inspection.look import Amount
    from segtalker.inspection.run import inspect

    overrides = list(arguments.overrides)
    if arguments.speaker is not None:
        overrides.append(f"speaker={json.dumps(arguments.speaker)}")
    try:
        amount = Amount(frames=arguments.frames, samples=arguments.samples, seconds=arguments.seconds)
    except ValueError as error:
        raise ConfigError(f"{error}.") from None
    config = load_config(DubConfig, arguments.config, overrides)
    print(inspect(config, arguments.videos, arguments.out, amount, quiet=arguments.quiet))
    return 0
