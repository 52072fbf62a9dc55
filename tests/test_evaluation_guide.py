"""The guide of evaluation names what there is: every figure, every method, and commands that parse."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from segtalker.cli import build_parser
from segtalker.evaluation.columns import COLUMNS
from segtalker.evaluation.method import PRESETS
from segtalker.evaluation.pairs import COLUMNS as PAIR_COLUMNS

GUIDE = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(segtalker evaluate .+?)(?:\s+#.*)?$", GUIDE, re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guide_parses(command: str):
    assert build_parser().parse_args(shlex.split(command)[1:]).command == "evaluate"


def test_the_guide_shows_every_action():
    assert {command.split()[2] for command in COMMANDS} == {"run", "self", "cross", "compare", "methods"}


def test_every_figure_stands_in_the_guide_as_it_is_defined():
    for column in COLUMNS:
        assert f"| {column.title} | `{column.name}` | {column.meaning} |" in GUIDE


def test_every_method_and_every_column_of_a_pair_stands_in_the_guide():
    for name in [*(path.stem for path in PRESETS.glob("*.yaml")), *PAIR_COLUMNS]:
        assert f"`{name}`" in GUIDE
