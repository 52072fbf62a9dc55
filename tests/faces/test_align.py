from __future__ import annotations

import numpy as np
import pytest

from segtalker.faces import align, mesh


def _similarity(angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


def _smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width] + 0.5
    red, green, blue = 128 + 90 * np.sin(x / 17), 128 + 90 * np.cos(y / 23), 128 + 60 * np.sin((x + y) / 29)
    return np.stack([red, green, blue], -1).round().astype(np.uint8)


def test_fitting_recovers_a_similarity_exactly():
    points = np.random.default_rng(0).normal(size=(20, 2))
    truth = _similarity(0.7, 2.5, (3, -4))
    np.testing.assert_allclose(
        align.fit_similarity(points, align.apply_affine(truth, points)), truth, atol=1e-12
    )


def test_fitting_noisy_points_beats_every_neighbouring_similarity():
    rng = np.random.default_rng(1)
    source, target = rng.normal(size=(2, 30, 2))

    def error(affine: np.ndarray) -> float:
        return float(np.sum((align.apply_affine(affine, source) - target) ** 2))

    best = align.fit_similarity(source, target)
    for a, b, x, y in 1e-3 * rng.normal(size=(200, 4)):
        assert error(best) <= error(best + np.array([[a, -b, x], [b, a, y]]))


def test_points_that_coincide_are_refused():
    with pytest.raises(ValueError, match="coincide"):
        align.fit_similarity(np.ones((3, 2)), np.zeros((3, 2)))


def test_the_mean_face_at_frame_scale_maps_onto_itself():
    frame_from_crop = _similarity(0.3, 200, (50, 80))
    landmarks = align.apply_affine(frame_from_crop, mesh.mean_face()[:, :2])
    crop_from_frame = align.crop_from_landmarks(landmarks)
    np.testing.assert_allclose(
        align.apply_affine(crop_from_frame, landmarks), mesh.mean_face()[:, :2], atol=1e-6
    )


def test_a_falling_jaw_does_not_move_the_crop():
    landmarks = mesh.mean_face()[:, :2] * 300.0
    opened = landmarks.copy()
    opened[[14, 17, 152, 148, 377, 61, 291, 58, 288]] += (0, 30)
    np.testing.assert_array_equal(align.crop_from_landmarks(landmarks), align.crop_from_landmarks(opened))


def test_inverse_and_composition_round_trip_also_in_batches():
    a, b = _similarity(0.4, 1.7, (5, 6)), _similarity(-1.1, 0.3, (-2, 9))
    points = np.random.default_rng(2).uniform(-100, 100, (7, 2))
    back = align.apply_affine(align.invert_affine(a), align.apply_affine(a, points))
    np.testing.assert_allclose(back, points, atol=1e-10)
    both = align.apply_affine(align.compose(a, b), points)
    np.testing.assert_allclose(both, align.apply_affine(a, align.apply_affine(b, points)), atol=1e-10)
    stacked = align.apply_affine(np.stack([a, b]), np.stack([points, points]))
    np.testing.assert_allclose(stacked[1], align.apply_affine(b, points), atol=1e-10)
    np.testing.assert_allclose(align.apply_affine(a, points[0]), align.apply_affine(a, points)[0])
    np.testing.assert_allclose(align.invert_affine(np.stack([a, b]))[1], align.invert_affine(b), atol=1e-12)


def test_the_identity_and_whole_pixel_shifts_are_exact():
    image = np.random.default_rng(3).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    identity = np.array([[1.0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(align.warp_image(image, identity, (50, 40)), image)
    shift = np.array([[1.0, 0, -3], [0, 1, -5]])
    np.testing.assert_array_equal(align.warp_image(image, shift, (40, 30)), image[5:35, 3:43])


def test_pixel_centres_sit_at_one_half():
    """A picture whose value is x must still read A^-1(x) after any warp."""
    ramp = np.tile(np.arange(64, dtype=np.float32) + 0.5, (64, 1))
    for scale in (0.37, 0.5, 1.0, 1.9, 3.0):
        affine = np.array([[scale, 0, 2.3], [0, scale, 1.1]])
        out = align.warp_image(ramp, affine, (60, 60))
        expected = (np.arange(60) + 0.5 - 2.3) / scale
        inside = (expected > 2) & (expected < 62)
        np.testing.assert_allclose(out[10, inside], expected[inside], atol=0.04 / scale)


def test_halving_takes_the_mean_of_four_pixels():
    image = np.random.default_rng(4).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    half = align.warp_image(image.astype(np.float32), np.array([[0.5, 0, 0], [0, 0.5, 0]]), (16, 16))
    np.testing.assert_allclose(half, image.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3)), atol=1e-3)


def test_strong_shrinking_of_noise_gives_its_mean_and_no_flicker():
    noise = np.random.default_rng(5).integers(0, 256, (512, 512), dtype=np.uint8)
    views = [
        align.warp_image(noise, np.array([[0.1, 0, shift], [0, 0.1, 0]]), (51, 51)) for shift in (0, 0.03)
    ]
    assert views[0].std() < 12  # one sample a pixel would keep the noise's 74
    assert np.abs(views[0].astype(int) - views[1]).max() <= 12


def test_a_picture_survives_the_way_into_the_crop_and_back():
    image = _smooth(200, 240)
    crop_from_frame = align.scale_affine(_similarity(0.2, 1 / 180, (-0.05, -0.3)), 256)
    crop = align.warp_image(image, crop_from_frame, (256, 256), border="replicate")
    back = align.warp_image(crop, align.invert_affine(crop_from_frame), (240, 200))
    points = np.stack(np.meshgrid(np.arange(240) + 0.5, np.arange(200) + 0.5), -1).reshape(-1, 2)
    inside = align.apply_affine(crop_from_frame, points)
    inside = ((inside > 3) & (inside < 253)).all(axis=1).reshape(200, 240)
    assert inside.mean() > 0.3
    assert np.abs(image[inside].astype(int) - back[inside]).max() <= 3
