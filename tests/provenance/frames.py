"""Small pictures for the tests of the mark."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.types import Image


def textured(seed: int = 0, height: int = 240, width: int = 320) -> Image:
    """A picture with soft shapes and grain."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(40, 215, (6, 8, 3)).astype(np.float32), (width, height), interpolation=3)
    return np.clip(coarse + rng.normal(0, 3, coarse.shape), 0, 255).astype(np.uint8)


def disc(height: int = 240, width: int = 320, radius: int = 70) -> NDArray[np.uint8]:
    """A face's area in the middle."""
    area = np.zeros((height, width), np.uint8)
    cv2.circle(area, (width // 2, height // 2), radius, 255, -1)
    return area
