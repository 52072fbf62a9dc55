from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from segtalker.faces.align import apply_affine
from segtalker.faces.mesh import mean_face
from segtalker.faces.smooth import smooth, smooth_similarities
from segtalker.faces.track import TrackConfig, track_faces, yaw_of
from segtalker.types import Face, Frame

SIDE = 100.0


def _face(x: float, y: float = 60.0, side: float = SIDE) -> Face:
    mesh = mean_face().astype(np.float64) * side
    points = (mesh[:, :2] + (x, y)).astype(np.float32)
    low, high = points.min(axis=0), points.max(axis=0)
    return Face(np.concatenate([low, high]), 0.9, points, mesh[:, 2].astype(np.float32))


class Scene:
    """A backend that reads faces from a script, frame -> positions; a frame's first pixel is its number."""

    def __init__(self, script: list[list[float]]) -> None:
        self.script, self.detections = script, 0

    def _at(self, image: np.ndarray) -> list[Face]:
        return [_face(x) for x in self.script[int(image[0, 0, 0]) * 256 + int(image[0, 0, 1])]]

    def detect(self, image: np.ndarray, thorough: bool = True) -> list[Face]:
        self.detections += 1
        return self._at(image)

    def follow(self, image: np.ndarray, previous: Face) -> Face | None:
        near = [f for f in self._at(image) if abs(f.bbox[0] - previous.bbox[0]) < 15]
        return near[0] if near else None

    def matte(self, image: np.ndarray) -> np.ndarray:
        return np.ones(image.shape[:2], np.float32)

    def frames(self, looks: list[np.ndarray] | None = None) -> list[Frame]:
        frames = []
        for i in range(len(self.script)):
            image = np.full((64, 64, 3), 128, np.uint8) if looks is None else looks[i].copy()
            image[0, 0] = (i // 256, i % 256, 0)
            frames.append(Frame(i, Fraction(i, 25), image))
        return frames


def _texture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


def test_a_steady_face_is_one_track_and_detected_rarely():
    scene = Scene([[100.0 + t] for t in range(50)])
    seen: list[int] = []
    (track,) = track_faces(scene.frames(), scene, on_frame=seen.append)
    assert (track.track_id, track.start, track.num_frames, track.stop) == (0, 0, 50, 50)
    assert scene.detections == 5  # frames 0, 12, 24, 36, 48
    assert seen == list(range(50))
    expected = np.stack([_face(100.0 + t).landmarks for t in range(50)])
    np.testing.assert_allclose(track.landmarks, expected, atol=1e-2)  # a steady motion is not changed
    unit = apply_affine(track.crop_from_frame[20], track.landmarks[20])
    np.testing.assert_allclose(unit, mean_face()[:, :2], atol=1e-3)
    np.testing.assert_allclose(track.yaw, 0, atol=1e-2)


def test_two_faces_keep_their_ids_and_a_newcomer_gets_its_own():
    scene = Scene([[100.0, 400.0] + ([700.0] if t >= 10 else []) for t in range(30)])
    tracks = track_faces(scene.frames(), scene)
    assert [t.track_id for t in tracks] == [0, 1, 2]
    assert [t.start for t in tracks] == [0, 0, 12]  # the next look after frame 10
    assert [round(float(t.bboxes[:, 0].mean()), -2) for t in tracks] == [100, 400, 700]


def test_a_short_gap_is_bridged_with_score_zero():
    scene = Scene([[100.0 + 2 * t] if not 10 <= t < 14 else [] for t in range(30)])
    (track,) = track_faces(scene.frames(), scene)
    assert track.num_frames == 30
    np.testing.assert_array_equal(np.flatnonzero(track.scores == 0), [10, 11, 12, 13])
    np.testing.assert_allclose(track.bboxes[12, 0], _face(124.0).bbox[0], atol=0.5)


def test_a_long_gap_ends_the_track():
    scene = Scene([[100.0] if not 10 <= t < 25 else [] for t in range(40)])
    tracks = track_faces(scene.frames(), scene)
    assert [(t.start, t.stop) for t in tracks] == [(0, 10), (25, 40)]
    assert all((t.scores > 0).all() for t in tracks)


def test_a_hard_cut_ends_every_track_even_if_the_next_face_is_in_the_same_place():
    scene = Scene([[100.0]] * 30)
    tracks = track_faces(scene.frames([_texture(0 if t < 13 else 1) for t in range(30)]), scene)
    assert [(t.start, t.stop) for t in tracks] == [(0, 13), (13, 30)]


def test_twenty_black_frames_in_the_middle_pass_and_nothing_shifts():
    scene = Scene([[100.0 + t] if not 20 <= t < 40 else [] for t in range(60)])
    black = np.zeros((64, 64, 3), np.uint8)
    tracks = track_faces(scene.frames([black if 20 <= t < 40 else _texture(0) for t in range(60)]), scene)
    assert [(t.start, t.stop) for t in tracks] == [(0, 20), (40, 60)]
    np.testing.assert_allclose(tracks[1].bboxes[0, 0], _face(140.0).bbox[0], atol=0.1)


def test_a_flash_and_a_moving_picture_are_no_cuts():
    texture = _texture(0)
    flash = np.clip(texture.astype(int) + 90, 0, 255).astype(np.uint8)
    looks = [texture if t != 8 else flash for t in range(16)]
    scene = Scene([[100.0]] * 16)
    assert len(track_faces(scene.frames(looks), scene)) == 1
    slow = [np.roll(texture, t, axis=1) for t in range(16)]
    assert len(track_faces(scene.frames(slow), scene)) == 1


def test_a_face_seen_in_two_frames_of_many_is_dropped_but_a_still_image_is_kept():
    scene = Scene([[100.0] if t in (5, 6) else [] for t in range(30)])
    assert track_faces(scene.frames(), scene) == []
    single = Scene([[100.0]])
    (track,) = track_faces(single.frames(), single)
    assert track.num_frames == 1 and track.scores[0] == pytest.approx(0.9)


def test_no_face_and_no_frames_give_no_track():
    empty = Scene([[]] * 20)
    assert track_faces(empty.frames(), empty) == []
    assert track_faces([], empty) == []


def test_yaw_follows_a_turned_head():
    for degrees in (-35.0, 20.0):
        mesh = (mean_face().astype(np.float64) - (0.5, 0.6, 0.1)) * 200
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        x, z = c * mesh[:, 0] - s * mesh[:, 2], s * mesh[:, 0] + c * mesh[:, 2]
        points = np.stack([x, mesh[:, 1]], axis=1).astype(np.float32)
        assert yaw_of(points, z.astype(np.float32)) == pytest.approx(degrees, abs=1)
        assert np.sign(points[1, 0]) == np.sign(degrees)  # positive looks to the right of the picture


def test_smoothing_has_no_lag_and_keeps_lines():
    line = np.linspace(0, 5, 40)[:, None] * np.ones((1, 3))
    np.testing.assert_allclose(smooth(line, 3.0), line, atol=1e-9)
    pulse = np.zeros(41)
    pulse[20] = 1
    smoothed = smooth(pulse, 2.0)
    np.testing.assert_allclose(smoothed, smoothed[::-1], atol=1e-12)
    assert smoothed.argmax() == 20 and smoothed.sum() == pytest.approx(1)
    np.testing.assert_array_equal(smooth(pulse[:1], 2.0), pulse[:1])


def test_a_jittering_crop_becomes_steady_and_stays_a_similarity():
    rng = np.random.default_rng(0)
    truth = np.array([[0.01, 0, -0.3], [0, 0.01, -0.2]])
    shaken = truth + rng.normal(0, 1, (80, 1, 1)) * [[0, 0, 0.01], [0, 0, 0.01]]
    steady = smooth_similarities(shaken, 3.0)
    assert steady[10:-10, 0, 2].std() < 0.5 * shaken[10:-10, 0, 2].std()
    np.testing.assert_allclose(steady[:, 0, 0], steady[:, 1, 1])
    np.testing.assert_allclose(steady[:, 0, 1], -steady[:, 1, 0])


def test_a_mouth_that_closes_for_one_frame_still_closes_after_smoothing():
    class Talking(Scene):
        def _at(self, image: np.ndarray) -> list[Face]:
            (face,) = super()._at(image)
            points = face.landmarks.copy()
            points[14, 1] += 0 if image[0, 0, 1] == 15 else 10
            return [replace(face, landmarks=points)]

    scene = Talking([[100.0]] * 30)
    (track,) = track_faces(scene.frames(), scene, TrackConfig())
    gap = track.landmarks[:, 14, 1] - track.landmarks[:, 13, 1]
    assert gap.argmin() == 15 and gap[15] < 2.5 and gap[13] > 9.5
