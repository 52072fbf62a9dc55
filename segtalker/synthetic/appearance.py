"""Colours, skin, light and camera of a synthetic person.

Colours are RGB 0..1 as displayed; `linear` squares them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.float32]

_SKIN = np.divide(
    [(252, 226, 204), (244, 206, 176), (232, 184, 148), (214, 160, 118), (186, 128, 88), (142, 92, 62),
     (98, 62, 44), (70, 45, 34)], 255, dtype=np.float32,
)  # fmt: skip
_HAIR = np.array(
    [(28, 24, 24), (44, 32, 26), (70, 46, 32), (104, 68, 42), (140, 96, 56), (186, 142, 88), (222, 190, 134),
     (132, 58, 30), (168, 84, 40), (120, 118, 116), (196, 194, 190)], np.float32,
) / 255  # fmt: skip
_IRIS = (
    np.array(
        [(70, 44, 26), (96, 62, 32), (112, 92, 52), (84, 104, 70), (80, 114, 140), (108, 128, 140)],
        np.float32,
    )
    / 255
)


@dataclass(frozen=True)
class Appearance:
    """How one person looks, and in which light."""

    skin: Colour
    redness: float
    age: float
    """0 smooth .. 1 wrinkled."""
    freckles: float
    beard: float
    """0 none, about 0.4 stubble, 1 full."""
    moustache: float
    shine: float
    hair: Colour
    hair_contrast: float
    brow: Colour
    brow_density: float
    brow_thickness: float
    lip: Colour
    lip_gloss: float
    iris: Colour
    lashes: float
    eyeshadow: float
    eyeshadow_colour: Colour
    tooth: Colour
    teeth_shown: float
    """How far the upper teeth reach below the rest line of the lips, unit crop."""
    cloth: Colour
    cloth_second: Colour
    metal: Colour
    frame: Colour
    light: NDArray[np.float32]
    """Direction to the key light (x right, y down, z away from the camera), length 1."""
    key: Colour
    fill: Colour
    exposure: float
    noise: float
    """Standard deviation of the sensor noise, 0..1."""
    blur: float
    """Defocus of the camera, pixels of a 128-pixel crop."""


def linear(colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Displayed colour to light (gamma 2)."""
    return colour * colour


def random_appearance(seed: int) -> Appearance:
    """Looks of the person number `seed`."""
    rng = np.random.default_rng((seed, 4))
    tone = rng.uniform(0, len(_SKIN) - 1)
    skin = _between(_SKIN, tone) * rng.normal(1.0, 0.03, 3).astype(np.float32)
    dark_skin = tone / (len(_SKIN) - 1)
    hair = _HAIR[rng.integers(3 if rng.random() < dark_skin else len(_HAIR))] * rng.normal(1.0, 0.08, 3)
    if rng.random() < 0.05:
        hair = rng.random(3) * 0.8
    hair = np.clip(hair, 0.03, 0.95).astype(np.float32)
    made_up = rng.random() < 0.35
    lip = skin * np.array((0.92, 0.66, 0.66), np.float32)
    if made_up:
        paint = np.array((rng.uniform(0.5, 0.85), rng.uniform(0.1, 0.4), rng.uniform(0.15, 0.45)), np.float32)
        lip = 0.35 * lip + 0.65 * paint
    bearded = not made_up and rng.random() < 0.45
    age = float(rng.beta(1.5, 2.0))
    azimuth, height = rng.normal(0.0, 0.7), rng.uniform(-0.1, 0.9)
    light = np.array((np.sin(azimuth), -np.sin(height), -np.cos(azimuth) * np.cos(height)), np.float32)
    warmth = rng.normal(0.0, 0.06)
    key_share = rng.uniform(0.4, 0.85)
    key = key_share * np.array((1 + warmth, 1.0, 1 - warmth), np.float32)
    fill = (1.12 - key_share) * rng.normal(1.0, 0.05, 3).astype(np.float32)
    return Appearance(
        skin=np.clip(skin, 0.05, 1.0).astype(np.float32),
        redness=float(rng.uniform(0.1, 0.8) * (1 - 0.5 * dark_skin)),
        age=age,
        freckles=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.2 * (1 - dark_skin) + 0.04 else 0.0,
        beard=float(rng.choice((rng.uniform(0.15, 0.5), rng.uniform(0.6, 1.0)), p=(0.6, 0.4)))
        if bearded
        else 0.0,
        moustache=float(rng.uniform(0.3, 1.0)) if bearded else 0.0,
        shine=float(rng.uniform(0.03, 0.22)),
        hair=hair,
        hair_contrast=float(rng.uniform(0.25, 0.7)),
        brow=np.clip(hair * rng.uniform(0.5, 0.9), 0.02, 0.55).astype(np.float32),
        brow_density=float(rng.uniform(0.45, 1.0)),
        brow_thickness=float(rng.uniform(0.6, 1.15)),
        lip=np.clip(lip, 0.05, 0.95).astype(np.float32),
        lip_gloss=float(rng.uniform(0.05, 0.3) + 0.2 * made_up),
        iris=np.clip(
            _IRIS[rng.integers(2 if rng.random() < dark_skin else len(_IRIS))] * rng.normal(1, 0.1, 3), 0, 1
        ).astype(np.float32),
        lashes=float(rng.uniform(0.3, 0.6) + 0.4 * made_up),
        eyeshadow=float(rng.uniform(0.2, 0.6)) if made_up and rng.random() < 0.6 else 0.0,
        eyeshadow_colour=rng.uniform(0.15, 0.6, 3).astype(np.float32),
        tooth=_random_tooth(rng),
        teeth_shown=float(rng.uniform(0.004, 0.02)),
        cloth=_random_cloth(rng),
        cloth_second=_random_cloth(rng),
        metal=np.array(((0.85, 0.7, 0.3), (0.8, 0.8, 0.82))[rng.integers(2)], np.float32),
        frame=np.clip(rng.choice((0.06, 0.2, 0.5)) * rng.uniform(0.4, 1.3, 3), 0, 1).astype(np.float32),
        light=light / np.float32(np.linalg.norm(light)),
        key=key,
        fill=fill,
        exposure=float(rng.uniform(0.8, 1.12)),
        noise=float(rng.uniform(0.0, 0.018)),
        blur=float(rng.uniform(0.0, 0.45)),
    )


def _random_cloth(rng: np.random.Generator) -> Colour:
    grey = rng.uniform(0.05, 0.95)
    return np.clip(grey + rng.normal(0.0, rng.choice((0.03, 0.2)), 3), 0.02, 0.98).astype(np.float32)


def _random_tooth(rng: np.random.Generator) -> Colour:
    yellow = rng.uniform(0.0, 0.12)
    return (rng.uniform(0.82, 0.97) * np.array((1.0, 0.985 - 0.4 * yellow, 0.96 - yellow))).astype(np.float32)


def _between(palette: Colour, position: float) -> Colour:
    low = min(int(position), len(palette) - 2)
    share = np.float32(position - low)
    return (1 - share) * palette[low] + share * palette[low + 1]
