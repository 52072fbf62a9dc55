"""BlazeFace (arXiv 1907.05047), short range: from the network's numbers to boxes.

The network sees a 128-pixel square and answers on 896 anchors: two for each cell of a 16 x 16 grid, then
six for each cell of an 8 x 8 grid. Boxes and the two eye points come back in units of that square.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

INPUT_SIZE = 128
_GRIDS = ((16, 2), (8, 6))  # cells a side, anchors a cell


@dataclass(frozen=True)
class Detection:
    """A face as the detector sees it, in frame pixels."""

    bbox: NDArray[np.float64]
    """[4] left, top, right, bottom."""
    eyes: NDArray[np.float64]
    """[2, 2] the eye at the left of an upright picture, the one at the right."""
    score: float


@cache
def anchors() -> NDArray[np.float32]:
    """Anchor centres [896, 2] in the unit square."""
    levels = []
    for cells, repeats in _GRIDS:
        line = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        x, y = np.meshgrid(line, line)
        levels.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeats, axis=0))
    return np.concatenate(levels)


def decode(
    regressors: NDArray[np.float32], logits: NDArray[np.float32], min_score: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Network outputs [896, 16] and [896] to boxes [K, 4], eyes [K, 2, 2], scores [K] in the unit square."""
    scores = 1.0 / (1.0 + np.exp(-np.clip(logits, -80, 80).astype(np.float64)))
    keep = np.flatnonzero(scores >= min_score)
    values = regressors[keep].astype(np.float64) / INPUT_SIZE
    origin = anchors()[keep].astype(np.float64)
    centre, half = origin + values[:, :2], values[:, 2:4] / 2
    eyes = origin[:, None] + values[:, 4:8].reshape(-1, 2, 2)
    return np.concatenate([centre - half, centre + half], axis=1), eyes, scores[keep]


def iou(box: NDArray[np.floating], boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of a box [4] with boxes [K, 4]."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - inside
    return inside / np.maximum(union, 1e-9)


def merge_overlapping(detections: list[Detection], max_iou: float = 0.3) -> list[Detection]:
    """Non-maximum suppression that averages: a group of overlapping boxes becomes their mean by score.

    The mean moves less from frame to frame than the best box alone does.
    """
    if not detections:
        return []
    boxes = np.stack([d.bbox for d in detections])
    eyes = np.stack([d.eyes for d in detections])
    scores = np.array([d.score for d in detections])
    left = np.argsort(-scores, kind="stable")
    merged = []
    while left.size:
        group = left[iou(boxes[left[0]], boxes[left]) >= max_iou]
        group = group if group.size else left[:1]
        weight = scores[group] / scores[group].sum()
        merged.append(
            Detection(
                bbox=np.einsum("k,kc->c", weight, boxes[group]),
                eyes=np.einsum("k,kec->ec", weight, eyes[group]),
                score=float(scores[group[0]]),
            )
        )
        left = left[~np.isin(left, group)]
    return merged


def square_tiles(width: int, height: int, smallest_face: float) -> list[list[tuple[float, float, float]]]:
    """Overlapping squares (x, y, side) that cover an image, level by level, for faces too small for one look.

    The network misses faces under about a tenth of what it sees. Each level halves the side, until a face of
    `smallest_face` pixels fills a sixth of a square. Squares overlap by half, so that any face of up to
    half a square lies whole in one of them.
    """
    levels: list[list[tuple[float, float, float]]] = []
    side = float(min(width, height))
    if max(width, height) < 1.2 * side:
        side /= 2  # the whole image was one square already
    for _ in range(3):
        if side < 6 * smallest_face and levels:
            break
        levels.append([(x, y, side) for y in _tile_starts(height, side) for x in _tile_starts(width, side)])
        side /= 2
    return levels


def _tile_starts(length: int, side: float) -> NDArray[np.float64]:
    count = 1 + int(np.ceil(max(0.0, length - side) / (side / 2)))
    return np.linspace(0, max(0.0, length - side), count)
