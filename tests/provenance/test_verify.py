"""`segtalker verify`: one verdict from mark and manifest, and one line for bad input."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from segtalker.cli import main
from segtalker.media.write import mux, write_segment
from segtalker.provenance import manifest
from segtalker.provenance.config import ProvenanceConfig
from segtalker.provenance.manifest import Origin, write_origin
from segtalker.provenance.mark import mark_frame
from segtalker.provenance.verify import verify
from tests.provenance.frames import textured


def _film(path: Path, cfg: ProvenanceConfig, rate: int = 2, seconds: int = 3) -> Path:
    """A still picture with a little grain, at a low rate."""
    segment = path.with_suffix(".part.mp4")
    still = textured(0, 240, 320)
    frames = (mark_frame(np.roll(still, index, 1), cfg) for index in range(rate * seconds))
    count = write_segment(frames, segment, Fraction(rate))
    mux([segment], None, path, np.arange(count + 1), Fraction(1, rate))
    return path


def test_a_marked_film_is_called_generated_and_the_limits_are_told(tmp_path, capsys):
    film = _film(tmp_path / "film.mp4", ProvenanceConfig())
    assert main(["verify", str(film), "--model", "segtalker"]) == 0
    said = capsys.readouterr().out
    assert "found in 1 of 1 windows" in said and "0725, as expected" in said
    assert "AI-generated" in said and "anybody could have drawn it" in said


def test_an_unmarked_film_is_not_called_real(tmp_path, capsys):
    film = _film(tmp_path / "film.mp4", ProvenanceConfig(where="off"))
    assert main(["verify", str(film), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["is_synthetic"] is False and said["mark"]["marked"] == 0
    assert "does not make the file real" in said["meaning"]


def test_a_note_is_told_as_unsigned_and_cannot_steer_the_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(manifest, "can_sign", lambda: False)
    cfg = ProvenanceConfig(where="off")
    film = _film(tmp_path / "film.mp4", cfg)
    write_origin(film, film, Origin("0.1.0", "m\x1b[2J", ("hair",), "off", {}), cfg)
    assert main(["verify", str(film)]) == 0
    said = capsys.readouterr().out
    assert "plain, unsigned note" in said and "says:     SegTalker 0.1.0" in said
    assert "\x1b" not in said
    assert "its pixels carry no mark" in said


def test_a_long_film_is_read_in_windows_from_its_beginning_to_its_end(tmp_path):
    film = _film(tmp_path / "film.mp4", ProvenanceConfig(), rate=1, seconds=9)
    verdict = verify(film, max_windows=2)
    assert [window.start_s for window in verdict.windows] == [0.0, 5.0]
    assert [window.num_frames for window in verdict.windows] == [4, 4]
    assert verdict.num_marked == 2


def test_a_picture_is_one_window(tmp_path):
    path = tmp_path / "still.png"
    marked = mark_frame(textured(4, 480, 640), ProvenanceConfig(model="studio"))
    cv2.imwrite(str(path), marked[..., ::-1])
    verdict = verify(path)
    assert len(verdict.windows) == 1 and verdict.num_marked == 1
    assert verdict.message == ProvenanceConfig(model="studio").message


@pytest.mark.parametrize("content", [None, b"", b"no film at all"])
def test_bad_input_is_one_line(tmp_path, capsys, content):
    path = tmp_path / "film.mp4"
    if content is not None:
        path.write_bytes(content)
    assert main(["verify", str(path)]) != 0
    assert len(capsys.readouterr().err.splitlines()) == 1
