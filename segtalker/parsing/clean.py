"""Takes the flicker out of a sequence of raw maps without slowing the mouth.

Every pixel that is not an inner part of the face takes the label that it has most often within `HALO`
frames on either side. Like a median this keeps a border that moves, and drops what comes and goes within
two frames. Lips, mouth, eyes, brows and nose come from the mesh and stay as they are in every frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segtalker.regions import Raw

HALO = 2
"""Frames on either side that a cleaned frame depends on."""

OUTER = (
    Raw.BACKGROUND, Raw.SKIN, Raw.LEFT_EAR, Raw.RIGHT_EAR, Raw.NECK, Raw.NECKLACE, Raw.CLOTH, Raw.HAIR,
    Raw.HAT, )  # fmt: skip


def clean_maps(raws: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Raw maps [T, S, S] of consecutive frames of one track, cleaned.

    Frame t depends on t - HALO .. t + HALO, and near the ends on fewer, as many on either side: a chunk
    that is given with HALO more frames on either side gets the same maps as the whole track. On a tie a
    pixel keeps its label.
    """
    frames = len(raws)
    best = np.zeros(raws.shape, np.uint8)
    own = np.zeros(raws.shape, np.uint8)
    winner = raws.copy()
    for label in OUTER:
        is_label = (raws == label).astype(np.uint8)
        if not is_label.any():
            continue
        votes = np.zeros(raws.shape, np.uint8)
        for t in range(frames):
            radius = min(HALO, t, frames - 1 - t)  # stays symmetric, or the ends would run ahead
            is_label[t - radius : t + radius + 1].sum(axis=0, dtype=np.uint8, out=votes[t])
        own += votes * is_label
        more = votes > best
        winner[more] = label
        best = np.maximum(best, votes)
    change = np.isin(raws, OUTER) & (best > own)
    return np.where(change, winner, raws)
