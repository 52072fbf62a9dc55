"""`segtalker directions`: fit directions and styles in code space to folders of pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from segtalker.cli_arguments import add_overrides

Parser = argparse.ArgumentParser


def add_arguments(parser: Parser) -> None:
    """The two things that can be fitted."""
    verbs = parser.add_subparsers(dest="fit", required=True, metavar="fit|styles")
    fit = verbs.add_parser(
        "fit", help="what leads from one set of faces to another: skin=beard.safetensors@0.8"
    )
    fit.add_argument("first", type=Path, metavar="A", help="folder of pictures or videos without the feature")
    fit.add_argument("second", type=Path, metavar="B", help="folder of those with it, otherwise alike")
    styles = verbs.add_parser("styles", help="how people differ, for random styles of your own weights")
    styles.add_argument("folder", type=Path, metavar="PEOPLE", help="folder of pictures or videos")
    styles.add_argument("--components", type=int, default=32, metavar="K", help="ways to differ (32)")
    for verb in (fit, styles):
        verb.add_argument("-o", "--output", type=Path, required=True, help="a .safetensors file")
        verb.add_argument("--config", type=Path, help="YAML file with any of the settings of segtalker dub")
        verb.add_argument("--quiet", action="store_true", help="no progress bar")
        add_overrides(verb, "sgi.weights=runs/sgi/sgi.safetensors")


def run(arguments: argparse.Namespace) -> int:
    """Fit one of them."""
    from segtalker.config import load_config
    from segtalker.directions import fit_direction, fit_styles
    from segtalker.dub_config import DubConfig
    from segtalker.errors import ConfigError

    config = load_config(DubConfig, arguments.config, arguments.overrides)
    output, quiet = arguments.output, arguments.quiet
    if arguments.fit == "fit":
        told = fit_direction(config, arguments.first, arguments.second, output, quiet=quiet)
    elif arguments.components < 1:
        raise ConfigError("--components must be at least 1.")
    else:
        told = fit_styles(config, arguments.folder, output, arguments.components, quiet=quiet)
    print(told)
    return 0
