from __future__ import annotations

import math

import numpy as np
import pytest

from segtalker.audio.mfcc import mfcc, mfcc_steps, mfcc_windows
from segtalker.audio.source import ArraySource
from tests.audio.filterbank_reference import EPSILON, slow_log_filterbank, slow_power
from tests.audio.test_speech import voice


def slow_mfcc(signal: np.ndarray) -> np.ndarray:
    """Number by number, from the definition in plain Python."""
    rows = []
    for power, logs in zip(slow_power(signal), slow_log_filterbank(signal), strict=True):
        row = [math.log(sum(power) or EPSILON)]
        for n in range(1, 13):
            total = sum(logs[k] * math.cos(math.pi * n * (2 * k + 1) / 52) for k in range(26))
            row.append(math.sqrt(2 / 26) * total * (1 + 11 * math.sin(math.pi * n / 22)))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("count", [320, 400, 17777])
def test_mfcc_equals_a_slow_reference(count: int) -> None:
    samples = voice(count)
    expected = slow_mfcc(samples.astype(np.float64) * 32768)
    assert len(expected) == max(1, math.ceil((count - 400) / 160) + 1)
    np.testing.assert_allclose(mfcc(samples), expected, rtol=1e-5, atol=1e-4)


def test_digital_silence_has_its_energy_and_no_shape() -> None:
    found = mfcc(np.zeros(1600, np.float32))
    np.testing.assert_allclose(found[:, 0], math.log(EPSILON), rtol=1e-6)
    np.testing.assert_allclose(found[:, 1:], 0, atol=1e-4)
    assert mfcc(np.zeros(0, np.float32)).shape == (0, 13)


def test_a_second_more_changes_no_number_of_the_first() -> None:
    samples = voice(40_000)
    np.testing.assert_array_equal(mfcc(samples[:32_000])[:198], mfcc(samples)[:198])


def test_any_piece_is_the_slice_of_the_whole() -> None:
    samples = voice(40_000)
    piece = mfcc_steps(ArraySource(samples), 95, 205)
    np.testing.assert_array_equal(piece, mfcc(samples)[95:205])
    assert mfcc_steps(ArraySource(samples), 7, 7).shape == (0, 13)


def test_a_window_is_the_speech_of_its_five_frames() -> None:
    coefficients = mfcc(voice(16_000))
    assert coefficients.shape == (99, 13)
    windows = mfcc_windows(coefficients, [0, 3, 19])
    assert windows.shape == (3, 1, 13, 20) and windows.dtype == np.float32
    np.testing.assert_array_equal(windows[1, 0], coefficients[12:32].T)
    with pytest.raises(AssertionError):
        mfcc_windows(coefficients, [20])
    assert mfcc_windows(coefficients, []).shape == (0, 1, 13, 20)
