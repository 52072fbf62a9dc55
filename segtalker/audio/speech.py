"""Speech tokens, the input of AV-HuBERT's audio path: four stacked log filterbank frames, 25 tokens a second.

Log filterbank with the defaults of python_speech_features (25 ms rectangular window every 10 ms,
pre-emphasis 0.97, 512-point FFT, 26 triangular HTK filters, natural logarithm of the energy), four frames
stacked to 104 values and normalised to zero mean and unit variance. Token t begins at 40 t ms, so its index
is the index of the video frame at 25 fps. Computed in one-second blocks like `mel`: a slice equals the slice
of the whole bit for bit.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.source import SAMPLE_RATE, ArraySource, SampleSource

NUM_FILTERS = 26
STACK = 4
TOKEN_DIM = NUM_FILTERS * STACK
TOKEN_RATE = 25
"""Tokens per second."""

_WINDOW = 400
_HOP = 160
_FFT = 512
_PRE_EMPHASIS = 0.97
_INT16_SCALE = 32768.0  # the published features come from int16 samples; it shows only in digital silence
_NORM_EPSILON = 1e-5
_BLOCK_TOKENS = 25


def num_filterbank_frames(num_samples: int) -> int:
    """Filterbank frames of a speech of `num_samples`: 3 s are 299; none of an empty speech."""
    if not num_samples:
        return 0
    return 1 + max(0, -(-(num_samples - _WINDOW) // _HOP))


def num_tokens(num_samples: int) -> int:
    """Tokens of a speech of `num_samples`: 3 s are 75."""
    return -(-num_filterbank_frames(num_samples) // STACK)


def log_filterbank(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 samples [N] in [-1, 1] to log filterbank energies [T100, 26] at the scale of int16 samples."""
    source = ArraySource(samples)
    total = num_filterbank_frames(len(samples))
    size = STACK * _BLOCK_TOKENS
    blocks = [_filterbank_block(source, start, size) for start in range(0, total, size)]
    return np.concatenate(blocks)[:total] if blocks else np.zeros((0, NUM_FILTERS), np.float32)


def stack_context(filterbank: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filterbank frames [T100, 26] to normalised tokens [ceil(T100 / 4), 104]; missing frames are zeros."""
    padding = -len(filterbank) % STACK
    padded = np.pad(filterbank, ((0, padding), (0, 0)))
    return _normalise(padded.reshape(-1, TOKEN_DIM))


def speech_tokens(speech: SampleSource, start: int, stop: int) -> NDArray[np.float32]:
    """Tokens `start`..`stop` of `speech`: [stop - start, 104]; zeros outside, as of digital silence."""
    result = np.zeros((max(stop - start, 0), TOKEN_DIM), np.float32)
    first, last = max(start, 0), min(stop, num_tokens(speech.num_samples))
    frames = num_filterbank_frames(speech.num_samples)
    for block in range(first // _BLOCK_TOKENS, -(-last // _BLOCK_TOKENS)):
        block_start = block * _BLOCK_TOKENS
        begin, end = max(first, block_start), min(last, block_start + _BLOCK_TOKENS)
        if begin < end:
            energies = _filterbank_block(speech, block_start * STACK, STACK * _BLOCK_TOKENS)
            energies[max(frames - block_start * STACK, 0) :] = 0.0
            tokens = stack_context(energies)
            result[begin - start : end - start] = tokens[begin - block_start : end - block_start]
    return result


def power_block(speech: SampleSource, start: int, count: int) -> NDArray[np.float64]:
    """Power spectra [count, 257] of pre-emphasised frames from frame `start`, at the scale of int16 samples.

    Keep `count` constant over a whole speech, so that sums are reproducible.
    """
    begin = start * _HOP
    length = (count - 1) * _HOP + _WINDOW
    samples = speech.samples(begin - 1, begin + length).astype(np.float64) * _INT16_SCALE
    emphasised = samples[1:] - _PRE_EMPHASIS * samples[:-1]
    # One past the end the filter still rings; the published features pad with zeros after filtering.
    emphasised[max(speech.num_samples - begin, 0) :] = 0.0
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, _WINDOW)[::_HOP]
    return np.abs(np.fft.rfft(frames, _FFT, axis=1)) ** 2 / _FFT


def log_energies(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power spectra [T, 257] to the logarithms of the energies under the filters [T, 26]."""
    return log_nonzero(power @ _filters())


def log_nonzero(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm, of the smallest step from 1 where an energy is zero."""
    return np.log(np.where(energies == 0.0, np.finfo(np.float64).eps, energies))


def _filterbank_block(speech: SampleSource, start: int, count: int) -> NDArray[np.float32]:
    """Log energies [count, 26] from frame `start`; `count` is constant."""
    return log_energies(power_block(speech, start, count)).astype(np.float32)


def _normalise(tokens: NDArray[np.float32]) -> NDArray[np.float32]:
    """Layer norm of each token without learned scale."""
    values = tokens.astype(np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True) + _NORM_EPSILON)
    return (centred / deviation).astype(np.float32)


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float64]:
    """Triangular filters [257, 26], corners on FFT bins, equally spaced in HTK mels over 0-8000 Hz."""
    top = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    hertz = 700.0 * (10.0 ** (np.linspace(0.0, top, NUM_FILTERS + 2) / 2595.0) - 1.0)
    corners = np.floor((_FFT + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(_FFT // 2 + 1)[:, None]
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.where(bins < centre, np.maximum(rising, 0.0), np.maximum(falling, 0.0))
