"""What the help of the commands teaches."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from segtalker.cli import build_parser, main
from segtalker.weights import registry, store


def test_the_help_of_fetch_teaches(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["weights", "fetch", "--help"])
    shown = capsys.readouterr().out
    for word in ("SEGTALKER_CACHE", "SEGTALKER_WEIGHTS_MIRROR", "SEGTALKER_OFFLINE", "s3://", "HTTPS_PROXY"):
        assert word in shown
    examples = _examples(shown)
    assert len(examples) == 4
    for example in examples:
        assert store.wanted(build_parser().parse_args(example).names)


def test_the_help_of_import_teaches(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["weights", "import", "--help"])
    examples = _examples(capsys.readouterr().out)
    assert len(examples) == 3
    files = {row.source.filename for row in registry.ROWS}
    for example in examples:
        arguments = build_parser().parse_args(example)
        assert str(arguments.file) in files
        assert arguments.training is None or (Path(__file__).parents[2] / arguments.training).is_file()


def _examples(shown: str) -> list[list[str]]:
    text = shown[shown.index("examples:") :].replace("\\\n", " ")
    return [line.split()[1:] for line in re.findall(r"segtalker weights (?:fetch|import) .*", text)]
