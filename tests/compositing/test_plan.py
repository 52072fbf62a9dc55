import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segtalker.compositing.plan import FramePlan, PlanConfig, Reason, SyncMode, make_plan
from segtalker.errors import DataError, MediaError
from segtalker.types import FaceTrack, VideoInfo

NTSC = Fraction(30000, 1001)
RATES = [Fraction(24000, 1001), Fraction(25), NTSC, Fraction(60000, 1001)]


def video(num_frames=10, rate=Fraction(25), is_image=False):
    return VideoInfo(Path("x.mp4"), 640, 480, rate, num_frames, False, True, is_image)


def times_of(num_frames, rate=Fraction(25)):
    return [i / rate for i in range(num_frames)]


def track(track_id, start, num_frames, side=100.0, yaw=0.0):
    boxes = np.tile(np.array([10, 10, 10 + side, 10 + side], np.float32), (num_frames, 1))
    return FaceTrack(
        track_id=track_id,
        start=start,
        bboxes=boxes,
        scores=np.ones(num_frames, np.float32),
        landmarks=np.zeros((num_frames, 468, 2), np.float32),
        crop_from_frame=np.zeros((num_frames, 2, 3)),
        yaw=np.broadcast_to(np.float32(yaw), (num_frames,)).copy(),
    )


def plan_of(
    num_frames=10, speech=Fraction(1), mode="cut_off", rate=Fraction(25), tracks=None, times=None, **cfg
):
    return make_plan(
        times or times_of(num_frames, rate),
        video(num_frames, rate),
        [track(0, 0, num_frames)] if tracks is None else tracks,
        speech,
        mode,
        PlanConfig(**cfg),
    )


def expected_duration(mode, source, speech):
    if mode == "cut_off":
        return min(source, speech)
    return source if mode == "silence" else speech


@pytest.mark.parametrize("mode", [m.value for m in SyncMode])
@pytest.mark.parametrize("rate", RATES)
@settings(max_examples=15, deadline=None)
@given(num_frames=st.integers(1, 70), samples=st.integers(1, 64000))
def test_the_output_lasts_as_its_mode_says_to_one_frame(mode, rate, num_frames, samples):
    speech = Fraction(samples, 16000)
    plan = plan_of(num_frames, speech, mode, rate)
    wanted = expected_duration(mode, num_frames / rate, speech)
    assert 0 <= plan.duration - wanted < 1 / rate
    assert [plan.time(i) for i in range(len(plan) + 1)] == [i / rate for i in range(len(plan) + 1)]
    assert all(0 <= frame.source_index < num_frames for frame in plan)


def test_cut_off_cuts_the_longer_one():
    assert plan_of(10, Fraction(1)).source.tolist() == list(range(10))
    assert plan_of(10, Fraction(1, 5)).source.tolist() == list(range(5))
    assert plan_of(10, Fraction(1, 5) + Fraction(1, 16000)).source.tolist() == list(range(6))


def test_silence_keeps_the_whole_source():
    for speech in (Fraction(1, 5), Fraction(9)):
        plan = plan_of(10, speech, "silence")
        assert plan.source.tolist() == list(range(10)) and plan.counts() == {"synthesized": 10}
    passing = plan_of(10, Fraction(1, 5), "silence", after_speech="pass")
    assert passing.counts() == {"synthesized": 5, "no_speech": 5}
    assert passing[4].synthesize and passing[5].reason is Reason.NO_SPEECH


def test_loop_starts_again_at_the_first_frame():
    assert plan_of(4, Fraction(10, 25), "loop").source.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_bounce_repeats_no_frame_at_a_turn():
    assert plan_of(4, Fraction(13, 25), "bounce").source.tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0]
    assert plan_of(2, Fraction(5, 25), "bounce").source.tolist() == [0, 1, 0, 1, 0]
    assert plan_of(1, Fraction(3, 25), "bounce").source.tolist() == [0, 0, 0]
    long = plan_of(30, Fraction(20), "bounce")
    assert all(abs(a - b) == 1 for a, b in itertools.pairwise(long.source.tolist()))


def test_remap_stretches_and_squeezes_at_the_sources_rate():
    stretched = plan_of(10, Fraction(4, 5), "remap")
    assert stretched.source.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]
    squeezed = plan_of(10, Fraction(1, 5), "remap")
    assert squeezed.source.tolist() == [0, 2, 4, 6, 8]
    assert plan_of(10, Fraction(10, 25), "remap").source.tolist() == list(range(10))


@settings(max_examples=60, deadline=None)
@given(
    num_frames=st.integers(1, 40),
    speech=st.fractions(Fraction(1, 50), 5, max_denominator=1000),
    rate=st.sampled_from(RATES),
    asked=st.sampled_from(["25", "30000/1001", "50", "12"]),
    mode=st.sampled_from(["cut_off", "remap", "loop", "bounce"]),
)
def test_an_asked_rate_shows_the_nearest_source_frame(num_frames, speech, rate, asked, mode):
    plan = plan_of(num_frames, speech, mode, rate, fps=asked)
    step = 1 / Fraction(asked)
    length = num_frames / rate
    stretch = speech / length if mode == "remap" else 1
    if mode == "bounce":
        order = [*range(num_frames), *range(num_frames - 2, 0, -1)]
    else:
        order = list(range(num_frames))
    rounds = 1 if mode in ("cut_off", "remap") else 2 + int(speech * rate) // len(order)
    shown = [(index * stretch / rate, source) for index, source in enumerate(order * rounds)]
    if mode in ("loop", "bounce"):  # the last round that begins before the end of the speech
        shown = shown[: len(order) * -(-speech // (len(order) / rate))]
    for frame in plan:
        assert frame.time == frame.index * step
        nearest = min(shown, key=lambda item: (abs(item[0] - frame.time), item[0]))
        assert frame.source_index == nearest[1]


def test_variable_rate_keeps_its_own_times_through_loop_and_bounce():
    times = [Fraction(t, 1000) for t in (0, 40, 73, 200)]  # the last lasts 127 ms: 327 ms in all
    looped = plan_of(4, Fraction(1, 2), "loop", times=times)
    assert [frame.time * 1000 for frame in looped] == [0, 40, 73, 200, 327, 367, 400]
    bounced = plan_of(4, Fraction(3, 5), "bounce", times=times)
    assert bounced.source.tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert [frame.time * 1000 for frame in bounced] == [0, 40, 73, 200, 327, 454, 487, 527, 560]


@pytest.mark.parametrize("mode", ["cut_off", "loop", "bounce"])
@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.integers(1, 300), min_size=1, max_size=20), speech_ms=st.integers(1, 3000))
def test_a_varying_rate_ends_with_the_speech_to_one_tick(mode, steps, speech_ms):
    times = [Fraction(t, 1000) for t in itertools.accumulate([0, *steps])]
    source = VideoInfo(Path("x.mp4"), 640, 480, Fraction(25), len(times), True, True, False)
    plan = make_plan(times, source, [], Fraction(speech_ms, 1000), mode)
    end = times[-1] + times[-1] - times[-2]
    wanted = expected_duration(mode, end, Fraction(speech_ms, 1000))
    assert 0 <= plan.duration - wanted < plan.time_base
    assert (np.diff(plan.ticks) > 0).all()


def test_a_portrait_is_shown_at_25_frames_a_second_for_the_speech():
    for mode in SyncMode:
        plan = make_plan([Fraction(0)], video(1, is_image=True), [track(0, 0, 1)], Fraction(101, 100), mode)
        assert len(plan) == 26 and set(plan.source.tolist()) == {0} and plan.frame_rate == 25
        assert plan.counts() == {"synthesized": 26}
    fast = make_plan(
        [Fraction(0)], video(1, is_image=True), [], Fraction(1), cfg=PlanConfig(fps="60000/1001")
    )
    assert len(fast) == 60 and fast.time(60) == Fraction(60060, 60000)


def test_twenty_frames_without_a_face_pass_through_and_shift_nothing():
    plan = plan_of(60, Fraction(60, 25), tracks=[track(0, 0, 20), track(1, 40, 20)])
    assert plan.source.tolist() == list(range(60))
    reasons = [frame.reason for frame in plan]
    assert reasons[20:40] == [Reason.NO_FACE] * 20
    assert [frame.track_id for frame in plan] == [0] * 20 + [None] * 20 + [1] * 20
    assert plan.counts() == {"synthesized": 40, "no_face": 20}


def test_each_reason_is_given_to_its_frames():
    turned = track(0, 0, 10, yaw=0)
    turned.yaw[3:5] = [-80, 75]
    plan = make_plan(
        times_of(50),
        video(50),
        [turned, track(0, 10, 10, side=10), track(5, 20, 10), track(7, 0, 30)],
        Fraction(2),
        cfg=PlanConfig(spans_s=((0.2, 1.6),)),
        speakers={0, 5},
    )
    reasons = [frame.reason.value for frame in plan]
    assert reasons[:5] == ["outside_span"] * 5
    assert reasons[5:10] == ["synthesized"] * 5
    assert reasons[10:20] == ["too_small"] * 10
    assert reasons[20:30] == ["synthesized"] * 10
    assert reasons[30:40] == ["no_face"] * 10
    assert reasons[40:] == ["outside_span"] * 10
    all_of_it = make_plan(times_of(50), video(50), [turned, track(7, 0, 30)], Fraction(2), speakers={0})
    reasons = [frame.reason.value for frame in all_of_it]
    assert reasons[3:5] == ["profile"] * 2 and reasons[10:30] == ["other_speaker"] * 20


def test_the_order_of_tracks_does_not_matter_and_the_larger_face_is_taken():
    tracks = [track(0, 0, 10, side=50), track(1, 5, 5, side=120), track(2, 0, 10, yaw=90), track(3, 0, 10, 5)]
    plans = [plan_of(10, tracks=list(order)) for order in itertools.permutations(tracks)]
    for plan in plans:
        assert [frame.track_id for frame in plan] == [0] * 5 + [1] * 5


def test_chunks_cover_all_frames_once_and_do_not_depend_on_anything_else():
    plan = plan_of(123, Fraction(100), chunk_frames=50)
    assert [(c.index, c.start, c.stop) for c in plan.chunks()] == [(0, 0, 50), (1, 50, 100), (2, 100, 123)]
    assert plan.sources(plan.chunks()[1]) == list(range(50, 100))


@settings(max_examples=40, deadline=None)
@given(
    ticks=st.lists(st.integers(1, 90), min_size=1, max_size=60),
    mode=st.sampled_from(list(SyncMode)),
    holes=st.integers(0, 30),
)
def test_json_restores_the_plan(ticks, mode, holes):
    times = [Fraction(t, 1000) for t in itertools.accumulate([0, *ticks])]
    tracks = [track(3, 0, min(holes, len(times)))] if holes else []
    plan = make_plan(times, video(len(times)), tracks, Fraction(2), mode)
    back = FramePlan.from_json(plan.to_json())
    assert back == plan and list(back) == list(plan)
    assert back.chunks() == plan.chunks() and back.counts() == plan.counts()
    assert plan != plan_of(3)


def test_json_of_an_hour_is_small_and_another_version_is_refused():
    plan = plan_of(90_000, Fraction(3600), tracks=[track(0, 0, 90_000)])
    assert len(plan.to_json()) < 1000
    values = json.loads(plan.to_json()) | {"version": 99}
    with pytest.raises(DataError, match="another version"):
        FramePlan.from_json(json.dumps(values))


def test_speech_of_zero_length_and_a_source_without_frames_are_refused():
    with pytest.raises(MediaError, match="zero length"):
        plan_of(10, Fraction(0))
    with pytest.raises(MediaError, match="no frames"):
        make_plan([], video(0), [], Fraction(1))


@pytest.mark.parametrize(
    "wrong",
    [{"fps": "fast"}, {"fps": "0"}, {"spans_s": ((2, 1),)}, {"max_yaw_deg": -1}, {"chunk_frames": 0}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PlanConfig(**wrong)
