"""Exact t-SNE (van der Maaten and Hinton, Visualizing Data using t-SNE, JMLR 9, 2008).

Written out in full, since a few hundred style codes want no tree and no other package. Every step is
deterministic: the map begins with the two first principal components in place of random places.

Shape legend: N points, D their size, K dimensions kept.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

PERPLEXITY = 30.0
_KEPT = 30  # principal components that distances are taken of (Sec. 4.2 of the paper)
_RATE, _EARLY_MOMENTUM, _MOMENTUM, _SWITCH = 100.0, 0.5, 0.8, 250  # Sec. 3.4
_EXAGGERATION, _EXAGGERATED = 4.0, 50  # Sec. 3.4, "early exaggeration"
_LEAST_GAIN, _START = 0.01, 1e-2
_HALVINGS = 60


def tsne(
    points: Floats,
    perplexity: float = PERPLEXITY,
    iterations: int = 1000,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float64]:
    """Places [N, 2] of points [N, D]: near to one another where the points are.

    perplexity: how many neighbours a point has, roughly; less where there are few points. tell: told of
    iterations done and in all.
    """
    count = len(points)
    if count < 3:
        return np.stack([np.arange(count), np.zeros(count)], axis=1).astype(np.float64)
    kept = principal(points, _KEPT)
    joint = affinities(squared_distances(kept), min(perplexity, (count - 1) / 3))
    start = kept[:, :2] if kept.shape[1] > 1 else np.pad(kept, ((0, 0), (0, 1)))
    places = (start * (_START / max(float(start[:, 0].std()), 1e-12))).astype(np.float64)
    step, gains = np.zeros_like(places), np.ones_like(places)
    for t in range(iterations):
        slope = gradient(joint * (_EXAGGERATION if t < _EXAGGERATED else 1.0), places)
        gains = np.where(np.sign(slope) != np.sign(step), gains + 0.2, gains * 0.8).clip(_LEAST_GAIN)
        step = (_EARLY_MOMENTUM if t < _SWITCH else _MOMENTUM) * step - _RATE * gains * slope
        places = places + step
        places = places - places.mean(axis=0)
        tell(t + 1, iterations)
    return places


def principal(points: Floats, count: int) -> NDArray[np.float32]:
    """The first principal components [N, K] of points [N, D], K <= count; those that are zero left out."""
    mean, axes = principal_axes(points, count)
    return ((np.asarray(points, np.float64) - mean) @ axes.T).astype(np.float32)


def principal_axes(points: Floats, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean [D] of points [N, D] and the directions [K, D] in which they differ most, the first most."""
    mean = np.mean(points, axis=0, dtype=np.float64)
    _, sizes, axes = np.linalg.svd(np.asarray(points, np.float64) - mean, full_matrices=False)
    used = max(1, min(count, int((sizes > 1e-9 * max(float(sizes[0]), 1e-30)).sum())))
    signs = np.sign(axes[np.arange(used), np.abs(axes[:used]).argmax(axis=1)])  # svd leaves them open
    return np.asarray(mean), axes[:used] * signs[:, None]


def squared_distances(points: Floats) -> Floats:
    """[N, N] squared distances between points [N, D]."""
    norms = np.square(points).sum(axis=1)
    return np.maximum(norms[:, None] + norms[None] - 2 * (points @ points.T), 0)


def affinities(distances: Floats, perplexity: float) -> Floats:
    """Joint probabilities [N, N] of squared distances [N, N]: eq. 1, made symmetric as in Sec. 3.1.

    The width of each point's Gaussian is found by bisection, so that 2 to the entropy is `perplexity`.
    """
    count = len(distances)
    others = ~np.eye(count, dtype=bool)
    shifted = distances - np.where(others, distances, np.inf).min(axis=1, keepdims=True)
    scale = np.maximum(np.where(others, shifted, 0).sum(axis=1, keepdims=True) / (count - 1), 1e-12)
    low, high = np.full((count, 1), -20.0), np.full((count, 1), 20.0)  # log of the precision times `scale`
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        conditional = _conditional(shifted / scale, np.exp(middle), others)
        wide = _entropy(conditional) > np.log2(perplexity)
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    conditional = _conditional(shifted / scale, np.exp((low + high) / 2), others)
    return (conditional + conditional.T) / (2 * count)


def divergence(joint: Floats, places: Floats) -> float:
    """The cost: Kullback-Leibler divergence of Student's t (eq. 4) of places [N, 2] from `joint` [N, N]."""
    near = _nearness(places)
    model = near / near.sum()
    told = joint > 0
    return float((joint[told] * np.log(joint[told] / model[told])).sum())


def gradient(joint: Floats, places: Floats) -> Floats:
    """Its gradient [N, 2] with respect to the places, eq. 5."""
    near = _nearness(places)
    pull = (joint - near / near.sum()) * near
    return 4 * (pull.sum(axis=1, keepdims=True) * places - pull @ places)


def _nearness(places: Floats) -> Floats:
    """(1 + |y_i - y_j|^2)^-1 [N, N], 0 on the diagonal."""
    near = 1 / (1 + squared_distances(places))
    np.fill_diagonal(near, 0)
    return near


def _conditional(distances: Floats, precision: Floats, others: NDArray[np.bool_]) -> Floats:
    """p_j|i [N, N], eq. 1."""
    weights = np.exp(-distances * precision, where=others, out=np.zeros_like(distances, np.float64))
    return weights / weights.sum(axis=1, keepdims=True)


def _entropy(conditional: Floats) -> Floats:
    """Bits [N, 1] of every row."""
    logs = np.log2(conditional, where=conditional > 0, out=np.zeros_like(conditional))
    return -(conditional * logs).sum(axis=1, keepdims=True)
