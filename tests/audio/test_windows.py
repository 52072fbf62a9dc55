from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from segtalker.audio.mel import mel_spectrogram
from segtalker.audio.source import ArraySource
from segtalker.audio.speech import log_filterbank, num_tokens, stack_context
from segtalker.audio.windows import (
    chunk_start,
    mel_window_start,
    mel_windows,
    plan_context,
    read_context,
    read_mel_windows,
    sync_window_start,
    token_chunks,
    token_position,
)


def speech(seconds: float) -> ArraySource:
    rng = np.random.default_rng(3)
    return ArraySource((0.1 * rng.standard_normal(int(16000 * seconds))).astype(np.float32))


def test_at_25_fps_the_window_is_that_of_the_five_frames_around() -> None:
    for frame in range(200):
        start = mel_window_start(Fraction(frame, 25))
        assert start == int(np.floor(3.2 * (frame - 2) + 0.5 + 1e-9))
        assert sync_window_start(Fraction(frame, 25)) == frame * 16 // 5


def test_a_sync_window_of_seven_frames_reads_the_middle_of_them() -> None:
    assert sync_window_start(Fraction(3, 25), frames=7) == sync_window_start(Fraction(4, 25))
    assert sync_window_start(Fraction(0), frames=3) == -4


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(50)])
def test_the_window_is_centred_on_the_exposure_of_the_frame_at_any_rate(rate: Fraction) -> None:
    for frame in range(0, 3000, 7):
        time = frame / rate
        centre = (mel_window_start(time) + Fraction(15, 2)) / 80
        # The centre of a training frame lies 20 ms after its time; steps are 12.5 ms apart.
        assert abs(centre - (time + Fraction(1, 50))) <= Fraction(125, 10000)


def test_token_positions_lie_on_the_grid_at_25_fps_and_between_off_it() -> None:
    assert token_position(Fraction(7, 25)) == (7, 0)
    assert token_position(Fraction(1, 50)) == (0, Fraction(1, 2))
    assert token_position(Fraction(1001, 24000)) == (1, Fraction(1001 * 25, 24000) - 1)


def test_chunks_are_centred_and_stay_inside_the_speech() -> None:
    assert [chunk_start(f, 200) for f in (0, 37, 38, 100, 162, 163, 199)] == [0, 0, 1, 63, 125, 125, 125]
    assert chunk_start(20, 40) == 0


def test_a_plan_points_each_frame_at_its_own_token_and_shares_chunks() -> None:
    total = 200
    times = [Fraction(i, 50) for i in range(2 * total)]
    plan = plan_context(times, total)
    assert len(plan.chunk_starts) == total - 75 + 1 and (np.diff(plan.chunk_starts) > 0).all()
    for i in range(2 * total):
        first = plan.chunk_starts[plan.chunk[i]] + plan.token[i, 0]
        second = plan.chunk_starts[plan.chunk[i]] + plan.token[i, 1]
        assert first == i // 2 and second in (first, first + 1)
        assert plan.weight[i] == (i % 2) / 2
        assert second == min(first + 1, total - 1)
    assert plan.token.min() >= 0 and plan.token.max() < 75


def test_frames_outside_the_speech_read_its_end_tokens() -> None:
    plan = plan_context([Fraction(-1), Fraction(9999, 1000)], 10)
    assert plan.chunk_starts.tolist() == [0]
    assert plan.token[:, 0].tolist() == [0, 9] and plan.weight.tolist() == [0, 0]


def test_mel_windows_are_padded_with_silence() -> None:
    mel = np.random.default_rng(0).uniform(-3, 4, (40, 80)).astype(np.float32)
    windows = mel_windows(mel, [-6, 0, 30, 100])
    assert windows.shape == (4, 80, 16) and windows.dtype == np.float32
    assert (windows[0, :, :6] == -4).all() and (windows[3] == -4).all() and (windows[2, :, 10:] == -4).all()
    np.testing.assert_array_equal(windows[0, :, 6:], mel[:10].T)
    np.testing.assert_array_equal(windows[1], mel[:16].T)


def test_short_speech_is_padded_and_marked() -> None:
    tokens = np.ones((30, 104), np.float32)
    chunks, padding = token_chunks(tokens, [0])
    assert chunks.shape == (1, 75, 104) and padding.shape == (1, 75)
    assert not padding[0, :30].any() and padding[0, 30:].all()
    assert (chunks[0, :30] == 1).all() and (chunks[0, 30:] == 0).all()


@pytest.mark.parametrize("seconds", [0.0, 0.5, 3.0, 7.3])
def test_windows_read_in_pieces_equal_windows_of_the_whole(seconds: float) -> None:
    source = speech(seconds)
    samples = source.samples(0, source.num_samples)
    times = [Fraction(i * 1001, 30000) for i in range(int(seconds * 30) + 10)]
    whole_mel = mel_spectrogram(samples)
    whole_tokens = stack_context(log_filterbank(samples))
    plan = plan_context(times, num_tokens(source.num_samples))
    for first in range(0, len(times), 11):
        part = times[first : first + 11]
        expected = mel_windows(whole_mel, [mel_window_start(t) for t in part])
        np.testing.assert_array_equal(read_mel_windows(source, part), expected)
        chunks, padding, local = read_context(source, part)
        for i in range(len(part)):
            expected_chunk, expected_padding = token_chunks(
                whole_tokens, plan.chunk_starts[plan.chunk[first + i : first + i + 1]]
            )
            np.testing.assert_array_equal(chunks[local.chunk[i]], expected_chunk[0])
            np.testing.assert_array_equal(padding[local.chunk[i]], expected_padding[0])
            np.testing.assert_array_equal(local.token[i], plan.token[first + i])


def test_no_frames_need_nothing() -> None:
    assert read_mel_windows(speech(1.0), []).shape == (0, 80, 16)
    chunks, padding, plan = read_context(speech(1.0), [])
    assert chunks.shape == (0, 75, 104) and padding.shape == (0, 75) and len(plan.weight) == 0
