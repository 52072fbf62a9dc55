"""How loud speech is around each frame of the training grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.source import SAMPLE_RATE

_FRAME_RATE = 25


def frame_energy(samples: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Loudness [frames] in decibels: RMS of the 40 ms of speech around each frame's time (floor -80)."""
    width = SAMPLE_RATE // _FRAME_RATE
    padded = np.pad(samples.astype(np.float64), (width // 2, width))
    squares = padded[: frames * width].reshape(frames, width) ** 2
    return (10.0 * np.log10(np.maximum(squares.mean(1), 1e-8))).astype(np.float32)
