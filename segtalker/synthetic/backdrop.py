"""Pictures that do not belong to the face: background, cloth, hair. All in linear light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.synthetic.appearance import Appearance, linear
from segtalker.synthetic.brush import Picture, gaussian
from segtalker.synthetic.identity import Hair
from segtalker.synthetic.texture import value_noise
from segtalker.types import Affine

_BACKGROUND_PIXELS, _CLOTH_PIXELS, _HAIR_PIXELS = 384, 480, 448


def _plane(left: float, top: float, side: float, pixels: int) -> Affine:
    """[2, 3] from the pixels of a square picture (OpenCV's centres) to the plane that it covers."""
    scale = side / pixels
    return np.array([[scale, 0.0, left + 0.5 * scale], [0.0, scale, top + 0.5 * scale]])


BACKGROUND_PLANE = _plane(-1.3, -1.2, 3.6, _BACKGROUND_PIXELS)
"""Background pixels -> picture plane."""
CLOTH_PLANE = _plane(-0.7, 0.7, 2.4, _CLOTH_PIXELS)
"""Cloth pixels -> picture plane."""
HAIR_PLANE = _plane(-0.8, -0.7, 1.8, _HAIR_PIXELS)
"""Hair pixels -> plane around the centre of the skull, unit crops."""


def background(seed: int) -> Picture:
    """A studio, a room, or something out of focus; [384, 384, 3]."""
    rng = np.random.default_rng((seed, 6))
    size = _BACKGROUND_PIXELS
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    base = _muted(rng)
    other = np.clip(base + rng.normal(0, 0.12) + rng.normal(0, 0.07, 3), 0.02, 0.98)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.clip(0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle), 0, 1)[..., None]
    picture = (base * ramp + other * (1 - ramp)).astype(np.float32)
    kind = rng.choice(("studio", "room", "shelves", "lights", "leaves"), p=(0.3, 0.25, 0.15, 0.15, 0.15))
    blur = rng.uniform(1.0, 7.0)
    if kind == "room":
        _rectangles(picture, rng, int(rng.integers(2, 7)), (0.15, 0.5))
        floor = int(size * rng.uniform(0.6, 0.9))
        picture[floor:] = 0.6 * picture[floor:] + 0.4 * _muted(rng)
    elif kind == "shelves":
        for top in np.arange(rng.uniform(0, 0.2), 1.0, rng.uniform(0.16, 0.26)):
            _books(picture, rng, top)
    elif kind == "lights":
        picture *= rng.uniform(0.2, 0.7)
        for _ in range(int(rng.integers(10, 40))):
            centre = tuple(int(v) for v in rng.integers(0, size, 2))
            light = np.clip(np.array((1.0, 0.8, 0.55)) * rng.uniform(0.5, 1.2, 3), 0, 1)
            cv2.circle(picture, centre, int(rng.integers(5, 24)), light.tolist(), -1, cv2.LINE_AA)
    elif kind == "leaves":
        green = np.array((rng.uniform(0.2, 0.6), rng.uniform(0.35, 0.65), rng.uniform(0.1, 0.4)), np.float32)
        share = np.clip(0.5 + 0.8 * value_noise((size, size), 60, rng, 4), 0, 1)[..., None]
        picture = picture * (1 - share) + green * share
    else:
        picture *= (1 - rng.uniform(0, 0.6) * ((x - 0.5) ** 2 + (y - 0.45) ** 2) * 2)[..., None]
        blur = 1.0
    picture *= 1 + 0.05 * value_noise((size, size), 40, rng, 3)[..., None]
    return linear(np.clip(gaussian(picture, blur), 0, 1).astype(np.float32))


def cloth(look: Appearance, seed: int) -> Picture:
    """Fabric with folds over the shoulders; [480, 480, 3]."""
    rng = np.random.default_rng((seed, 7))
    size = _CLOTH_PIXELS
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    bend = 0.02 * value_noise((size, size), 120, rng, 2)
    kind = rng.choice(
        ("plain", "stripes", "bars", "checks", "dots", "knit"), p=(0.35, 0.15, 0.15, 0.15, 0.1, 0.1)
    )
    period = rng.uniform(0.015, 0.06)
    across, down = np.sin((x + bend) * 2 * np.pi / period), np.sin((y + bend) * 2 * np.pi / period)
    pattern = {
        "plain": 0 * x,
        "stripes": (across > rng.uniform(-0.3, 0.8)).astype(np.float32),
        "bars": (down > rng.uniform(-0.3, 0.8)).astype(np.float32),
        "checks": 0.5 * (across > 0.2) + 0.5 * (down > 0.2),
        "dots": (across * down > 0.55).astype(np.float32),
        "knit": 0.15 + 0.12 * np.sign(across) * np.abs(down),
    }[str(kind)][..., None]
    picture = linear(look.cloth) * (1 - pattern) + linear(look.cloth_second) * pattern
    folds = value_noise((size, size), 90, rng, 4) + 0.6 * np.sin((x - 0.5) * 26 + 8 * bend * 50) * y
    picture = picture * np.clip(1 + 0.16 * folds, 0.35, 1.4)[..., None]
    if rng.random() < 0.35:  # a placket with buttons
        centre = size // 2
        picture[:, centre - 7 : centre + 7] *= 0.86
        for row in range(60, size, 42):
            cv2.circle(picture, (centre, row), 4, linear(look.cloth_second).tolist(), -1, cv2.LINE_AA)
    return np.clip(picture, 0.001, 1).astype(np.float32)


def hair_texture(look: Appearance, hair: Hair, seed: int) -> Picture:
    """Strands that leave the crown, and its shine; [448, 448, 3], centred on the skull."""
    rng = np.random.default_rng((seed, 8))
    size = _HAIR_PIXELS
    grid = np.mgrid[0:size, 0:size].astype(np.float32) * np.float32(HAIR_PLANE[0, 0])
    x, y = grid[1] + np.float32(-0.8), grid[0] + np.float32(-0.7)
    warp = value_noise((size, size), 70, rng, 3)
    cx, cy = 0.12 * hair.part, -0.27
    radius = np.hypot(x - cx, 0.8 * (y - cy))
    angle = np.arctan2(x - cx, np.abs(y - cy) + 0.06)
    hang = np.clip((y + 0.1) / 0.3, 0, 1)
    strand = angle * 0.34 * (1 - hang) + x * hang + (0.012 + hair.curl) * warp
    noise = _along(strand, 0.03, rng) + 0.8 * _along(strand, 0.011, rng) + 0.6 * _along(strand, 0.005, rng)
    noise += 12 * hair.curl * value_noise((size, size), 22, rng, 3)
    shine = np.exp(-(((radius - 0.2 - 0.03 * warp) / 0.06) ** 2)) * (0.6 + 0.5 * noise)
    shine += 0.5 * np.exp(-(((radius - 0.55 - 0.06 * warp) / 0.09) ** 2)) * (0.6 + 0.5 * noise)
    shade = np.clip(1 + look.hair_contrast * noise, 0.25, 2.2) * (1 - 0.35 * np.exp(-radius / 0.05))
    colour = linear(look.hair)
    highlight = np.clip(0.5 * colour + 0.12, 0, 1)
    picture = colour * shade[..., None] + np.clip(shine, 0, 1.5)[..., None] * highlight * 0.55
    return np.clip(picture, 0.001, 1).astype(np.float32)


def _along(position: Picture, cell: float, rng: np.random.Generator) -> Picture:
    """One-dimensional noise of `position`, features of `cell`."""
    values = rng.normal(0, 0.55, 1024).astype(np.float32)
    index = position / cell + 512
    low = np.floor(index).astype(np.int64)
    share = (index - low).astype(np.float32)
    return values[low % 1024] * (1 - share) + values[(low + 1) % 1024] * share


def _muted(rng: np.random.Generator) -> NDArray[np.float32]:
    return np.clip(rng.uniform(0.1, 0.9) + rng.normal(0, 0.08, 3), 0.02, 0.98).astype(np.float32)


def _rectangles(picture: Picture, rng: np.random.Generator, count: int, sides: tuple[float, float]) -> None:
    size = len(picture)
    for _ in range(count):
        left, top = rng.integers(-size // 8, size, 2)
        width, height = (int(size * rng.uniform(*sides)) for _ in range(2))
        cv2.rectangle(
            picture, (int(left), int(top)), (int(left + width), int(top + height)), _muted(rng).tolist(), -1
        )
        inner = _muted(rng)
        cv2.rectangle(
            picture,
            (int(left + 6), int(top + 6)),
            (int(left + width - 6), int(top + height - 6)),
            inner.tolist(),
            -1,
        )


def _books(picture: Picture, rng: np.random.Generator, top: float) -> None:
    size = len(picture)
    left = 0
    bottom = int(size * (top + 0.15))
    while left < size:
        width, height = int(rng.integers(5, 18)), rng.uniform(0.08, 0.14)
        colour = np.clip(_muted(rng) + rng.normal(0, 0.15, 3), 0, 1).tolist()
        cv2.rectangle(picture, (left, int(bottom - height * size)), (left + width, bottom), colour, -1)
        left += width
    cv2.rectangle(picture, (0, bottom), (size, bottom + 5), (0.25, 0.18, 0.12), -1)
