from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from segtalker.audio.mel import MEL_SILENCE, mel_spectrogram, mel_steps, num_mel_steps
from segtalker.audio.source import ArraySource


def noise(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    envelope = 0.2 + 0.8 * np.abs(np.sin(np.arange(count) / 3000.0))
    return (0.3 * envelope * rng.standard_normal(count)).clip(-1, 1).astype(np.float32)


def librosa_reference(samples: np.ndarray) -> np.ndarray:
    import librosa

    emphasised = lfilter([1.0, -0.97], [1.0], samples.astype(np.float64))
    spectrum = np.abs(
        librosa.stft(emphasised, n_fft=800, hop_length=200, win_length=800, center=True, pad_mode="reflect")
    )
    basis = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600)
    decibels = 20 * np.log10(np.maximum(1e-5, basis @ spectrum)) - 20
    return np.clip(8 * (decibels + 100) / 100 - 4, -4, 4).T


class CountingSource(ArraySource):
    def __init__(self, samples: np.ndarray) -> None:
        super().__init__(samples)
        self.read = 0

    def samples(self, start: int, stop: int) -> np.ndarray:
        self.read += stop - start
        return super().samples(start, stop)


@pytest.mark.parametrize("count", [1200, 16000, 37123])
def test_mel_equals_librosa(count: int) -> None:
    samples = noise(count)
    mel = mel_spectrogram(samples)
    assert mel.shape == (1 + count // 200, 80) and mel.dtype == np.float32
    np.testing.assert_allclose(mel, librosa_reference(samples), atol=2e-5)
    assert mel.std() > 0.3


def test_silence_is_minus_four_everywhere() -> None:
    assert (mel_spectrogram(np.zeros(8000, np.float32)) == MEL_SILENCE).all() and MEL_SILENCE == -4.0


def test_three_seconds_are_241_steps_and_nothing_is_none() -> None:
    assert num_mel_steps(48000) == 241 and num_mel_steps(0) == 0
    assert mel_spectrogram(np.zeros(0, np.float32)).shape == (0, 80)


@pytest.mark.parametrize("count", [1, 2, 150, 399])
def test_speech_shorter_than_a_window_has_finite_steps(count: int) -> None:
    mel = mel_spectrogram(noise(count))
    assert mel.shape == (1 + count // 200, 80) and np.isfinite(mel).all()


@pytest.mark.parametrize(("start", "stop"), [(0, 16), (70, 90), (3, 163), (120, 186), (100, 101)])
def test_a_slice_is_bit_identical_to_the_slice_of_the_whole(start: int, stop: int) -> None:
    samples = noise(37123)
    np.testing.assert_array_equal(
        mel_steps(ArraySource(samples), start, stop), mel_spectrogram(samples)[start:stop]
    )


def test_steps_outside_the_speech_are_silence() -> None:
    samples = noise(8000)
    steps = mel_steps(ArraySource(samples), -10, 60)
    assert (steps[:10] == -4).all() and (steps[51:] == -4).all()
    np.testing.assert_array_equal(steps[10:51], mel_spectrogram(samples))
    assert mel_steps(ArraySource(samples), 500, 510).shape == (10, 80)
    assert mel_steps(ArraySource(samples), -20, -4).shape == (16, 80)


def test_a_slice_of_a_long_speech_reads_only_its_neighbourhood() -> None:
    source = CountingSource(noise(16000 * 60))
    mel_steps(source, 2000, 2016)
    assert source.read < 2.2 * 16000


def test_integer_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="int16"):
        mel_spectrogram(np.zeros(800, np.int16))  # type: ignore[arg-type]
