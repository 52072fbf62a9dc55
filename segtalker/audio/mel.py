"""Mel spectrogram of speech: 80 bins, 80 steps a second (arXiv 2409.03605, Sec. 4.1; scaling of Wav2Lip).

Pre-emphasis 0.97, Hann window of 50 ms every 12.5 ms, amplitude, Slaney mel basis 55-7600 Hz, decibels
clipped to [-4, 4]. Step m is centred on m * 12.5 ms. Every value is computed inside a one-second block on
global block borders, so any slice of a file equals the slice of its whole spectrogram bit for bit, and a
ten-hour file needs the memory of one block.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.source import SAMPLE_RATE, ArraySource, SampleSource

NUM_MELS = 80
MEL_RATE = 80
"""Mel steps per second."""
MEL_SILENCE = -4.0
"""Value of digital silence, and of every step outside the speech."""

_HOP = SAMPLE_RATE // MEL_RATE
_WINDOW = 800
_BLOCK_STEPS = 80
_PRE_EMPHASIS = 0.97
_REFERENCE_DB = 20.0
_MIN_DB = -100.0
_FLOOR = 1e-5


def num_mel_steps(num_samples: int) -> int:
    """Mel steps of a speech of `num_samples`: 3 s are 241; none of an empty speech."""
    return 1 + num_samples // _HOP if num_samples else 0


def mel_spectrogram(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 samples [N] in [-1, 1] to the mel spectrogram [1 + N // 200, 80] in [-4, 4]."""
    return mel_steps(ArraySource(samples), 0, num_mel_steps(len(samples)))


def mel_steps(speech: SampleSource, start: int, stop: int) -> NDArray[np.float32]:
    """Steps `start`..`stop` of the mel spectrogram of `speech`: [stop - start, 80] in [-4, 4].

    Steps before the first and after the last are `MEL_SILENCE`. Only what lies under them is read.
    """
    result = np.full((max(stop - start, 0), NUM_MELS), MEL_SILENCE, np.float32)
    first, last = max(start, 0), min(stop, num_mel_steps(speech.num_samples))
    for block in range(first // _BLOCK_STEPS, -(-last // _BLOCK_STEPS)):
        block_start = block * _BLOCK_STEPS
        begin, end = max(first, block_start), min(last, block_start + _BLOCK_STEPS)
        if begin < end:
            steps = _block(speech, block_start)
            result[begin - start : end - start] = steps[begin - block_start : end - block_start]
    return result


def _block(speech: SampleSource, start: int) -> NDArray[np.float32]:
    """Steps [80, 80] from `start`; always the same shape, so that sums do not depend on what was asked."""
    begin = start * _HOP - _WINDOW // 2
    length = (_BLOCK_STEPS - 1) * _HOP + _WINDOW
    signal = _emphasised(speech, begin, begin + length)
    frames = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::_HOP]
    magnitude = np.abs(np.fft.rfft(frames * _hann(), axis=1))
    decibels = 20.0 * np.log10(np.maximum(_FLOOR, magnitude @ _mel_basis())) - _REFERENCE_DB
    scaled = 8.0 * (decibels - _MIN_DB) / -_MIN_DB - 4.0
    return np.clip(scaled, -4.0, 4.0).astype(np.float32)


def _emphasised(speech: SampleSource, start: int, stop: int) -> NDArray[np.float64]:
    """Pre-emphasised samples, mirrored at the true ends of the speech (without repeating the end sample)."""
    last = max(speech.num_samples - 1, 1)
    folded = np.abs(np.arange(start, stop)) % (2 * last)
    indices = np.minimum(folded, 2 * last - folded)
    low, high = int(indices.min()), int(indices.max()) + 1
    samples = speech.samples(low - 1, high).astype(np.float64)
    emphasised = samples[1:] - _PRE_EMPHASIS * samples[:-1]
    return emphasised[indices - low]


@lru_cache(maxsize=1)
def _hann() -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_WINDOW) / _WINDOW)


@lru_cache(maxsize=1)
def _mel_basis() -> NDArray[np.float64]:
    """Triangular filters [401, 80] equally spaced in Slaney mels, each with unit area in hertz."""
    edges = _hertz(np.linspace(_slaney_mel(55.0), _slaney_mel(7600.0), NUM_MELS + 2))
    bins = np.arange(_WINDOW // 2 + 1)[:, None] * SAMPLE_RATE / _WINDOW
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return np.maximum(triangles, 0.0) * 2.0 / (high - low)


def _slaney_mel(hertz: float) -> float:
    """Slaney's mel scale: linear below 1 kHz (15 mels), logarithmic above."""
    return 3.0 * hertz / 200.0 if hertz < 1000.0 else 15.0 + 27.0 * np.log(hertz / 1000.0) / np.log(6.4)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of `_slaney_mel`."""
    return np.where(mels < 15.0, mels * 200.0 / 3.0, 1000.0 * 6.4 ** ((mels - 15.0) / 27.0))
