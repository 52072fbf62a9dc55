"""How close pictures are to the true ones: PSNR and SSIM."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_LEAST_ERROR = 1e-11
"""Of the squared range: equal pictures are 110 dB apart, not infinitely many, so that means stay finite."""
_RADIUS, _SIGMA = 5, 1.5
_STABILISERS = 0.01, 0.03


def psnr(mean_square: float, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error of values of range `peak`; at most 110."""
    return 10 * float(np.log10(1 / max(mean_square / peak**2, _LEAST_ERROR)))


def psnr_between(
    image: NDArray[np.uint8], truth: NDArray[np.uint8], place: NDArray[np.bool_] | None = None
) -> float:
    """`psnr` of two pictures [H, W, 3] of 0..255, over the pixels of `place` [H, W] or all."""
    error = (image.astype(np.float64) - truth.astype(np.float64)) ** 2
    return psnr(float((error if place is None else error[place]).mean()))


def ssim(image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Structural similarity of two pictures [H, W, 3] of 0..255, in -1..1 (Wang et al. 2004).

    As in the authors' code: local means and (co)variances under a Gaussian of sigma 1.5, cut to 11 x 11;
    constants (0.01 * 255)^2 and (0.03 * 255)^2; the mean over all places where the window lies inside the
    picture. A colour picture's is the mean over its channels.
    """
    if image.shape != truth.shape or min(image.shape[:2]) < 2 * _RADIUS + 1:
        raise ValueError(f"ssim: pictures of {image.shape} and {truth.shape}, not equal or below 11 px")
    x, y = image.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    c1, c2 = ((k * 255) ** 2 for k in _STABILISERS)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return float((luminance * structure).mean())


def _blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[H, W, C] under the window, without the border where it would leave the picture."""
    window = np.exp(-0.5 * (np.arange(-_RADIUS, _RADIUS + 1) / _SIGMA) ** 2)
    window /= window.sum()
    inside = slice(_RADIUS, -_RADIUS)
    return np.asarray(cv2.sepFilter2D(values, cv2.CV_64F, window, window), np.float64)[inside, inside]
