"""The batch job: rows in, outcomes out."""

from __future__ import annotations

import json

import pytest

from segtalker.pipeline import DubConfig
from tests.dubbing import talking_clip, write_speech

pytestmark = pytest.mark.ray


def test_a_manifest_of_two_good_clips_and_a_bad_one_gives_three_outcomes(cluster, tmp_path):
    from ray_jobs.dub import dub_manifest

    speech = write_speech(tmp_path / "speech.wav", 0.4)
    (tmp_path / "bad.mp4").write_bytes(b"no video at all")
    talking_clip(tmp_path / "one.mp4", 12)
    talking_clip(tmp_path / "two.mp4", 12)
    rows = [
        {
            "video": str(tmp_path / f"{name}.mp4"),
            "speech": str(speech),
            "output": str(tmp_path / "out" / f"{name}.mp4"),
        }
        for name in ("one", "bad", "two")
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))

    outcomes = {row["video"]: row for row in dub_manifest(manifest, DubConfig(), actors=2)}

    assert [outcomes[row["video"]]["status"] for row in rows] == ["done", "failed", "done"]
    assert "bad.mp4" in outcomes[rows[1]["video"]]["error"]
    assert [(tmp_path / "out" / f"{name}.mp4").exists() for name in ("one", "bad", "two")] == [
        True,
        False,
        True,
    ]
