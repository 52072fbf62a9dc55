"""Mattes of whole frames: soft edges, steady in time, the same whatever was asked for before."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from segtalker.compositing.looks import VIEW, Person, View, laid_together, views_of
from segtalker.compositing.matte import REACH, Mattes, refine, steady
from segtalker.extract import LocalCropParser
from segtalker.faces.detect import LiteRTFaces
from segtalker.parsing.parse import load_parser
from segtalker.types import FaceTrack, Frame
from tests.dubbing import real_portrait

WIDTH, HEIGHT = 192, 144


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    """[H, W] a filled circle with a smooth edge."""
    image = np.zeros((size[1], size[0]), np.uint8)
    at = (round(centre[0] * 16), round(centre[1] * 16))
    cv2.circle(image, at, round(radius * 16), 255, -1, cv2.LINE_AA, 4)
    return image.astype(np.float32) / 255


def frame(index: int, x: float = 96.0) -> Frame:
    """A bright disc on dark noise that is new in every frame."""
    truth = disc((WIDTH, HEIGHT), (x, 80), 40)[..., None]
    noise = np.random.default_rng(index).normal(0, 1.5, (HEIGHT, WIDTH, 3))
    image = truth * (200, 160, 130) + (1 - truth) * (30, 50, 90) + noise
    return Frame(index, Fraction(index, 25), np.clip(image, 0, 255).astype(np.uint8))


def wobbling(pictures: np.ndarray) -> np.ndarray:
    """A network that sees a bright disc, its edge displaced and blurred, otherwise in every frame."""
    answers = []
    for picture in pictures:
        bright = (picture[..., 0] > 110).astype(np.float32)
        reach = 1 + int(picture.astype(np.int64).sum() % 3)
        wide = cv2.dilate(bright, np.ones((2 * reach + 1,) * 2))
        answers.append(cv2.GaussianBlur(wide, (0, 0), 2.0))
    return np.stack(answers)


@pytest.fixture(scope="module")
def frames() -> dict[int, Frame]:
    return {index: frame(index) for index in range(12)}


def mattes_of(frames: dict[int, Frame], indices, tracks=()) -> dict[int, np.ndarray]:
    return Mattes(wobbling, len(frames), tracks).of(frames, indices)


def test_a_matte_is_exact_away_from_the_edge_and_follows_the_edge_of_the_picture(frames):
    matte = mattes_of(frames, [5])[5]
    truth = disc((WIDTH, HEIGHT), (96, 80), 40)
    coarse = cv2.resize(wobbling(cv2.resize(frames[5].image, (VIEW, VIEW))[None])[0], (WIDTH, HEIGHT))
    assert matte.shape == truth.shape and matte.min() == 0 and matte.max() == 1
    assert (matte[disc((WIDTH, HEIGHT), (96, 80), 33) == 1] == 1).all()
    assert (matte[disc((WIDTH, HEIGHT), (96, 80), 48) == 0] == 0).all()
    assert np.abs(matte - truth).mean() < 0.5 * np.abs(coarse - truth).mean()


def test_a_matte_does_not_depend_on_what_was_asked_for_before(frames):
    one_by_one = Mattes(wobbling, len(frames))
    steps = [one_by_one.of(frames, [index])[index] for index in range(12)]
    late = mattes_of({i: frames[i] for i in range(5, 12)} | dict.fromkeys(range(5), frames[0]), [7, 8, 9])
    for index, matte in late.items():
        assert np.array_equal(matte, steps[index])
    assert one_by_one.needed([7]) == set(range(7 - REACH, 8 + REACH)) and one_by_one.needed([0]) == {0, 1, 2}


def test_only_the_frames_of_the_latest_request_are_held_and_no_look_is_repeated(frames):
    seen = []

    def look(pictures: np.ndarray) -> np.ndarray:
        seen.append(len(pictures))
        return wobbling(pictures)

    mattes = Mattes(look, len(frames))
    for first in (0, 3, 6, 9):
        mattes.of(frames, range(first, first + 3))
    assert sum(seen) == 12 and len(mattes._seen) <= 3 + 2 * REACH


def test_a_still_edge_is_steadier_than_the_network_and_a_moving_one_does_not_trail(frames):
    still = np.stack(list(mattes_of(frames, range(12)).values()))
    coarse = np.stack([cv2.resize(wobbling(f.image[None])[0], (WIDTH, HEIGHT)) for f in frames.values()])
    assert np.abs(np.diff(still, axis=0)).mean() < 0.3 * np.abs(np.diff(coarse, axis=0)).mean()
    moving = {index: frame(index, 60 + 12.0 * index) for index in range(7)}
    matte = mattes_of(moving, [3])[3]
    assert np.abs(matte - disc((WIDTH, HEIGHT), (96, 80), 40)).mean() < 0.012


def test_frames_that_look_different_do_not_count():
    own = np.ones((20, 20), np.float32)
    here, there = np.full((20, 20, 3), 100, np.float32), np.full((20, 20, 3), 160, np.float32)
    assert np.allclose(steady(own, here, [(0 * own, there)]), 1)
    assert np.allclose(steady(own, here, [(0 * own, here)]), 0.5)


def test_small_holes_are_closed_and_small_islands_go():
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    coarse = disc((WIDTH, HEIGHT), (96, 72), 50)
    coarse[70:75, 90:95] = 0
    coarse[5:10, 5:10] = 1
    matte = refine(coarse, image)
    assert (matte[60:85, 80:105] == 1).all() and matte[:20, :20].max() == 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_frame_of_nothing_else_has_a_plain_matte(value):
    matte = refine(np.full((72, 96), value, np.float32), frame(0).image)
    assert (matte == value).all()


def track_of(side: float, centre: tuple[float, float], count: int = 3) -> FaceTrack:
    """A face whose crop has a side of some pixels."""
    crop_from_frame = np.array([[1, 0, side / 2 - centre[0]], [0, 1, side / 2 - centre[1]]]) / side
    zeros = np.zeros((count, 468, 2), np.float32)
    return FaceTrack(
        0, 0, zeros[:, :2].reshape(count, 4), np.ones(count), zeros, np.stack([crop_from_frame] * count),
        np.zeros(count),
    )  # fmt: skip


def test_small_people_and_small_heads_are_looked_at_from_nearer_and_large_ones_are_not():
    large, small, tiny = (Person.of(track_of(side, (100, 60))) for side in (60, 40, 20))
    whole = View((0, 0, WIDTH, HEIGHT))
    assert views_of([large], 0, (HEIGHT, WIDTH)) == [whole]
    assert views_of([small], 0, (HEIGHT, WIDTH)) == [whole, View((60, 20, 140, 100), (60, 20), 80, 0.85)]
    person, head = View((55, 37, 145, 127), (55, 37), 90), View((80, 40, 120, 80), (80, 40), 40, 0.85)
    assert views_of([tiny], 0, (HEIGHT, WIDTH)) == [whole, person, head]
    assert views_of([tiny], 3, (HEIGHT, WIDTH)) == [whole]  # the track has ended


def test_a_nearer_look_rules_about_its_head_and_fades_before_its_border():
    views = [View((0, 0, WIDTH, HEIGHT)), View((40, 0, 100, 55), (40.0, -5.0), 60.0, 0.85)]
    answers = iter([np.zeros((VIEW, VIEW), np.float32), np.ones((VIEW, VIEW), np.float32)])
    matte = laid_together(answers, views, (WIDTH, HEIGHT))
    assert (matte[5:36, 50:90] == 1).all() and matte[0, 70] > 0.5  # the frame cuts the head off
    assert matte[46:].max() == 0 and matte[:, :40].max() == 0 and matte[:, 100:].max() == 0
    assert 0 < matte[20, 42] < matte[20, 46] < 1


def test_the_real_network_keeps_clothes_and_hair_and_lets_the_background_go(tmp_path):
    image = cv2.imread(str(real_portrait(tmp_path / "portrait.png")))[..., ::-1]
    parser = LocalCropParser(LiteRTFaces(), load_parser())
    matte = Mattes(parser.mattes, 1).of({0: Frame(0, Fraction(0), image)}, [0])[0]
    face, hair, suit, glove = (
        matte[95:150, 200:245],
        matte[45:60, 195:250],
        matte[250:480, 120:220],
        matte[502, 150],
    )
    assert all((part == 1).all() for part in (face, hair, suit, glove))
    assert matte[:200, 320:].max() == 0 and matte[:140, :140].max() == 0  # rocket and flag
    edge = matte[20:110, 140:310]
    assert 0.01 < np.mean((edge > 0) & (edge < 1)) < 0.2  # hair is soft, but no haze
