from __future__ import annotations

import math

import numpy as np
import pytest

from segtalker.audio.source import ArraySource
from segtalker.audio.speech import (
    log_filterbank,
    num_filterbank_frames,
    num_tokens,
    speech_tokens,
    stack_context,
)
from tests.audio.filterbank_reference import slow_log_filterbank


def voice(count: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(count) / 16000
    tone = sum(np.sin(2 * math.pi * 140 * k * time) / k for k in range(1, 12))
    loudness = 0.1 + np.abs(np.sin(2 * math.pi * 3 * time))
    return (0.1 * loudness * tone + 0.01 * rng.standard_normal(count)).astype(np.float32)


@pytest.mark.parametrize("count", [320, 400, 1777])
def test_log_filterbank_equals_a_slow_reference(count: int) -> None:
    samples = voice(count)
    expected = slow_log_filterbank(samples.astype(np.float64) * 32768)
    np.testing.assert_allclose(log_filterbank(samples), expected, rtol=1e-5, atol=1e-5)


def test_three_seconds_are_299_frames_and_75_tokens_of_104() -> None:
    filterbank = log_filterbank(voice(48000))
    assert filterbank.shape == (299, 26) and num_filterbank_frames(48000) == 299
    tokens = stack_context(filterbank)
    assert tokens.shape == (75, 104) == (num_tokens(48000), 104)
    np.testing.assert_allclose(tokens.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(tokens.std(axis=1), 1, atol=1e-4)


def test_tokens_do_not_depend_on_the_scale_of_the_samples() -> None:
    samples = voice(16000)
    half = speech_tokens(ArraySource(0.5 * samples), 0, 24)
    np.testing.assert_allclose(half, speech_tokens(ArraySource(samples), 0, 24), atol=1e-4)


def test_digital_silence_is_zero_tokens() -> None:
    assert np.abs(speech_tokens(ArraySource(np.zeros(48000, np.float32)), 0, 74)).max() < 1e-3


@pytest.mark.parametrize(("start", "stop"), [(0, 75), (10, 30), (24, 26), (60, 82), (81, 82)])
def test_a_slice_is_bit_identical_to_the_slice_of_the_whole(start: int, stop: int) -> None:
    samples = voice(16000 * 3 + 4321)
    whole = stack_context(log_filterbank(samples))
    assert len(whole) == 82
    np.testing.assert_array_equal(speech_tokens(ArraySource(samples), start, stop), whole[start:stop])


def test_tokens_outside_the_speech_are_zero() -> None:
    tokens = speech_tokens(ArraySource(voice(16000)), -3, 40)
    assert (tokens[:3] == 0).all() and (tokens[3 + 25 :] == 0).all() and tokens[3:28].any(axis=1).all()
    assert speech_tokens(ArraySource(np.zeros(0, np.float32)), 0, 5).shape == (5, 104)
