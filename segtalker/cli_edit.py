"""`segtalker edit`: change a face in a picture or a video, without speech; and `--edit` of every command."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from segtalker.cli_arguments import add_overrides
from segtalker.errors import ConfigError

if TYPE_CHECKING:
    from segtalker.dub_config import DubConfig

Parser = argparse.ArgumentParser
Arguments = argparse.Namespace


def add_edits(parser: Parser) -> None:
    """The option `--edit RECIPE` of every command that changes faces."""
    parser.add_argument(
        "--edit",
        dest="edits",
        action="append",
        default=[],
        metavar="RECIPE",
        help="what to change about the face, or behind it: a YAML file as in configs/edit, or short forms "
        "such as blink=0.2/s,lip=red@0.7,hair=ref.jpg@0.7,background=blur,frown=0.5:1-2.5; may be repeated",
    )


def with_edits(config: DubConfig, recipes: list[str]) -> DubConfig:
    """The configuration with the edits of the command line added to its own."""
    from dataclasses import replace

    from segtalker.editing.short import read_edits

    if not recipes:
        return config
    try:
        return replace(config, edits=(*config.edits, *read_edits(recipes)))
    except ValueError as error:
        raise ConfigError(f"--edit: {error}") from None


def add_arguments(parser: Parser) -> None:
    """What `segtalker edit` takes."""
    parser.add_argument("video", type=Path, help="video or picture of the person")
    add_edits(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="a video (.mp4); of a picture a .png or .jpg"
    )
    parser.add_argument("--speaker", metavar="WHO", help="whose face, as in segtalker dub")
    parser.add_argument(
        "--config", type=Path, help="YAML file with any of the settings of segtalker dub; edits as well"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_overrides(parser, "render.batch=4")


def run(arguments: Arguments) -> int:
    """Edit one picture or video."""
    from segtalker.config import load_config
    from segtalker.dub_config import DubConfig
    from segtalker.retouch import edit

    overrides = list(arguments.overrides)
    if arguments.speaker is not None:
        overrides.append(f"speaker={json.dumps(arguments.speaker)}")
    config = with_edits(load_config(DubConfig, arguments.config, overrides), arguments.edits)
    print(edit(config, arguments.video, arguments.output, quiet=arguments.quiet))
    return 0
