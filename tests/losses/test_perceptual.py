import pytest
import torch

from segtalker.losses.perceptual import (
    feature_distance,
    gradient_l1,
    l2_loss,
    multi_scale_distance,
    pyramid_l1,
)


def images() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16)


def test_l2_is_the_mean_square_and_weights_choose_pixels() -> None:
    pred, target = images()
    assert float(l2_loss(pred, target)) == pytest.approx(float(((pred - target) ** 2).mean()), rel=1e-5)
    weights = torch.zeros(2, 1, 16, 16)
    weights[:, :, 4:6] = 7
    expected = float(((pred - target) ** 2)[:, :, 4:6].mean())
    assert float(l2_loss(pred, target, weights)) == pytest.approx(expected, rel=1e-5)


def test_multi_scale_sums_over_sizes_that_the_image_has() -> None:
    pred, target = images()
    seen = []

    def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append(a.shape[-1])
        return (a - b).abs().mean(dim=(1, 2, 3))

    total = multi_scale_distance(distance, pred, target, (64, 8, 4))
    assert seen == [16, 8, 4]
    shrunk = (
        torch.nn.functional.avg_pool2d(pred - target, 2),
        torch.nn.functional.avg_pool2d(pred - target, 4),
    )
    expected = sum(float(part.abs().mean()) for part in (pred - target, *shrunk))
    assert float(total) == pytest.approx(expected, rel=1e-5)


def test_feature_distance_ignores_length_and_sees_direction() -> None:
    features = torch.randn(2, 4, 5, 5)
    assert float(feature_distance([features], [3 * features])) == pytest.approx(0, abs=1e-6)
    assert float(feature_distance([features], [-features])) == pytest.approx(4, rel=1e-5)


def test_pyramid_sees_a_shift_of_colour_at_every_level() -> None:
    pred, _ = images()
    assert float(pyramid_l1(pred, pred + 0.5)) == pytest.approx(0.5, rel=1e-5)
    assert float(pyramid_l1(pred, pred)) == 0


def test_gradient_term_ignores_colour_and_sees_a_lost_edge() -> None:
    edge = torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1
    assert float(gradient_l1(edge, edge + 0.3)) == pytest.approx(0, abs=1e-6)
    assert float(gradient_l1(torch.full_like(edge, 0.5), edge)) == pytest.approx(1 / 7)
    weights = torch.zeros(1, 1, 8, 8)
    weights[..., :3] = 1
    assert float(gradient_l1(torch.full_like(edge, 0.5), edge, weights)) == 0
