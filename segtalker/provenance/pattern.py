"""The keyed pattern of the invisible mark: a torus of random signs, drawn over a frame as a grid of cells.

Half of the cells (a checkerboard) carry the signs of the key and say where the grid lies; the other half
carry a second set of signs, moved over the torus by an amount that is the message. All of a message's energy
is in one peak, so that it is read wherever the mark itself is found.

The grid is defined relative to the frame: its middle cell lies in the middle, and the side of a cell is a
fixed share of the frame's size (the root of its area). Rescaling therefore leaves it where it was; a crop
moves it and makes it look larger.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

SIDE = 128
"""Cells along the torus; its shifts are the messages."""
MESSAGES = SIDE * SIDE
_PEAK = 0.85
"""Height of a lone cell; runs of equal cells reach 1."""
CELLS = 96
"""Cells along the root of the frame's area. Fewer stand stronger compression, more give more evidence."""


def pitch(height: int, width: int) -> float:
    """Side of a cell (px) in a whole frame."""
    return (height * width) ** 0.5 / CELLS


@lru_cache(maxsize=128)
def place_signs(key: str) -> Plane:
    """[SIDE, SIDE]: +1 and -1 on the even cells of the checkerboard, 0 on the odd ones."""
    return _signs(key, "place") * EVEN


@lru_cache(maxsize=128)
def message_signs(key: str) -> Plane:
    """[SIDE, SIDE]: the signs that a message moves; they are read on the odd cells only."""
    return _signs(key, "message")


def lattice(key: str, message: int) -> Plane:
    """[SIDE, SIDE] of +1 and -1: the whole pattern that carries `message`, 0 <= message < MESSAGES."""
    if not 0 <= message < MESSAGES:
        raise ValueError(f"message = {message} is outside 0..{MESSAGES - 1}")
    moved = np.roll(message_signs(key), divmod(message, SIDE), (0, 1))
    return place_signs(key) + moved * (1 - EVEN)


@lru_cache(maxsize=4)
def drawn(key: str, message: int, height: int, width: int) -> Plane:
    """[H, W] in [-1, 1]: the pattern as it lies over a frame, smooth between the middles of its cells."""
    side = pitch(height, width)
    margin = max(0, int(np.ceil(max(height, width) / side)) + 8 - SIDE) // 2 + 1
    cells = np.pad(lattice(key, message), margin, mode="wrap")
    frame_from_cells = np.array(
        [
            [side, 0, (width - 1) / 2 - side * (margin + SIDE // 2)],
            [0, side, (height - 1) / 2 - side * (margin + SIDE // 2)],
        ]
    )
    drawing = cv2.warpAffine(cells, frame_from_cells, (width, height), flags=cv2.INTER_CUBIC)
    return np.clip(_PEAK * drawing, -1, 1)


EVEN: Plane = (np.add.outer(np.arange(SIDE), np.arange(SIDE)) % 2 == 0).astype(np.float32)


def _signs(key: str, purpose: str) -> Plane:
    """Signs from SHAKE-256 of the key: the same on every machine and version."""
    digest = hashlib.shake_256(f"segtalker mark 1\n{purpose}\n{key}".encode()).digest(MESSAGES // 8)
    bits = np.unpackbits(np.frombuffer(digest, np.uint8)).reshape(SIDE, SIDE)
    return (2.0 * bits - 1).astype(np.float32)
