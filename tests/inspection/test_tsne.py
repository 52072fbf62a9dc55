"""Exact t-SNE against the equations of van der Maaten and Hinton (2008)."""

from __future__ import annotations

import numpy as np
import pytest

from segtalker.inspection.tsne import affinities, divergence, gradient, principal, squared_distances, tsne


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(14, 5))


def joint_of(points: np.ndarray, perplexity: float) -> np.ndarray:
    return affinities(squared_distances(points), perplexity)


def test_affinities_are_those_of_equation_1_with_the_perplexity_asked_for(points):
    n, perplexity = len(points), 4.0
    joint = joint_of(points, perplexity)
    conditional = np.zeros((n, n))
    for i in range(n):

        def row(precision: float, i: int = i) -> np.ndarray:
            weights = np.array([np.exp(-precision * np.sum((points[i] - p) ** 2)) for p in points])
            weights[i] = 0
            return weights / weights.sum()

        def bits(probabilities: np.ndarray) -> float:
            return -sum(p * np.log2(p) for p in probabilities if p > 0)

        low, high = 1e-6, 1e3
        for _ in range(200):
            middle = np.sqrt(low * high)
            low, high = (middle, high) if 2 ** bits(row(middle)) > perplexity else (low, middle)
        conditional[i] = row(low)
        assert 2 ** bits(conditional[i]) == pytest.approx(perplexity, rel=1e-6)
    np.testing.assert_allclose(joint, (conditional + conditional.T) / (2 * n), atol=1e-9)
    assert joint.sum() == pytest.approx(1) and np.array_equal(joint, joint.T)


def test_the_cost_is_the_divergence_of_students_t(points):
    places = np.random.default_rng(1).normal(size=(14, 2))
    joint, n = joint_of(points, 4.0), 14
    near = np.array(
        [
            [0 if i == j else 1 / (1 + np.sum((places[i] - places[j]) ** 2)) for j in range(n)]
            for i in range(n)
        ]
    )
    model = near / near.sum()
    told = sum(joint[i, j] * np.log(joint[i, j] / model[i, j]) for i in range(n) for j in range(n) if i != j)
    assert divergence(joint, places) == pytest.approx(told, rel=1e-9)


def test_the_gradient_of_equation_5_is_that_of_the_cost(points):
    places = np.random.default_rng(1).normal(size=(14, 2))
    joint, h = joint_of(points, 4.0), 1e-5
    numeric = np.zeros_like(places)
    for at in np.ndindex(*places.shape):
        ahead, back = places.copy(), places.copy()
        ahead[at] += h
        back[at] -= h
        numeric[at] = (divergence(joint, ahead) - divergence(joint, back)) / (2 * h)
    np.testing.assert_allclose(gradient(joint, places), numeric, atol=1e-8)


def test_clusters_stay_together_and_apart_and_twice_the_same():
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(4, 40)) * 8
    kinds = np.repeat(np.arange(4), 15)
    points = centres[kinds] + rng.normal(size=(60, 40))
    places = tsne(points, iterations=400)
    distances = squared_distances(places) + np.diag(np.full(60, np.inf))
    nearest = kinds[np.argsort(distances, axis=1)[:, :5]]
    assert (nearest == kinds[:, None]).all()
    assert np.array_equal(places, tsne(points, iterations=400))
    start = principal(points, 2)
    joint = joint_of(principal(points, 30), 59 / 3)
    assert divergence(joint, places) < 0.5 * divergence(joint, start * (1e-2 / start[:, 0].std()))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_few_points_and_equal_points_have_finite_places(count):
    told = []
    for points in (np.zeros((count, 6)), np.arange(count * 6.0).reshape(count, 6) ** 2):
        places = tsne(points, iterations=30, tell=lambda done, total: told.append((done, total)))
        assert places.shape == (count, 2) and np.isfinite(places).all()
    assert (told[-1] == (30, 30)) if count > 2 else not told
