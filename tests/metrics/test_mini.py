"""Features of the fixed random network: the same everywhere, and they see texture."""

from __future__ import annotations

import cv2
import numpy as np

from segtalker.metrics.frechet import Moments, frechet_distance
from segtalker.metrics.mini import RandomFeatures, random_features


def pictures(seed: int, count: int = 40) -> np.ndarray:
    """Smooth pictures of random shapes."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
    return np.stack([cv2.resize(picture, (128, 128), interpolation=cv2.INTER_CUBIC) for picture in small])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    net = RandomFeatures()
    return frechet_distance(*(Moments.of(random_features(net, images)) for images in (one, other)))


def test_the_network_is_the_same_every_time():
    first, second = (random_features(RandomFeatures(), pictures(0, 2)) for _ in range(2))
    assert np.array_equal(first, second) and first.shape == (2, 64) and np.ptp(first) > 0
    # The numbers themselves: another generator or initialisation would make old figures incomparable.
    assert np.allclose(RandomFeatures().convs[0].weight.flatten()[:3], (0.0037, -0.2244, 0.0033), atol=1e-4)


def test_a_set_is_at_no_distance_from_itself_and_blur_grows_it():
    true = pictures(1)
    mild, strong = (np.stack([cv2.GaussianBlur(p, (0, 0), sigma) for p in true]) for sigma in (2.0, 6.0))
    assert distance(true, true) < 1e-6 < distance(true, mild) < distance(true, strong)


def test_another_draw_of_the_same_pictures_is_nearer_than_blurred_ones():
    true = pictures(1)
    blurred = np.stack([cv2.GaussianBlur(p, (0, 0), 6.0) for p in true])
    assert distance(true, pictures(2)) < distance(true, blurred)
