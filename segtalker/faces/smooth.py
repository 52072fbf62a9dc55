"""Zero-phase smoothing of what a track measures: no lag, and a steady motion stays as it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def smooth(measured: NDArray[np.floating], sigma: float) -> NDArray[np.float64]:
    """Gaussian of `sigma` frames along axis 0 of [T, ...].

    The ends are continued by point reflection, so that a linear motion is a fixed point there too.
    """
    values: NDArray[np.float64] = np.array(measured, dtype=np.float64)
    radius = min(int(np.ceil(3.0 * sigma)), len(values) - 1)
    if sigma <= 0 or radius < 1:
        return values
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padding = [(radius, radius)] + [(0, 0)] * (values.ndim - 1)
    padded = np.pad(values, padding, mode="reflect", reflect_type="odd")
    result = np.zeros_like(values)
    for shift, weight in enumerate(kernel):
        result += weight * padded[shift : shift + len(values)]
    return result


def smooth_similarities(affines: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Smooth similarities [T, 2, 3] frame -> unit crop through centre, log scale and angle.

    The centre is that of the crop, in frame pixels: smoothing the shift in the crop instead would couple it
    to the angle.
    """
    a, b = affines[:, 0, 0], affines[:, 1, 0]
    shape = np.stack([0.5 * np.log(a * a + b * b), np.unwrap(np.arctan2(b, a))], axis=1)
    offset = 0.5 - affines[:, :, 2]
    squared = a * a + b * b
    centre = np.stack(
        [(a * offset[:, 0] + b * offset[:, 1]) / squared, (a * offset[:, 1] - b * offset[:, 0]) / squared],
        axis=1,
    )
    shape, centre = smooth(shape, sigma), smooth(centre, sigma)
    scale, angle = np.exp(shape[:, 0]), shape[:, 1]
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([c, -s], axis=1), np.stack([s, c], axis=1)], axis=1)
    shift = 0.5 - np.einsum("tij,tj->ti", linear, centre)
    return np.concatenate([linear, shift[:, :, None]], axis=2)
