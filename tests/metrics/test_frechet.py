"""The Fréchet distance against its equation, and moments of parts against those of the whole."""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from typing import cast

import numpy as np
import pytest
import scipy.linalg
import torch

from segtalker.metrics.frechet import (
    CLIP_FRAMES,
    Moments,
    frechet_distance,
    picture_features,
    video_features,
)
from segtalker.models.frozen.i3d import I3D, I3DConfig
from segtalker.models.frozen.inception import Inception, InceptionConfig


def vectors(seed: int, count: int, size: int = 6) -> np.ndarray:
    """Correlated ones around a mean of their own."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, size)) @ rng.normal(size=(size, size)) + rng.normal(size=size)


def slowly(first: np.ndarray, second: np.ndarray) -> float:
    """The distance with the root of the product of covariances itself."""
    one, other = (np.cov(part, rowvar=False) for part in (first, second))
    root = scipy.linalg.sqrtm(one @ other)
    shift = ((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum()
    return float(shift + np.trace(one + other - 2 * root.real))


def test_moments_of_parts_are_those_of_the_whole_in_any_order_and_grouping():
    whole = vectors(0, 60) + 1e6
    parts = [Moments.of(part) for part in np.split(whole, [1, 7, 7, 40])]
    expected = np.cov(whole, rowvar=False)
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        found = reduce(add, [parts[i] for i in order], Moments())
        assert found.count == 60
        np.testing.assert_allclose(found.mean, whole.mean(axis=0), rtol=1e-14)
        np.testing.assert_allclose(found.covariance, expected, rtol=1e-8)
    paired = (parts[0] + parts[1]) + (parts[3] + parts[4])
    np.testing.assert_allclose(paired.covariance, expected, rtol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_distance_is_that_of_its_equation(seed: int):
    first, second = vectors(seed, 50), vectors(seed + 10, 30)
    found = frechet_distance(Moments.of(first), Moments.of(second))
    assert found == pytest.approx(slowly(first, second), rel=1e-9)
    assert found == pytest.approx(frechet_distance(Moments.of(second), Moments.of(first)))


def test_equal_sets_are_at_zero_and_shifted_ones_at_the_square_of_the_shift():
    values = vectors(1, 40)
    same = Moments.of(values)
    assert frechet_distance(same, same) == pytest.approx(0, abs=1e-9)
    shift = np.arange(6.0)
    assert frechet_distance(same, Moments.of(values + shift)) == pytest.approx((shift**2).sum())


def test_scaling_a_gaussian_moves_it_by_the_change_of_its_deviations():
    """In one dimension the distance is (m1 - m2)^2 + (s1 - s2)^2; here all axes are alike."""
    values = vectors(2, 40)
    values -= values.mean(axis=0)
    variance = np.cov(values, rowvar=False).trace()
    assert frechet_distance(Moments.of(values), Moments.of(3 * values)) == pytest.approx(4 * variance)


def test_fewer_vectors_than_dimensions_need_no_help():
    """What lies in a plane keeps its distance in whatever space the plane lies."""
    first, second = vectors(3, 5, 3), vectors(4, 4, 3)
    frame = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 3)))[0]
    flat = frechet_distance(Moments.of(first), Moments.of(second))
    found = frechet_distance(Moments.of(first @ frame.T), Moments.of(second @ frame.T))
    assert found == pytest.approx(flat, rel=1e-9) and flat == pytest.approx(slowly(first, second), rel=1e-6)
    few = Moments.of(vectors(5, 3, 40))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-9 * few.covariance.trace())
    still = Moments.of(np.ones((3, 40)))
    assert frechet_distance(still, still) == 0


def test_one_vector_has_no_covariance_and_others_do_not_compare():
    known = Moments.of(vectors(0, 5))
    for few in (Moments(), Moments.of(vectors(0, 1))):
        assert math.isnan(frechet_distance(known, few)) and math.isnan(frechet_distance(few, known))
    with pytest.raises(ValueError, match="features of 6 and 4 numbers"):
        frechet_distance(known, Moments.of(vectors(0, 5, 4)))


def test_pictures_are_seen_as_inception_wants_them():
    torch.manual_seed(0)
    net = Inception(InceptionConfig(divisor=32)).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
    seen: list[torch.Tensor] = []
    net.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    assert picture_features(net, pictures).shape == (10, 2048 // 32)
    assert [tuple(batch.shape) for batch in seen] == [(8, 3, 299, 299), (2, 3, 299, 299)]
    corners = torch.from_numpy(pictures[:8, 0, 0] / np.float32(127.5) - 1)
    torch.testing.assert_close(seen[0][:, :, 0, 0], corners)


def test_videos_are_cut_into_clips_of_sixteen_frames():
    class Listed(torch.nn.Module):
        """In place of I3D: the first and the last frame's number."""

        def __init__(self) -> None:
            super().__init__()
            self.cfg = I3DConfig(num_classes=2)
            self.zero = torch.nn.Parameter(torch.zeros(1))

        def forward(self, videos: torch.Tensor) -> torch.Tensor:
            assert videos.shape[1:] == (3, CLIP_FRAMES, 224, 224)
            return (videos[:, 0, [0, -1], 0, 0] + 1) * 127.5

    frames = np.zeros((55, 4, 4, 3), np.uint8) + np.arange(55, dtype=np.uint8)[:, None, None, None]
    net = cast(I3D, Listed())
    found = video_features(net, frames)
    np.testing.assert_allclose(found, [[0, 15], [16, 31], [32, 47]], atol=1e-4)
    np.testing.assert_allclose(video_features(net, frames, every=8)[:, 0], [0, 8, 16, 24, 32], atol=1e-4)
    assert video_features(net, frames[:15]).shape == (0, 2)


def test_i3d_gives_as_many_numbers_as_it_has_classes():
    net = I3D(I3DConfig(num_classes=5, divisor=16)).eval()
    frames = np.random.default_rng(0).integers(0, 256, (CLIP_FRAMES, 8, 8, 3), dtype=np.uint8)
    assert video_features(net, frames).shape == (1, 5)
