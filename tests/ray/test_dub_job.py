"""The batch job: rows in, outcomes out."""

from __future__ import annotations

import json

import pytest

from tests.dubbing import real_portrait, tiny_weights, write_speech

pytestmark = [pytest.mark.ray, pytest.mark.weights]


def test_a_manifest_of_two_good_clips_and_a_bad_one_gives_three_outcomes(cluster, tmp_path):
    from ray_jobs.dub import Dubber, dub_manifest
    from segtalker.config import to_dict
    from segtalker.pipeline import DubConfig, NetworkConfig

    portrait = real_portrait(tmp_path / "portrait.png")
    weights = tiny_weights(tmp_path)
    speech = write_speech(tmp_path / "speech.wav", 0.2)
    (tmp_path / "bad.mp4").write_bytes(b"no video at all")
    rows = [
        {"video": str(video), "speech": str(speech), "output": str(tmp_path / "out" / f"{name}.mp4")}
        for name, video in (("one", portrait), ("bad", tmp_path / "bad.mp4"), ("two", portrait))
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = DubConfig(
        tsg=NetworkConfig(weights=str(weights["tsg"])),
        sgi=NetworkConfig(weights=str(weights["sgi"])),
        threads=1,
    )

    outcomes = {row["output"]: row for row in dub_manifest(manifest, config, actors=2)}

    found = [outcomes[row["output"]] for row in rows]
    assert [row["status"] for row in found] == ["done", "failed", "done"]
    assert "bad.mp4" in found[1]["error"]
    assert [row["synthesized"] for row in found] == [5, 0, 5]
    without_output = {"video": str(portrait), "speech": str(speech), "output": None}
    assert Dubber(to_dict(config))(without_output)["status"] == "failed"
    assert sorted(path.name for path in (tmp_path / "out").glob("*.mp4")) == ["one.mp4", "two.mp4"]
