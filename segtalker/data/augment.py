"""Augmentation of mel windows, speech tokens and region maps, all drawn from one generator a sample.

Mel values are those of `audio/mel.py`: 100 dB span 8 units, silence is -4. Needs only numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_UNITS_PER_DB = 0.08
_LOG_POWER_PER_UNIT = math.log(10) / (10 * _UNITS_PER_DB)
_SILENCE, _LOUDEST = -4.0, 4.0


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far training samples may be bent; all zero switches augmentation off."""

    gain_db: float = 6.0
    """Loudness, plus or minus."""
    tilt_db: float = 6.0
    """Difference between the lowest and the highest band, plus or minus."""
    eq_db: float = 4.0
    """Depth of a smooth random equalizer."""
    shift_bins: int = 4
    """Mel bands that the spectrum may move up or down (another vocal tract)."""
    noise_share: float = 0.6
    """Share of samples that get a noise floor."""
    noise_db: tuple[float, float] = (-90.0, -45.0)
    """Level of the floor, dB as in the mel."""
    warped_bands: float = 1.5
    """How far resonances move, in speech bands of 26: another vocal tract (VTLP, Jaitly and Hinton 2013)."""
    hidden_bands: int = 5
    """Of the 26 speech bands, hidden at most in a chunk of tokens (SpecAugment, arXiv 1904.08779)."""
    hidden_tokens: int = 6
    """Tokens in a row that are hidden at most."""
    token_noise: float = 0.15
    """Standard deviation of what is added to the tokens, which have 1."""
    map_shift: float = 0.03
    """Move of the maps, share of their side."""
    map_scale: float = 0.05
    """Growth or shrinkage of the maps."""
    flip_share: float = 0.5
    """Share of samples that are mirrored; the 12 regions do not tell left from right."""


NO_AUGMENT = AugmentConfig(
    gain_db=0,
    tilt_db=0,
    eq_db=0,
    shift_bins=0,
    noise_share=0,
    warped_bands=0,
    hidden_bands=0,
    hidden_tokens=0,
    token_noise=0,
    map_shift=0,
    map_scale=0,
    flip_share=0,
)


def augment_mel(windows: Floats, cfg: AugmentConfig, rng: np.random.Generator) -> Floats:
    """Mel windows [N, 80, steps] of one clip as another microphone, room and speaker would have them."""
    bands = windows.shape[1]
    shift = int(rng.integers(-cfg.shift_bins, cfg.shift_bins + 1))
    bent = windows[:, np.clip(np.arange(bands) + shift, 0, bands - 1)]
    curve = rng.uniform(-cfg.gain_db, cfg.gain_db) + _band_curve(bands, cfg, rng)
    # What is digitally silent stays silent: a gain makes no sound of nothing.
    bent = np.where(bent > _SILENCE, bent + _UNITS_PER_DB * curve[:, None].astype(np.float32), bent)
    if rng.random() < cfg.noise_share:
        level = 8 * (rng.uniform(*cfg.noise_db) + 100) / 100 - 4
        slope = np.linspace(0.5, -0.5, bands)[:, None] * rng.uniform(0, 1.5)
        noise = level + slope + 0.3 * rng.standard_normal(bent.shape)
        bent = np.logaddexp(_LOG_POWER_PER_UNIT * bent, _LOG_POWER_PER_UNIT * noise) / _LOG_POWER_PER_UNIT
    return np.clip(bent, _SILENCE, _LOUDEST).astype(np.float32)


def augment_tokens(tokens: Floats, cfg: AugmentConfig, rng: np.random.Generator) -> Floats:
    """Speech tokens [T, 104] (4 x 26 log bands, normalised) with another equalizer, normalised again."""
    curve = 0.05 * _band_curve(26, cfg, rng)  # a token's deviation of 1 is some 20 dB
    if not curve.any():
        return tokens
    bent = tokens + np.tile(curve, 4)
    deviation = bent.std(axis=1, keepdims=True)
    normal = (bent - bent.mean(axis=1, keepdims=True)) / np.maximum(deviation, 1e-3)
    spoken = np.abs(tokens).max(axis=1, keepdims=True) > 1e-3  # padding and digital silence stay zero
    return np.where(spoken, normal, tokens).astype(np.float32)


def corrupt_tokens(tokens: Floats, cfg: AugmentConfig, rng: np.random.Generator) -> Floats:
    """Speech tokens [T, 104] with bent resonances, noise, a band and a stretch of time that are hidden."""
    spoken = np.abs(tokens).max(axis=1, keepdims=True) > 1e-3
    noise = cfg.token_noise * rng.standard_normal(tokens.shape).astype(np.float32)
    warped = _warp_bands(tokens.reshape(len(tokens), 4, 26), cfg.warped_bands, rng)
    bent = np.where(spoken, warped.reshape(tokens.shape) + noise, tokens).reshape(len(tokens), 4, 26)
    bands, steps = int(rng.integers(cfg.hidden_bands + 1)), int(rng.integers(cfg.hidden_tokens + 1))
    low, first = int(rng.integers(26 - bands + 1)), int(rng.integers(max(1, len(tokens) - steps + 1)))
    bent[:, :, low : low + bands] = 0.0
    bent[first : first + steps] = 0.0
    return bent.reshape(tokens.shape)


def _warp_bands(bands: Floats, reach: float, rng: np.random.Generator) -> Floats:
    """Bands [T, 4, 26] read at places that are off by up to `reach`, smoothly along the frequency axis."""
    if not reach:
        return bands
    place = np.arange(26)
    source = np.clip(place + np.interp(place, (0, 12.5, 25), rng.uniform(-reach, reach, 3)), 0, 25)
    low = np.minimum(source.astype(int), 24)
    share = (source - low).astype(np.float32)
    return (1 - share) * bands[..., low] + share * bands[..., low + 1]


def jitter_maps(maps: NDArray[np.uint8], cfg: AugmentConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Maps [..., S, S] of one clip moved, scaled and perhaps mirrored together, nearest neighbour."""
    size = maps.shape[-1]
    scale = 1 + rng.uniform(-cfg.map_scale, cfg.map_scale)
    shift_y, shift_x = rng.uniform(-cfg.map_shift, cfg.map_shift, 2) * size
    mirror = bool(rng.random() < cfg.flip_share)
    centred = np.arange(size) + 0.5 - size / 2
    rows = _nearest(centred / scale + shift_y, size)
    columns = _nearest((-centred if mirror else centred) / scale + shift_x, size)
    return maps[..., rows[:, None], columns]


def _nearest(centred: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    return np.clip(np.floor(centred + size / 2), 0, size - 1).astype(np.int64)


def _band_curve(bands: int, cfg: AugmentConfig, rng: np.random.Generator) -> NDArray[np.float64]:
    """[bands] dB: a tilt and three slow cosines."""
    place = np.linspace(0, 1, bands)
    tilt = rng.uniform(-cfg.tilt_db, cfg.tilt_db) * (place - 0.5)
    waves = np.arange(1, 4)[:, None]
    depth, phase = rng.uniform(-cfg.eq_db, cfg.eq_db, (3, 1)) / 3, rng.uniform(0, 2 * math.pi, (3, 1))
    return tilt + (depth * np.cos(2 * math.pi * waves * place + phase)).sum(axis=0)
