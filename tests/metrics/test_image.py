"""PSNR and SSIM against their formulas, and against another implementation."""

from __future__ import annotations

import numpy as np
import pytest

from segtalker.metrics.image import psnr, psnr_between, ssim


def pictures(seed: int = 0, shape: tuple[int, int, int] = (16, 14, 3)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 256, shape)
    return np.clip(truth + rng.integers(-40, 41, shape), 0, 255).astype(np.uint8), truth.astype(np.uint8)


def slow_ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Window by window, as the paper writes it."""
    at = np.arange(-5, 6)
    window = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for channel in range(3):
        for row in range(5, image.shape[0] - 5):
            for column in range(5, image.shape[1] - 5):
                place = slice(row - 5, row + 6), slice(column - 5, column + 6), channel
                x, y = image[place].astype(float), truth[place].astype(float)
                mx, my = (window * x).sum(), (window * y).sum()
                vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
                cov = (window * (x - mx) * (y - my)).sum()
                values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(values))


def test_ssim_is_its_formula_window_by_window():
    image, truth = pictures()
    assert ssim(image, truth) == pytest.approx(slow_ssim(image, truth), abs=1e-10)


def test_ssim_agrees_with_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    image, truth = pictures(1, (40, 33, 3))
    expected = metrics.structural_similarity(
        image, truth, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=255,
    )  # fmt: skip
    assert ssim(image, truth) == pytest.approx(expected, abs=1e-6)


def test_ssim_of_equal_pictures_is_one_and_of_opposite_ones_negative():
    _, truth = pictures()
    assert ssim(truth, truth) == pytest.approx(1.0)
    assert ssim(255 - truth, truth) < 0


def test_pictures_that_are_smaller_than_the_window_are_refused():
    with pytest.raises(ValueError, match="below 11 px"):
        ssim(np.zeros((10, 20, 3), np.uint8), np.zeros((10, 20, 3), np.uint8))


def test_psnr_is_of_the_range_and_finite_for_equal_pictures():
    assert psnr(1.0) == pytest.approx(20 * np.log10(255))
    assert psnr((2 / 255) ** 2, peak=2.0) == pytest.approx(psnr(1.0))
    assert psnr(0.0) == pytest.approx(110)


def test_psnr_between_pictures_counts_the_pixels_of_a_place_only():
    truth = np.full((4, 4, 3), 100, np.uint8)
    image = truth.copy()
    image[0] = 90
    image[3] = 200
    top = np.zeros((4, 4), bool)
    top[:2] = True
    assert psnr_between(image, truth, top) == pytest.approx(psnr(50.0))
    assert psnr_between(image, truth) == pytest.approx(psnr((100 + 10000) / 4))
