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


def voice(count: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(count) / 16000
    tone = sum(np.sin(2 * math.pi * 140 * k * time) / k for k in range(1, 12))
    loudness = 0.1 + np.abs(np.sin(2 * math.pi * 3 * time))
    return (0.1 * loudness * tone + 0.01 * rng.standard_normal(count)).astype(np.float32)


def slow_log_filterbank(signal: np.ndarray) -> np.ndarray:
    """Frame by frame and filter by filter, from the definition in plain Python."""
    emphasised = [signal[0]] + [signal[i] - 0.97 * signal[i - 1] for i in range(1, len(signal))]
    num_frames = 1 if len(signal) <= 400 else 1 + math.ceil((len(signal) - 400) / 160)
    emphasised += [0.0] * ((num_frames - 1) * 160 + 400 - len(emphasised))
    mels = [i * 2595 * math.log10(1 + 8000 / 700) / 27 for i in range(28)]
    edges = [math.floor(513 * 700 * (10 ** (m / 2595) - 1) / 16000) for m in mels]
    rows = []
    for frame in range(num_frames):
        window = np.array(emphasised[frame * 160 : frame * 160 + 400] + [0.0] * 112)
        phase = np.exp(-2j * math.pi * np.outer(np.arange(257), np.arange(512)) / 512)
        power = np.abs(phase @ window) ** 2 / 512
        row = []
        for j in range(26):
            energy = 0.0
            for i in range(edges[j], edges[j + 1]):
                energy += power[i] * (i - edges[j]) / (edges[j + 1] - edges[j])
            for i in range(edges[j + 1], edges[j + 2]):
                energy += power[i] * (edges[j + 2] - i) / (edges[j + 2] - edges[j + 1])
            row.append(math.log(energy if energy else np.finfo(float).eps))
        rows.append(row)
    return np.array(rows)


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
