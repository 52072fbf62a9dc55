"""A small Gaussian mixture over colours, fitted by EM on a few thousand samples in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MIN_VARIANCE = 9.0  # of an 8-bit channel: below it lies the noise of a codec
_STEPS = 12


@dataclass(frozen=True)
class Mixture:
    """K Gaussians in D dimensions."""

    log_weights: NDArray[np.float32]
    """[K] including the Gaussians' normalisation, -inf never."""
    means: NDArray[np.float32]
    """[K, D]"""
    whiten: NDArray[np.float32]
    """[K, D, D] W with W^T W = inverse covariance."""

    def log_density(self, colours: NDArray[np.floating]) -> NDArray[np.float32]:
        """Log p of colours [N, D]: [N]."""
        terms = [
            log_weight - 0.5 * np.square((colours - mean) @ whiten.T).sum(axis=1)
            for log_weight, mean, whiten in zip(self.log_weights, self.means, self.whiten, strict=True)
        ]
        return np.logaddexp.reduce(np.stack(terms), axis=0).astype(np.float32)


def fit_mixture(samples: NDArray[np.floating], components: int) -> Mixture:
    """EM from a deterministic start (means at quantiles of the first principal direction).

    samples: [N, D], N >= 1. Fewer components are used where there are few samples.
    """
    x = np.asarray(samples, np.float64)
    components = max(1, min(components, len(x) // 20))
    floor = _MIN_VARIANCE * np.eye(x.shape[1])
    centred = x - x.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(centred @ axes[:, -1], kind="stable")
    responsibility = np.zeros((len(x), components))
    for k, part in enumerate(np.array_split(order, components)):
        responsibility[part, k] = 1.0
    for _ in range(_STEPS if components > 1 else 1):
        mixture = _maximise(x, responsibility, floor)
        terms = np.stack([_log_term(mixture, k, x) for k in range(components)], axis=1)
        responsibility = np.exp(terms - np.logaddexp.reduce(terms, axis=1)[:, None])
    return _maximise(x, responsibility, floor)


def _maximise(
    x: NDArray[np.float64], responsibility: NDArray[np.float64], floor: NDArray[np.float64]
) -> Mixture:
    mass = responsibility.sum(axis=0) + 1e-3
    weights = mass / mass.sum()
    means = (responsibility.T @ x + 1e-3 * x.mean(axis=0)) / mass[:, None]
    whiten, log_weights = [], []
    for k, mean in enumerate(means):
        offset = x - mean
        covariance = (responsibility[:, k, None] * offset).T @ offset / mass[k] + floor
        root = np.linalg.inv(np.linalg.cholesky(covariance))
        whiten.append(root)
        log_norm = np.log(np.diag(root)).sum() - 0.5 * x.shape[1] * np.log(2 * np.pi)
        log_weights.append(np.log(weights[k]) + log_norm)
    return Mixture(
        np.array(log_weights, np.float32), means.astype(np.float32), np.stack(whiten).astype(np.float32)
    )


def _log_term(mixture: Mixture, k: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return mixture.log_weights[k] - 0.5 * np.square((x - mixture.means[k]) @ mixture.whiten[k].T).sum(axis=1)
