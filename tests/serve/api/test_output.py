"""How long a dub may become, by its inputs and its sync mode."""

from __future__ import annotations

import asyncio
import json
from fractions import Fraction
from pathlib import Path

import pytest

from segtalker.compositing.plan import SyncMode, make_plan
from segtalker.types import VideoInfo
from serve.api.errors import ApiError
from serve.api.limits import check_output
from serve.api.probe import Found
from serve.config import LimitsConfig
from tests.conftest import click_track, write_wav

FILM, PORTRAIT = Found("video", duration_s=8.0, frames=200), Found("video", frames=1, is_image=True)


def output_s(mode: SyncMode, video: Found, speech_s: float) -> float:
    """What the frame plan of the library makes of it."""
    info = VideoInfo(Path("x"), 64, 48, Fraction(25), video.frames, False, False, is_image=video.is_image)
    times = [Fraction(index, 25) for index in range(video.frames)]
    plan = make_plan(times, info, [], Fraction(speech_s), mode)
    return float(plan.ticks[-1] * plan.time_base)


@pytest.mark.parametrize("speech_s", [4.0, 12.0])
@pytest.mark.parametrize("video", [FILM, PORTRAIT], ids=["film", "portrait"])
@pytest.mark.parametrize("mode", list(SyncMode))
def test_a_dub_is_refused_exactly_where_its_plan_would_be_too_long(mode, video, speech_s):
    lasts_s = output_s(mode, video, speech_s)
    speech = Found("speech", duration_s=speech_s)
    check_output(LimitsConfig(output_s=lasts_s), mode, video, speech)
    with pytest.raises(ApiError) as refused:
        check_output(LimitsConfig(output_s=lasts_s - 0.01), mode, video, speech)
    assert refused.value.status == 422 and refused.value.code == "too_long"


def test_hours_of_a_portrait_are_told_with_their_cause():
    speech = Found("speech", duration_s=7200.001)
    with pytest.raises(ApiError) as refused:
        check_output(LimitsConfig(speech_s=1e4), SyncMode.CUT_OFF, PORTRAIT, speech)
    assert refused.value.message == (
        "speech: with it the dub would last 7200.01 s (portrait), and the limit is 600 s; cut it."
    )


def test_a_loop_that_is_too_long_is_refused_before_it_is_accepted(make_api, parts, tmp_path):
    write_wav(tmp_path / "long.wav", click_track(16000, 3.0, [0.1]), 16000)
    speech = ("long.wav", (tmp_path / "long.wav").read_bytes(), "audio/wav")
    api = make_api(limits=LimitsConfig(output_s=2, probe_s=20))

    def answer(mode: str):
        options = {"options": json.dumps({"sync_mode": mode})}
        return asyncio.run(api.client.post("/v1/dubs", files=parts(speech=speech), data=options))

    refused = answer("loop")
    assert refused.status_code == 422 and refused.json()["error"]["code"] == "too_long"
    assert api.left_over() == [] and api.service.store.num_open() == 0 and api.service.nudges == 0
    assert answer("cut_off").status_code == 202
