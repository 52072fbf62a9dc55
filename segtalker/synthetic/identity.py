"""Who a synthetic person is: face form, hair, ears, glasses, clothes. Colours are in `appearance.py`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtalker.synthetic.shape import Mesh, random_mesh

FRINGES = ("none", "straight", "side", "curtain", "messy")


@dataclass(frozen=True)
class Hair:
    """Form of the hair; lengths in unit crops."""

    volume: float
    """Above the skull; 0 with `bald`."""
    side_volume: float
    length: float
    """y where it ends; below about 0.6 it ends at the ears."""
    spread: float
    """How far long hair stands off the head at its lower end."""
    curl: float
    """Size of the bumps of the outline."""
    curl_count: int
    fringe: str
    """One of `FRINGES`."""
    fringe_low: float
    """y of the lower edge of the fringe."""
    part: float
    """-1..1 where it is parted."""
    recession: float
    """How far the hairline lies above the mesh's forehead."""
    covers_ears: bool
    bald: bool
    bun: float
    """Radius of a bun on top; 0 without."""


@dataclass(frozen=True)
class Glasses:
    """Spectacles."""

    width: float
    height: float
    roundness: float
    """Exponent of the superellipse; 2 is an ellipse."""
    rim: float
    drop: float
    dark: bool


@dataclass(frozen=True)
class Clothes:
    """What covers the shoulders."""

    collar: float
    """y of the collar at the side of the neck."""
    opening: float
    """How much deeper the collar is in the middle."""
    half_width: float
    """Of the opening."""
    slope: float
    """Of the shoulders."""
    stand: float
    """Height of a standing collar in front of the neck."""


@dataclass(frozen=True)
class Identity:
    """One person; everything derives from `seed`."""

    seed: int
    mesh: Mesh
    """Neutral face [468, 3], about the unit crop."""
    gap: float
    """Lip gap of the most open vowel, unit crop."""
    hair: Hair
    ears: float
    """Size factor; 0 where the hair hides them."""
    earring: float
    """Radius; 0 without."""
    glasses: Glasses | None
    hat: float
    """y of the brim; 0 without."""
    neck: float
    """Half width."""
    clothes: Clothes
    camera: float
    """Distance of the camera, unit crops: small is a strong perspective."""
    phases: NDArray[np.float64]
    """[32] random numbers in 0..1 for outlines."""


def random_identity(seed: int) -> Identity:
    """The person number `seed`."""
    rng = np.random.default_rng((seed, 1))
    mesh = random_mesh(rng, rng.uniform(0.7, 1.2))
    hair = _random_hair(rng)
    hat = rng.uniform(0.2, 0.3) if rng.random() < 0.06 else 0.0
    return Identity(
        seed=seed,
        mesh=mesh,
        gap=float(np.clip(rng.normal(0.078, 0.012), 0.05, 0.11)),
        hair=hair,
        ears=0.0 if hair.covers_ears else float(rng.uniform(0.8, 1.2)),
        earring=float(rng.uniform(0.008, 0.024)) if rng.random() < 0.2 and not hair.covers_ears else 0.0,
        glasses=_random_glasses(rng) if rng.random() < 0.15 else None,
        hat=float(hat),
        neck=float(rng.uniform(0.14, 0.2)),
        clothes=Clothes(
            collar=float(rng.uniform(0.9, 1.04)),
            opening=float(rng.choice((rng.uniform(0.01, 0.05), rng.uniform(0.05, 0.3)))),
            half_width=float(rng.uniform(0.14, 0.24)),
            slope=float(rng.uniform(0.12, 0.4)),
            stand=float(rng.uniform(0.02, 0.07)) if rng.random() < 0.2 else 0.0,
        ),
        camera=float(rng.uniform(2.5, 7.0)),
        phases=rng.random(32),
    )


def _random_hair(rng: np.random.Generator) -> Hair:
    bald = rng.random() < 0.08
    long = rng.random() < 0.45
    curly = rng.random() < 0.3
    fringe = str(rng.choice(FRINGES, p=(0.5, 0.14, 0.16, 0.12, 0.08)))
    return Hair(
        volume=0.0 if bald else float(rng.gamma(2.5, 0.016) + (0.03 if curly else 0.01)),
        side_volume=0.0 if bald else float(rng.uniform(0.0, 0.05) + (0.03 if curly or long else 0.0)),
        length=float(rng.uniform(0.75, 1.25) if long and not bald else rng.uniform(0.42, 0.6)),
        spread=float(rng.uniform(-0.02, 0.12)),
        curl=float(rng.uniform(0.006, 0.02) if curly else rng.uniform(0.0, 0.005)),
        curl_count=int(rng.integers(9, 26)),
        fringe="none" if bald else fringe,
        fringe_low=float(rng.uniform(0.33, 0.405)),
        part=float(rng.uniform(-0.8, 0.8)),
        recession=float(rng.uniform(-0.005, 0.05)),
        covers_ears=bool(long and not bald and rng.random() < 0.65),
        bald=bool(bald),
        bun=float(rng.uniform(0.06, 0.12)) if not bald and not long and rng.random() < 0.1 else 0.0,
    )


def _random_glasses(rng: np.random.Generator) -> Glasses:
    return Glasses(
        width=float(rng.uniform(0.075, 0.1)),
        height=float(rng.uniform(0.05, 0.08)),
        roundness=float(rng.uniform(2.0, 5.0)),
        rim=float(rng.uniform(0.006, 0.014)),
        drop=float(rng.uniform(-0.005, 0.02)),
        dark=bool(rng.random() < 0.15),
    )
