"""What the doctor says."""

from __future__ import annotations

import pytest

from segtalker import doctor
from segtalker.doctor import Finding, examine
from segtalker.weights import store


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    return {finding.name: finding for finding in examine()}


def test_everything_that_matters_is_looked_for(findings):
    assert {
        "python",
        "torch",
        "accelerator",
        "encoder libx264",
        "encoder aac",
        "weights cache",
    } <= findings.keys()
    assert {
        "model face_landmark",
        "weights mini/tsg",
        "weights mini/sgi",
        "speech hibari-tts",
    } <= findings.keys()
    assert findings["encoder libx264"].state == findings["torch"].state == "ok"


def test_every_missing_thing_comes_with_its_remedy(findings):
    assert all(finding.remedy for finding in findings.values() if finding.state != "ok")


def test_an_empty_cache_is_seen_and_not_filled(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))
    found = {finding.name: finding for finding in examine()}
    assert found["model face_landmark"].state == "missing"
    assert found["model face_landmark"].remedy == "Run: segtalker weights fetch faces"
    assert "model bisenet" not in found and found["preset paper/prepare"].state == "optional"
    assert not (tmp_path / "cache").exists()


def test_a_published_network_that_is_here_is_told_and_so_is_its_damage(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path))
    place = store.place_of("bisenet")
    with store.installing(place, "a test") as made:
        made.write_bytes(b"weights")
    assert next(f for f in examine() if f.name == "model bisenet").state == "ok"
    place.write_bytes(b"less")
    (damaged,) = (finding for finding in examine() if finding.name == "model bisenet")
    assert damaged.state == "optional" and damaged.detail.endswith("(its bytes is 4, expected 7)")
    assert "segtalker weights fetch bisenet --accept-licence" in damaged.remedy


def test_a_remedy_of_two_lines_is_printed_in_two(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("thing", "optional", "seen", "One.\nTwo.")])
    doctor.doctor()
    assert [line.strip() for line in capsys.readouterr().out.splitlines()[1:3]] == ["-> One.", "-> Two."]


@pytest.mark.parametrize("state, code", [("ok", 0), ("optional", 0), ("missing", 1)])
def test_the_exit_code_says_whether_this_machine_can_dub(monkeypatch, capsys, state, code):
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("thing", state, "seen", "Run: mend it")])
    assert doctor.doctor() == code
    shown = capsys.readouterr().out
    assert ("mend it" in shown) == (state != "ok")
    assert ("cannot dub yet: thing" in shown) == (code == 1)
