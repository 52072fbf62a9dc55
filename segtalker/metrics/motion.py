"""What alternates from frame to frame though nothing moves: flicker of pictures (of maps: `map_jitter`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def alternation(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How much the middles of all triples of consecutive aligned crops [T, S, S, 3] stand out: [T - 2].

    The mean over the lower half of |f(t-1) - 2 f(t) + f(t+1)| / 4 of the brightness, levels of 255: one
    that alternates by +-d reads d, one that changes evenly reads 0, noise of deviation s about 0.5 s.
    """
    if len(pictures) < 3:
        return np.zeros(0)
    bright = pictures[:, pictures.shape[1] // 2 :].astype(np.float32).mean(axis=-1)
    bend = np.abs(bright[:-2] - 2 * bright[1:-1] + bright[2:]) / 4
    return bend.mean(axis=(1, 2), dtype=np.float64)
