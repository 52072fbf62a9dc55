"""The benchmark of evaluation moves speech by whole frames, and no difference escapes it."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import evaluation
from benchmarks.evaluation import math_error, moved


@pytest.mark.parametrize("frames", [-3, 0, 2])
def test_moved_speech_is_the_same_speech_so_many_frames_later(frames: int):
    samples = np.arange(1, 640 * 8 + 1, dtype=np.float32)
    found, by = moved(samples, frames), 640 * frames
    for at in range(len(samples)):
        before = at - by
        assert found[at] == (samples[before] if 0 <= before < len(samples) else 0)


def test_errors_are_relative_and_a_figure_that_is_absent_is_one():
    assert math_error(1.1, 1.0) == pytest.approx(0.1) and math_error(0.0, 0.0) == 0
    assert math_error(None, 1.0) == math.inf
    same = {"a": {"psnr": 30.0, "leak": None}}
    assert evaluation._largest_error(same, same) == 0
    assert evaluation._largest_error(same, {"a": {"psnr": 30.3, "leak": None}}) == pytest.approx(0.01)
    for other in ({"a": {"psnr": 30.0}}, {"a": {"psnr": 30.0, "leak": 0.1}}, {"b": same["a"]}):
        assert evaluation._largest_error(same, other) == math.inf


def test_the_rate_leaves_out_the_first_records_and_stops_at_a_failure(monkeypatch):
    times = iter([0.0, 5.0, 6.0, 8.0])
    monkeypatch.setattr(evaluation, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    done = [SimpleNamespace(id=str(i), reason="") for i in range(4)]
    assert evaluation._rate(done, 1) == pytest.approx(2 / 3)
    with pytest.raises(RuntimeError, match="0: no face"):
        evaluation._rate([SimpleNamespace(id="0", reason="no face")], 1)
