"""Arguments that several commands share, here and on a cluster."""

from __future__ import annotations

import argparse


def add_overrides(parser: argparse.ArgumentParser, example: str) -> None:
    """The option `--set KEY=VALUE` of every command that has settings."""
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"change one setting, as in --set {example}; may be repeated",
    )
