"""A still portrait that blinks and moves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from segtalker.editing.lids import close_eyes
from segtalker.editing.spans import natural_closure
from segtalker.faces.mesh import EYE_L, EYE_R
from segtalker.faces.track import track_faces
from segtalker.portrait import PortraitConfig, PortraitSource, open_portrait
from segtalker.types import Frame, VideoInfo
from tests.dubbing import BACKGROUND, BlobFaces, blank_frame, draw_face, talking_frame

SIZE = (420, 360)


@pytest.fixture(scope="module")
def portrait() -> PortraitSource:
    return make_portrait()


def make_portrait(seed: int = 1, **settings) -> PortraitSource:
    image = talking_frame(0, SIZE, height=110)
    still = track_faces([Frame(0, Fraction(0), image)], BlobFaces())[0]
    info = VideoInfo(Path("portrait.png"), *SIZE, Fraction(25), 200, False, False, False)
    return PortraitSource(info, image, still, PortraitConfig(**settings), seed)


def frame(source: PortraitSource, index: int) -> np.ndarray:
    return next(source.read(index, index + 1)).image


def test_any_frame_is_the_same_alone_and_in_a_row(portrait):
    row = {item.index: item.image for item in portrait.read(58, 66)}
    assert np.array_equal(row[63], frame(portrait, 63))
    assert [item.time for item in portrait.read(10, 12)] == [Fraction(10, 25), Fraction(11, 25)]


def test_a_point_counts_in_pixels_of_the_picture_however_it_is_shrunk(tmp_path):
    image = blank_frame((900, 300), 90)
    image[:] = BACKGROUND
    for x in (150, 450, 750):
        draw_face(image, (x, 150), 150)
    cv2.imwrite(str(tmp_path / "three.png"), image[..., ::-1])
    cfg = PortraitConfig(max_side=450)
    source = open_portrait(tmp_path / "three.png", BlobFaces(), "point:740,150", Fraction(1), cfg, 1)
    assert abs(source.face[:, 0].mean() - 375) < 20


def test_another_seed_moves_otherwise():
    assert not np.array_equal(frame(make_portrait(1), 40), frame(make_portrait(2), 40))


def test_the_background_stays_and_the_head_moves_a_little(portrait):
    first, later = frame(portrait, 0).astype(int), frame(portrait, 60).astype(int)
    assert np.array_equal(first[:, :40], later[:, :40]) and np.array_equal(first[:, -40:], later[:, -40:])
    moved = np.linalg.norm(portrait.landmarks(60) - portrait.landmarks(0), axis=1)
    assert 0.05 < moved.mean() < 4.0


def test_without_motion_and_blinks_every_frame_is_the_picture():
    still = make_portrait(motion=0.0, blink=False)
    assert all(
        np.array_equal(frame(still, index), talking_frame(0, SIZE, height=110)) for index in (0, 70, 199)
    )


def test_landmarks_follow_the_pixels(portrait):
    index = max(range(30, 90), key=lambda i: abs(portrait.landmarks(i)[1] - portrait.landmarks(0)[1]).sum())
    found = BlobFaces().detect(frame(portrait, index))[0].landmarks
    expected = portrait.landmarks(index)
    assert np.abs(found.mean(0) - expected.mean(0)).max() < 0.7


def test_eyes_blink_about_fifteen_times_a_minute_and_open_again():
    closure = np.array([natural_closure(index / 25, seed=3) for index in range(25 * 60)])
    starts = ((closure[1:] > 0) & (closure[:-1] == 0)).sum()
    assert starts == 15 and closure.max() > 0.95
    assert (closure == 0).mean() > 0.85


def test_closing_the_eyes_changes_only_the_eyes(portrait):
    image = talking_frame(0, SIZE, height=110)
    landmarks = portrait.face
    for eye in (EYE_L, EYE_R):
        cv2.fillPoly(image, [np.rint(landmarks[list(eye)] - 0.5).astype(np.int32)], (250, 250, 250))
    closed = close_eyes(image, landmarks, 1.0)
    changed = np.argwhere((closed != image).any(-1))[:, ::-1]
    eyes = landmarks[[33, 133, 362, 263, 159, 145, 386, 374]]
    brow = landmarks[[105, 334]].min(0)
    assert len(changed)
    assert changed[:, 0].min() > eyes[:, 0].min() - 3 and changed[:, 0].max() < eyes[:, 0].max() + 3
    assert changed[:, 1].min() > brow[1] - 3 and changed[:, 1].max() < eyes[:, 1].max() + 3
    assert (closed == 250).all(-1).sum() < 0.2 * (image == 250).all(-1).sum()


def test_the_track_frames_every_face_alike(portrait):
    track = portrait.track()
    assert track.num_frames == portrait.info.num_frames == 200
    in_crop = [track.crop_from_frame[i, :, :2] @ track.landmarks[i, 1] for i in (0, 100)]
    in_crop = [point + track.crop_from_frame[i, :, 2] for point, i in zip(in_crop, (0, 100), strict=True)]
    assert np.abs(in_crop[0] - in_crop[1]).max() < 0.02
