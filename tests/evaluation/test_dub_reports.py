"""What dubs cost is read off their reports, so that a run that made none of them tells it, too."""

from __future__ import annotations

import json
from pathlib import Path

from segtalker.evaluation.dub_reports import cost, cost_sentences


def _dub(folder: Path, name: str, seconds: float, reused: int = 0, **stages: float) -> Path:
    told = {"duration_s": seconds, "timings_s": stages, "reused_segments": reused, "tracks": []}
    (folder / f"{name}.report.json").write_text(json.dumps(told))
    return folder / f"{name}.mp4"


def test_the_cost_is_of_a_minute_of_video_by_stage_and_long_videos_count_more(tmp_path: Path):
    videos = [_dub(tmp_path, "a", 2.0, tsg=1.0, track=4.0), _dub(tmp_path, "b", 4.0, tsg=2.0, track=3.0)]
    told = cost(videos)
    assert told == {"seconds_per_minute": {"track": 70.0, "tsg": 30.0}, "dubs": 2}
    assert list(cost_sentences({"ours": {"settings": [], **told}, "theirs": {}})) == [
        "ours: 100 s of work for a minute of video (track 70, tsg 30), by the clocks of 2 dubs."
    ]


def test_a_dub_that_went_on_or_that_is_missing_does_not_count(tmp_path: Path):
    videos = [_dub(tmp_path, "a", 2.0, tsg=1.0), _dub(tmp_path, "b", 2.0, reused=1, tsg=0.1)]
    assert cost([*videos, tmp_path / "absent.mp4"]) == {"seconds_per_minute": {"tsg": 30.0}, "dubs": 1}
    assert cost([tmp_path / "absent.mp4"]) == {}
