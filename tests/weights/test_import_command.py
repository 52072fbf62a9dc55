"""`segtalker weights import` and `info` at files: what they say, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtalker.cli import main
from segtalker.errors import ConfigError, WeightsError
from tests.weights.rows import DATA, list_rows
from tests.weights.rows import small_row as as_published
from tests.weights.test_parity import generator_file, speech_file


def test_the_command_says_what_it_found_what_it_wrote_and_how_to_use_it(
    tmp_path: Path, training: Path, capsys
):
    generator_file("port", tmp_path / "net")
    arguments = ["weights", "import", str(tmp_path / "net"), "--as", "sgi", "--for", str(training)]
    assert main([*arguments, "-o", str(tmp_path / "start.safetensors")]) == 0
    shown = capsys.readouterr().out
    assert "found:   StyleGAN2 generator, layout of the PyTorch port, in 'g_ema'" in shown
    assert "of no published size: stylegan2_ffhq_32; licence: its publisher's" in shown
    assert "also in this file: generator, discriminator (--as)" in shown
    assert "skipped: style.1.weight and 5 more: the mapping network, which SGI never runs" in shown
    assert f"segtalker train sgi CONFIG --set start_from={tmp_path / 'start.safetensors'}" in shown
    assert main([*arguments, "-o", str(tmp_path / "start.safetensors"), "--each"]) == 0
    each = capsys.readouterr().out
    assert "taken   generator.conv1.conv.weight: from 'conv1.conv.weight'" in each
    assert "random  encoder.input_layer.0.weight: the file has none" in each


def test_the_command_explains_published_files_and_ours(tmp_path: Path, capsys):
    speech_file(tmp_path / "net.pt", "")
    assert main(["weights", "info", str(tmp_path / "net.pt")]) == 0
    shown = capsys.readouterr().out
    assert "AV-HuBERT, audio path, in 'model'; of no published size: avhubert" in shown
    assert "0 missing, 0 unknown" in shown and "heads=3" in shown
    out = tmp_path / "speech.safetensors"
    assert main(["weights", "import", str(tmp_path / "net.pt"), "-o", str(out)]) == 0
    assert f"use:     segtalker train tsg CONFIG --set speech={out}" in capsys.readouterr().out
    assert main(["weights", "info", str(out)]) == 0
    assert f"{out}: a SegTalker 'speech'" in capsys.readouterr().out


def test_the_command_refuses_in_one_line(tmp_path: Path, capsys):
    (tmp_path / "net.pt").write_bytes(b"<html>")
    assert main(["weights", "import", str(tmp_path / "net.pt")]) == WeightsError.exit_code
    error = capsys.readouterr().err
    assert (
        error.startswith(f"segtalker weights: {tmp_path / 'net.pt'}: a web page") and error.count("\n") == 1
    )


@pytest.mark.parametrize("out", ["", ".", "folder"])
def test_a_folder_is_no_name_of_a_file(out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    generator_file("port", tmp_path / "net")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["weights", "import", "net", "-o", out]) == ConfigError.exit_code
    error = capsys.readouterr().err
    assert f"-o {out or '.'}: is a folder. Name the file to write" in error and error.count("\n") == 1
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize("option", ["--as", "--for", "--onto", "--group", "--out"])
def test_a_file_that_is_used_as_published_takes_no_options_of_networks(
    option: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    (tmp_path / "small.tflite").write_bytes(DATA)
    list_rows(monkeypatch, as_published())
    command = ["weights", "import", str(tmp_path / "small.tflite")]
    assert main([*command, option, "value"]) == ConfigError.exit_code
    error = capsys.readouterr().err
    assert f"small is used as published and goes to the cache, so {option} would change nothing" in error
    assert error.count("\n") == 1 and not cache.exists()
    assert main(command) == 0 and (cache / "toys" / "small.tflite").read_bytes() == DATA
