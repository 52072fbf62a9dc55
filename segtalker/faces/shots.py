"""Where a shot ends: two small fingerprints of neighbouring frames, compared in colour and in structure.

Colour alone is fooled by a flash, structure alone by a fast move; a cut changes both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtalker.types import Image

_SIDE = 32
_BINS = 6


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a frame."""

    histogram: NDArray[np.float32]
    """Colours [216], sums to 1."""
    structure: NDArray[np.float32]
    """Thumbnail [1024], zero mean and unit length; all zero for a flat picture."""


def fingerprint(image: Image) -> Fingerprint:
    """The fingerprint of an RGB image; 0.2 ms for a small frame."""
    import cv2

    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    bins = np.minimum(small * (_BINS / 256.0), _BINS - 1).astype(np.int64)
    codes = (bins[..., 0] * _BINS + bins[..., 1]) * _BINS + bins[..., 2]
    histogram = np.bincount(codes.ravel(), minlength=_BINS**3).astype(np.float32) / codes.size
    grey = small.mean(axis=2).ravel()
    grey -= grey.mean()
    length = float(np.linalg.norm(grey))
    structure = grey / length if length > 2.0 * _SIDE else np.zeros_like(grey)
    return Fingerprint(histogram, structure)


def is_cut(before: Fingerprint, after: Fingerprint, min_colour_change: float, max_similarity: float) -> bool:
    """Whether the colours differ by `min_colour_change` or more (0..1) and the structures do not agree."""
    colour_change = 0.5 * float(np.abs(before.histogram - after.histogram).sum())
    similarity = float(before.structure @ after.structure)
    both_flat = not before.structure.any() and not after.structure.any()
    return colour_change >= min_colour_change and (both_flat or similarity <= max_similarity)
