"""The command line is one table of verbs; mistakes are one line and an exit code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import segtalker
from segtalker import cli
from segtalker.cli import COMMANDS, TRAININGS, build_parser, main
from segtalker.config import load_config
from segtalker.errors import FaceNotFound, StorageError
from segtalker.pipeline import DubConfig, SegTalker
from segtalker.synthetic.plan import SynthConfig
from segtalker.training.run import TASKS


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_every_verb_explains_itself_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"example: segtalker {verb}" in shown


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_the_example_of_every_verb_parses(verb: str):
    words = COMMANDS[verb].example.split()
    assert words[0] == "segtalker"
    assert build_parser().parse_args(words[1:]).command == verb


def test_an_error_of_the_user_is_one_line_and_its_exit_code(monkeypatch, capsys):
    def fail(arguments):
        raise FaceNotFound("clip.mp4: no face in 10 of 10 frames.")

    monkeypatch.setitem(
        cli.COMMANDS, "doctor", cli.Command("x", "segtalker doctor", lambda parser: None, fail)
    )
    assert main(["doctor"]) == FaceNotFound.exit_code
    assert capsys.readouterr().err == "segtalker doctor: clip.mp4: no face in 10 of 10 frames.\n"


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()
    assert main(["demo", "--out", str(tmp_path / "file"), "--quiet"]) == StorageError.exit_code
    assert capsys.readouterr().err == f"segtalker demo: {tmp_path / 'file'}: File exists.\n"


def test_an_interrupt_says_how_to_go_on(monkeypatch, capsys):
    def stop(arguments):
        raise KeyboardInterrupt

    monkeypatch.setitem(
        cli.COMMANDS, "doctor", cli.Command("x", "segtalker doctor", lambda parser: None, stop)
    )
    assert main(["doctor"]) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_help_is_fast_and_loads_no_network_library():
    build = "from segtalker.cli import build_parser; build_parser().format_help()"
    code = f"import sys; {build}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out == f"segtalker {segtalker.__version__}\n"


@pytest.mark.parametrize(("verb", "config"), [("dub", DubConfig), ("synth", SynthConfig)])
def test_the_example_of_set_is_a_setting(verb: str, config: type, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    example = re.search(r"--set (\S+=\S+);", " ".join(capsys.readouterr().out.split()))
    assert example is not None
    load_config(config, None, [example.group(1), *(["preset=speech"] if verb == "synth" else [])])


@pytest.mark.parametrize("name", ['my "best" one.png', "back\\slash.png", "grün # 1: x.png"])
def test_any_file_name_may_be_the_photo_of_the_speaker(name: str, monkeypatch):
    asked = []
    monkeypatch.setattr(SegTalker, "dub", lambda self, *_, **__: asked.append(self.config) or Told())
    assert main(["dub", "a.mp4", "b.wav", "-o", "c.mp4", "--speaker", f"photo:{name}"]) == 0
    assert asked[0].speaker == f"photo:{name}"


class Told:
    def summary(self) -> str:
        return "done"


def test_a_missing_input_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    missing = tmp_path / "none.mp4"
    code = main(["dub", str(missing), str(missing), "-o", str(tmp_path / "out.mp4"), "--quiet"])
    assert code != 0
    error = capsys.readouterr().err
    assert "none.mp4" in error and error.count("\n") == 1


def test_every_training_can_be_started() -> None:
    assert set(TRAININGS) == set(TASKS)
