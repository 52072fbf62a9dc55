"""How well a talking segmentation agrees with the true one, and how still it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segtalker.regions import NUM_REGIONS

STRAY_SHARE = 1e-4
"""Share of all pixels below which a class counts as stray: a few eyelid pixels of a bowed head."""


def confusion(
    pred: NDArray[np.uint8], target: NDArray[np.uint8], num_classes: int = NUM_REGIONS
) -> NDArray[np.int64]:
    """Pixel counts [C, C], true class by predicted class, of region maps of equal shape; they add up."""
    if pred.shape != target.shape:
        raise ValueError(f"maps of different shapes: {pred.shape} and {target.shape}")
    pairs = target.astype(np.int64).ravel() * num_classes + pred.ravel()
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_iou(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union [C] of each class; NaN where the class is absent from the truth."""
    intersection = counts.diagonal()
    true = counts.sum(axis=1)
    union = true + counts.sum(axis=0) - intersection
    return np.where(true > 0, intersection / np.maximum(union, 1), np.nan)


def mean_iou(counts: NDArray[np.int64], least_share: float = 0.0) -> float:
    """Mean of `class_iou` over all classes that are present in the truth; NaN of nothing.

    least_share: share of all pixels that a class must have to take part.
    """
    known = counts.sum(axis=1) >= max(least_share * counts.sum(), 1)
    return float(class_iou(counts)[known].mean()) if known.any() else float("nan")


def lower_half(maps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows S/2..S of region maps [..., S, S]: what speech moves."""
    return maps[..., maps.shape[-2] // 2 :, :]


def lower_half_miou(pred: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """Mean IoU of the lower halves of maps [..., S, S] over all classes present there."""
    return mean_iou(confusion(lower_half(pred), lower_half(target)))


def map_jitter(maps: NDArray[np.uint8]) -> float:
    """Share of lower-half pixels of maps [T, S, S] that differ from both neighbours in time, which agree.

    Motion carries a border over a pixel once; only flicker brings it back in the next frame.
    """
    found = jitter(maps)
    return float(found.mean()) if len(found) else 0.0


def jitter(maps: NDArray[np.uint8]) -> NDArray[np.float64]:
    """`map_jitter` at the middle of each triple of frames: [T - 2]."""
    below = lower_half(maps)
    if len(below) < 3:
        return np.zeros(0)
    before, now, after = below[:-2], below[1:-1], below[2:]
    return ((before == after) & (now != before)).mean(axis=(1, 2))
