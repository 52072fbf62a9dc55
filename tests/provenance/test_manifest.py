"""Manifest and note: what a file says of itself, and whether it was changed since."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from segtalker.errors import ConfigError, MediaError
from segtalker.media.read import read_frames
from segtalker.media.write import mux, write_segment
from segtalker.provenance import manifest
from segtalker.provenance.config import ProvenanceConfig
from segtalker.provenance.manifest import Origin, read_origin, write_origin
from tests.provenance.frames import textured

ORIGIN = Origin("0.1.0", "my service", ("lips follow other speech", "hair = red"), "frame", {"tsg": "ab12"})
CFG = ProvenanceConfig()
needs_c2pa = pytest.mark.skipif(not importlib.util.find_spec("c2pa"), reason="needs the extra c2pa")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    segment, path = tmp_path / "segment.mp4", tmp_path / "film.mp4"
    write_segment((textured(seed, 48, 64) for seed in range(4)), segment, Fraction(25))
    mux([segment], None, path, np.array([0, 1000, 2001, 3003, 4004]), Fraction(1, 25000))
    segment.unlink()
    return path


def _pixels(path: Path) -> np.ndarray:
    return np.stack([frame.image for frame in read_frames(path)])


def _times(path: Path) -> list[Fraction]:
    return [frame.time for frame in read_frames(path)]


@needs_c2pa
def test_a_signed_manifest_names_what_was_done_and_keeps_the_pictures(film, tmp_path):
    out = tmp_path / "out.mp4"
    assert "signed" in write_origin(film, out, ORIGIN, CFG)
    said = read_origin(out)
    assert (said.kind, said.state, said.is_generated) == ("c2pa", "valid", True)
    assert said.origin is not None
    assert said.origin["edits"] == ["lips follow other speech", "hair = red"]
    assert said.problems == ("signingCredential.untrusted",)
    assert np.array_equal(_pixels(out), _pixels(film)) and _times(out) == _times(film)


@needs_c2pa
def test_a_signed_file_that_was_changed_is_invalid(film):
    write_origin(film, film, ORIGIN, CFG)
    data = bytearray(film.read_bytes())
    at = data.rindex(b"mdat") + 40
    data[at] ^= 1
    film.write_bytes(data)
    said = read_origin(film)
    assert said.state == "invalid" and "assertion.bmffHash.mismatch" in said.problems


@needs_c2pa
def test_a_certificate_that_cannot_sign_is_named_and_leaves_no_file(film, tmp_path):
    bad = tmp_path / "bad.pem"
    bad.write_text("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n")
    cfg = ProvenanceConfig(certificate=str(bad), private_key=str(bad))
    with pytest.raises(ConfigError, match=r"bad\.pem"):
        write_origin(film, tmp_path / "out.mp4", ORIGIN, cfg)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pem", "film.mp4"]


@pytest.mark.parametrize(("content", "says"), [(None, "cannot read it"), ("hello", "not a PEM file")])
def test_a_certificate_that_is_no_certificate_is_one_sentence(film, tmp_path, content, says, monkeypatch):
    monkeypatch.setattr(manifest, "can_sign", lambda: True)
    path = tmp_path / "own.pem"
    if content is not None:
        path.write_text(content)
    cfg = ProvenanceConfig(certificate=str(path), private_key=str(path))
    pytest.importorskip("c2pa")
    with pytest.raises(ConfigError, match=says):
        write_origin(film, tmp_path / "out.mp4", ORIGIN, cfg)


def test_without_the_library_a_plain_note_is_written_and_called_unsigned(film, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "can_sign", lambda: False)
    out = tmp_path / "out.mp4"
    assert "unsigned note" in write_origin(film, out, ORIGIN, CFG)
    said = read_origin(out)
    assert (said.kind, said.state, said.is_generated) == ("note", "unsigned", True)
    assert said.origin is not None and said.origin["model"] == "my service"
    assert np.array_equal(_pixels(out), _pixels(film)) and _times(out) == _times(film)
    assert read_origin(film).kind == "unread"


def test_without_the_library_a_wish_for_a_signature_is_refused(film, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "can_sign", lambda: False)
    cfg = ProvenanceConfig(certificate="a.pem", private_key="b.pem")
    with pytest.raises(ConfigError, match="c2pa-python is missing"):
        write_origin(film, tmp_path / "out.mp4", ORIGIN, cfg)


def test_a_failure_leaves_the_file_that_stood_there(tmp_path):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"an earlier dub")
    with pytest.raises(MediaError):
        write_origin(tmp_path / "missing.mp4", out, ORIGIN, CFG)
    assert out.read_bytes() == b"an earlier dub" and len(list(tmp_path.iterdir())) == 1


def test_a_file_without_a_word_says_nothing(film):
    assert read_origin(film).kind in ("none", "unread")
