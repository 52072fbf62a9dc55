"""Spans, keyframes and blinks over time."""

from __future__ import annotations

import numpy as np
import pytest

from segtalker.editing.spans import (
    BLINK_S,
    envelope,
    interpolate,
    natural_closure,
    smooth_step,
    timed_closure,
)


def test_a_span_eases_in_and_out_and_is_nothing_outside():
    levels = [envelope(t, (1.0, 3.0), 0.5) for t in (0.99, 1.0, 1.25, 2.0, 2.75, 3.0)]
    assert levels == pytest.approx([0, 0, 0.5, 1, 0.5, 0])
    assert envelope(7.0, None, 0.5) == 1.0


def test_a_span_without_ease_is_full_at_once_and_a_short_one_reaches_its_full_in_the_middle():
    assert envelope(1.0, (1.0, 2.0), 0.0) == 1.0 and envelope(2.0, (1.0, 2.0), 0.0) == 0.0
    assert envelope(1.1, (1.0, 1.2), 5.0) == pytest.approx(1.0)


def test_keyframes_are_met_eased_between_and_held_outside():
    frames = [(1.0, 0.0), (2.0, 1.0), (4.0, 0.5)]
    assert [interpolate(t, frames) for t in (0.0, 1.0, 1.5, 2.0, 3.0, 9.0)] == [0, 0, 0.5, 1, 0.75, 0.5]
    assert smooth_step(-1) == 0 and smooth_step(2) == 1


@pytest.mark.parametrize("rate", [0.1, 0.25, 1.0])
def test_natural_blinks_come_at_their_rate_at_seeded_times_and_always_close_fully(rate: float):
    times = np.arange(0, 60, 0.01)
    closure = np.array([natural_closure(t, 3, rate) for t in times])
    starts = np.flatnonzero((closure[1:] > 0) & (closure[:-1] == 0))
    assert len(starts) == pytest.approx(60 * rate, abs=1)
    assert np.ptp(np.diff(times[starts])) > 0.1  # not a metronome
    assert closure.max() == 1 and closure.min() == 0
    assert closure.tolist() == [natural_closure(t, 3, rate) for t in times]
    assert closure.tolist() != [natural_closure(t, 4, rate) for t in times]


def test_a_blink_closes_faster_than_it_opens_and_is_over():
    closure = [timed_closure(1 + s, (1.0, 2.0)) for s in (0.0, 0.05, 0.1, 0.14, 0.25, BLINK_S, 0.9)]
    assert closure == pytest.approx([0, 0.5, 1, 1, 0.5, 0, 0])
