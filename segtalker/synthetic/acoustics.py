"""What lies between a mouth and a recording: loudness, room, noise, band limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, fftconvolve, sosfilt

from segtalker.synthetic.phones import SILENCE, VOWELS
from segtalker.types import Phone

_RATE = 16000
_NASALS = frozenset(("m", "n", "ng"))
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class AcousticsConfig:
    """How often each impairment occurs (probabilities of a clip)."""

    room: float = 0.4
    noise: float = 0.6
    band: float = 0.25
    clip: float = 0.05
    level_db: tuple[float, float] = (-32.0, -16.0)
    """RMS of the speech, decibels relative to full scale."""


def normalise_level(samples: Samples, level_db: float = -23.0) -> Samples:
    """Scale `samples` [N] so that the RMS of their active part is `level_db`, without clipping."""
    active = samples[np.abs(samples) > 0.02 * max(float(np.abs(samples).max(initial=0.0)), 1e-6)]
    rms = float(np.sqrt(np.mean(active.astype(np.float64) ** 2))) if len(active) else 0.0
    if rms < 1e-6:
        return samples
    gain = 10 ** (level_db / 20) / rms
    peak = float(np.abs(samples).max()) * gain
    return (samples * (gain / max(1.0, peak / 0.99))).astype(np.float32)


def scramble_loudness(
    samples: Samples, phones: Sequence[Phone], strength: float, rng: np.random.Generator
) -> Samples:
    """Gain that drifts over seconds and jumps (within 25 ms) from phone to phone, against the usual order.

    Nasals tend to be lifted and open vowels lowered; every phone gets its own random part on top.
    `strength` is the greatest amount; a clip draws its own between 0.5 and 1 of it.
    """
    amount = strength * rng.uniform(0.5, 1.0)
    if amount == 0.0:
        return samples
    frames = len(samples) // 80 + 2  # 5 ms
    gain_db = gaussian_filter1d(rng.standard_normal(frames + 600), 150.0)[300 : 300 + frames] * 70.0
    for phone in phones:
        if phone.label == SILENCE:
            continue
        shift = rng.normal(0.0, 3.5) + (
            5.0 if phone.label in _NASALS else -3.0 if phone.label in VOWELS else 2.0
        )
        gain_db[int(phone.start_s * 200) : int(phone.end_s * 200) + 1] += shift
    gain_db = gaussian_filter1d(np.clip(gain_db * amount, -14.0, 12.0), 2.5)
    gain = np.interp(np.arange(len(samples)), np.arange(frames) * 80, 10 ** (gain_db / 20))
    return (samples * gain).astype(np.float32)


def acoustics(samples: Samples, cfg: AcousticsConfig, rng: np.random.Generator) -> Samples:
    """Room, band limits, noise floor, clipping and a random level, each by chance."""
    out = samples
    if rng.random() < cfg.room:
        out = _room(out, rng)
    if rng.random() < cfg.band:
        out = _band(out, rng)
    tilt = rng.uniform(-0.35, 0.35)
    delayed = np.concatenate([np.zeros(1, np.float32), out[:-1]])
    tilted = (out + np.float32(tilt) * delayed).astype(np.float32)
    out = normalise_level(tilted, rng.uniform(*cfg.level_db))
    if rng.random() < cfg.noise:
        out = out + _noise(len(out), rng) * np.float32(10 ** (rng.uniform(-75, -42) / 20))
    if rng.random() < cfg.clip:
        limit = max(0.4 * float(np.abs(out).max()), 1e-4)
        out = limit * np.tanh(out / limit)
    return np.clip(out, -1.0, 1.0).astype(np.float32)


def _room(samples: Samples, rng: np.random.Generator) -> Samples:
    """Direct sound plus an exponentially dying diffuse tail (reverberation time 0.1 to 0.45 s)."""
    length = int(rng.uniform(0.1, 0.45) * _RATE)
    tail = rng.standard_normal(length) * 10 ** (-3.0 * np.arange(length) / length)
    tail[: int(0.004 * _RATE)] = 0.0
    tail *= rng.uniform(0.1, 0.5) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return fftconvolve(samples, tail)[: len(samples)].astype(np.float32)


def _band(samples: Samples, rng: np.random.Generator) -> Samples:
    """A telephone or a cheap microphone."""
    low, high = rng.uniform(80, 300), rng.uniform(3400, 7000)
    return sosfilt(butter(2, (low, high), "bandpass", fs=_RATE, output="sos"), samples).astype(np.float32)


def _noise(length: int, rng: np.random.Generator) -> Samples:
    """Noise between white and red, RMS 1."""
    white = rng.standard_normal(length).astype(np.float32)
    red = sosfilt(butter(1, rng.uniform(100, 4000), "lowpass", fs=_RATE, output="sos"), white)
    mixed = rng.random() * white + red / max(float(red.std()), 1e-9)
    return (mixed / mixed.std()).astype(np.float32)
