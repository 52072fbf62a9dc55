"""The log filterbank frame by frame and filter by filter, from its definition in plain Python."""

from __future__ import annotations

import math

import numpy as np

EPSILON = np.finfo(float).eps


def slow_power(signal: np.ndarray) -> list[np.ndarray]:
    """Samples at the scale of int16 to the power spectrum of every 25 ms, each 10 ms later."""
    emphasised = [signal[0]] + [signal[i] - 0.97 * signal[i - 1] for i in range(1, len(signal))]
    num_frames = 1 if len(signal) <= 400 else 1 + math.ceil((len(signal) - 400) / 160)
    emphasised += [0.0] * ((num_frames - 1) * 160 + 400 - len(emphasised))
    phase = np.exp(-2j * math.pi * np.outer(np.arange(257), np.arange(512)) / 512)
    spectra = []
    for frame in range(num_frames):
        window = np.array(emphasised[frame * 160 : frame * 160 + 400] + [0.0] * 112)
        spectra.append(np.abs(phase @ window) ** 2 / 512)
    return spectra


def slow_log_filterbank(signal: np.ndarray) -> np.ndarray:
    """Samples at the scale of int16 to log energies [T, 26]."""
    mels = [i * 2595 * math.log10(1 + 8000 / 700) / 27 for i in range(28)]
    edges = [math.floor(513 * 700 * (10 ** (m / 2595) - 1) / 16000) for m in mels]
    rows = []
    for power in slow_power(signal):
        row = []
        for j in range(26):
            energy = 0.0
            for i in range(edges[j], edges[j + 1]):
                energy += power[i] * (i - edges[j]) / (edges[j + 1] - edges[j])
            for i in range(edges[j + 1], edges[j + 2]):
                energy += power[i] * (edges[j + 2] - i) / (edges[j + 2] - edges[j + 1])
            row.append(math.log(energy if energy else EPSILON))
        rows.append(row)
    return np.array(rows)
