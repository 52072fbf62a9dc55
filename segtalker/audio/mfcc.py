"""Mel-frequency cepstral coefficients, which SyncNet v2 hears: 13 numbers, 100 times a second.

With the defaults of python_speech_features (`mfcc`): the log filterbank of `speech`, its orthonormal DCT-II,
the first 13 coefficients lifted by 1 + 11 sin(pi n / 22), and the logarithm of the frame's whole energy in
place of the first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.source import ArraySource, SampleSource
from segtalker.audio.speech import (
    NUM_FILTERS,
    TOKEN_RATE,
    log_energies,
    log_nonzero,
    num_filterbank_frames,
    power_block,
)

NUM_MFCC = 13
MFCC_RATE = 100
"""Steps per second."""
WINDOW_STEPS = 20
"""Steps of a window: 0.2 s, five frames at 25 fps."""

_LIFTER = 22
_BLOCK_FRAMES = 100


def mfcc(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 samples [N] in [-1, 1] at 16 kHz to coefficients [T, 13], at the scale of int16 samples."""
    return mfcc_steps(ArraySource(samples), 0, num_filterbank_frames(len(samples)))


def mfcc_steps(speech: SampleSource, start: int, stop: int) -> NDArray[np.float32]:
    """Steps `start`..`stop` of the coefficients of `speech`: [stop - start, 13], read in blocks of a second.

    The range lies inside the speech. Any slice equals the slice of the whole, bit for bit.
    """
    first = start // _BLOCK_FRAMES * _BLOCK_FRAMES
    blocks = [_block(speech, block) for block in range(first, stop, _BLOCK_FRAMES)]
    return np.concatenate([np.zeros((0, NUM_MFCC), np.float32), *blocks])[start - first : stop - first]


def mfcc_windows(coefficients: NDArray[np.float32], frames: Sequence[int]) -> NDArray[np.float32]:
    """The speech [N, 1, 13, 20] of the windows of five frames that begin at `frames` (25 a second).

    coefficients: [T, 13] of `mfcc`; every window must lie inside.
    """
    starts = np.asarray(frames, np.int64) * (MFCC_RATE // TOKEN_RATE)
    assert not len(starts) or 0 <= starts.min() <= starts.max() <= len(coefficients) - WINDOW_STEPS
    return coefficients[starts[:, None] + np.arange(WINDOW_STEPS)].transpose(0, 2, 1)[:, None]


def _block(speech: SampleSource, start: int) -> NDArray[np.float32]:
    """Coefficients [100, 13] from frame `start`."""
    power = power_block(speech, start, _BLOCK_FRAMES)
    cepstra = (log_energies(power) @ _cosines()) * _lift()
    cepstra[:, 0] = log_nonzero(power.sum(axis=1))
    return cepstra.astype(np.float32)


def _cosines() -> NDArray[np.float64]:
    """The orthonormal DCT-II [26, 13]."""
    angles = np.pi * np.outer(np.arange(NUM_FILTERS) + 0.5, np.arange(NUM_MFCC)) / NUM_FILTERS
    scale = np.where(np.arange(NUM_MFCC) == 0, np.sqrt(1 / NUM_FILTERS), np.sqrt(2 / NUM_FILTERS))
    return np.cos(angles) * scale


def _lift() -> NDArray[np.float64]:
    """The factor of each coefficient [13]."""
    return 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(NUM_MFCC) / _LIFTER)
