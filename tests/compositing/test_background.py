"""Another background behind a person: colours, light, sizes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segtalker.compositing.background import blurred, cover, light_gain, place, plain, separate

SIZE = (120, 90)
PERSON, OLD, NEW = (200, 150, 120), (20, 200, 40), (40, 60, 160)


def scene(softness: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """A person in front of a green wall, blended by a soft matte: the frame and the matte."""
    sharp = np.zeros((SIZE[1], SIZE[0]), np.float32)
    cv2.circle(sharp, (60, 50), 28, 1, -1)
    matte = cv2.GaussianBlur(sharp, (0, 0), softness) if softness else sharp
    matte[matte < 1 / 255], matte[matte > 254 / 255] = 0, 1
    blend = matte[..., None] * np.array(PERSON) + (1 - matte[..., None]) * np.array(OLD)
    return np.rint(blend).astype(np.uint8), matte


def test_a_background_of_no_strength_changes_no_bit():
    image, matte = scene()
    result = place(image, separate(image, matte), plain(NEW, SIZE), light=1.0, amount=0)
    assert np.array_equal(result, image) and result is not image


def test_pixels_of_the_person_are_kept_exactly_and_the_rest_is_the_new_background():
    image, matte = scene()
    image[matte >= 1] += np.random.default_rng(0).integers(0, 20, image[matte >= 1].shape).astype(np.uint8)
    result = place(image, separate(image, matte), plain(NEW, SIZE))
    assert np.array_equal(result[matte >= 1], image[matte >= 1])
    assert (result[matte <= 0] == NEW).all()


def test_the_old_background_leaves_no_halo():
    image, matte = scene()
    result = place(image, separate(image, matte), plain(NEW, SIZE)).astype(int)
    wanted = matte[..., None] * np.array(PERSON) + (1 - matte[..., None]) * np.array(NEW)
    naive = matte[..., None] * image + (1 - matte[..., None]) * np.array(NEW)
    edge = (matte > 0.1) & (matte < 0.9)
    assert np.abs(result - wanted)[edge].max() < 9 < 30 < np.abs(naive - wanted)[edge].max()


def test_half_the_strength_is_half_the_way():
    image, matte = scene()
    layers = separate(image, matte)
    half, whole = (place(image, layers, plain(NEW, SIZE), amount=amount) for amount in (0.5, 1.0))
    assert np.abs(half - (image.astype(float) + whole) / 2).max() <= 1


def test_the_light_follows_a_new_background_modestly_and_stays_in_an_old_one():
    image, matte = scene()
    layers = separate(image, matte)
    same = light_gain(layers, plain(OLD, SIZE), 1.0)
    blue = light_gain(layers, plain(NEW, SIZE), 1.0)
    assert np.allclose(same, 1, atol=0.01)
    assert blue[2] > 1.05 and blue[1] < 0.95 and (blue >= 0.75).all() and (blue <= 1.25).all()
    assert (light_gain(layers, plain((0, 0, 0), SIZE), 1.0) >= 0.75).all()
    assert (light_gain(layers, plain(NEW, SIZE), 0) == 1).all()
    everyone = separate(image, np.ones_like(matte))
    assert (light_gain(everyone, plain(NEW, SIZE), 1.0) == 1).all()


def test_nothing_of_the_person_bleeds_into_a_blur():
    image, matte = scene(softness=0)
    for deviation in (0.7, 3.0, 15.0):
        soft = blurred(image, separate(image, matte), deviation)
        assert np.abs(soft[matte <= 0] - OLD).max() < 1.5


def test_a_wide_blur_takes_detail_and_a_narrow_one_little():
    image, matte = scene()
    image[:, ::8] //= 2
    layers = separate(image, matte)
    stripes = [float(blurred(image, layers, deviation)[:12, :, 1].std()) for deviation in (0.7, 8.0)]
    assert stripes[0] > 15 and stripes[1] < 5


@pytest.mark.parametrize("size", [(60, 45), (300, 100), (100, 300), (121, 90), (120, 90), (7, 5)])
def test_a_picture_of_any_size_fills_the_frame_about_its_centre(size):
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[..., 0] = np.linspace(0, 250, size[0])[None]
    picture[..., 1] = np.linspace(0, 250, size[1])[:, None]
    filled = cover(picture, SIZE)
    assert filled.shape == (SIZE[1], SIZE[0], 3)
    middle = filled[SIZE[1] // 2 - 2 : SIZE[1] // 2 + 2, SIZE[0] // 2 - 2 : SIZE[0] // 2 + 2]
    assert np.abs(middle[..., :2].mean((0, 1)) - 125).max() < 12
    spans = [np.ptp(filled[45, :, 0]), np.ptp(filled[:, 60, 1])]
    assert max(spans) > 200  # one direction is shown whole
