"""Long videos are cut so that every frame is rendered once and every duration is exact."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from segtalker.batch.plan import cut_ranges, is_long
from segtalker.compositing.plan import FramePlan, SyncMode

RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60000, 1001)]


@pytest.mark.parametrize("minutes", [5, 60, 600])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("most", [100, 375, 1500])
def test_every_frame_is_in_one_range(minutes, rate, most):
    frames, chunk = int(minutes * 60 * rate), 25
    ranges = cut_ranges(frames, chunk, most)
    chunks = [number for part in ranges for number in range(part.first, part.stop)]
    assert chunks == list(range(-(-frames // chunk)))
    sizes = [min(part.stop * chunk, frames) - part.first * chunk for part in ranges]
    assert sum(sizes) == frames and max(sizes) <= most
    assert max(part.stop - part.first for part in ranges) - min(p.stop - p.first for p in ranges) <= 1
    assert len({part.name for part in ranges}) == len(ranges)


@pytest.mark.parametrize("minutes", [5, 60, 600])
@pytest.mark.parametrize("rate", RATES)
def test_the_ranges_of_a_plan_last_as_long_as_the_plan(minutes, rate):
    frames = int(minutes * 60 * rate)
    shown = np.arange(frames)
    plan = FramePlan(SyncMode.CUT_OFF, 25, rate, 1 / rate, np.arange(frames + 1), shown, 0 * shown, 0 * shown)
    chunks = plan.chunks()
    ends = [chunks[part.stop - 1].stop for part in cut_ranges(len(plan), plan.chunk_frames, 1500)]
    lengths = [int(ticks) * plan.time_base for ticks in np.diff(plan.ticks[[0, *ends]])]
    assert ends[-1] == frames and sum(lengths) == plan.duration == frames / rate
    assert abs(plan.duration - 60 * minutes) < 1 / rate


def test_a_chunk_is_never_cut():
    assert [(part.first, part.stop) for part in cut_ranges(60, 25, 10)] == [(0, 1), (1, 2), (2, 3)]
    assert cut_ranges(0, 25, 10) == []


def test_only_videos_of_more_frames_are_cut():
    assert is_long(1501, 1500) and not is_long(1500, 1500) and not is_long(10**6, 0)
