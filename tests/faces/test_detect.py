from __future__ import annotations

import importlib.util

import cv2
import numpy as np
import pytest

from segtalker.errors import ConfigError
from segtalker.faces.align import apply_affine, warp_image
from segtalker.faces.detect import FacesConfig, LiteRTFaces
from segtalker.faces.mesh import EYE_CORNERS, mouth_opening
from segtalker.faces.track import yaw_of

pytestmark = pytest.mark.weights


def _width(face) -> float:
    return float(face.bbox[2] - face.bbox[0])


def test_a_portrait_has_one_face_where_it_is(backend, portrait):
    (face,) = backend.detect(portrait)
    assert face.score > 0.9
    np.testing.assert_allclose(face.bbox, [179, 69, 273, 177], atol=6)
    assert face.landmarks.shape == (468, 2) and face.depth.shape == (468,)
    assert face.depth[1] == pytest.approx(face.depth.min(), abs=3)
    assert 0.1 < mouth_opening(face.landmarks) < 0.5  # a smile with teeth
    assert abs(yaw_of(face.landmarks, face.depth)) < 12


def test_the_mesh_agrees_with_a_plain_run_of_the_recipe(backend, portrait):
    """Detector, rotated square, mesh, twice: in plain steps with OpenCV's runtime and no shared geometry."""
    from segtalker.faces.runner import OpenCVNetwork
    from segtalker.weights.store import locate

    detector = OpenCVNetwork(locate("face_detection_short_range"))
    mesh = OpenCVNetwork(locate("face_landmark"))
    small = cv2.resize(portrait, (128, 128), interpolation=cv2.INTER_AREA)
    answer = detector(small.astype(np.float32) / 127.5 - 1)
    k = int(answer["classificators"].reshape(-1).argmax())
    cells, repeats, offset = (16, 2, 0) if k < 512 else (8, 6, 512)
    row, column = divmod((k - offset) // repeats, cells)
    anchor = np.array([(column + 0.5) / cells, (row + 0.5) / cells])
    r = answer["regressors"].reshape(896, 16)[k] / 128
    centre, extent = (anchor + r[:2]) * 512, max(r[2], r[3]) * 512
    eyes = (anchor + r[4:8].reshape(2, 2)) * 512
    for _ in range(2):
        angle = np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1]))
        side = 1.5 * extent
        affine = cv2.getRotationMatrix2D(tuple(map(float, centre)), angle, 192 / side)
        affine[:, 2] += 96 - centre
        view = cv2.warpAffine(portrait, affine, (192, 192))
        points = mesh(view.astype(np.float32) / 255)["conv2d_21"].reshape(468, 3)[:, :2]
        points = points @ np.linalg.inv(affine[:, :2]).T - np.linalg.inv(affine[:, :2]) @ affine[:, 2]
        eyes = points[[33, 263]]
        angle = np.arctan2(*(eyes[1] - eyes[0])[::-1])
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        low, high = (points @ turn.T).min(axis=0), (points @ turn.T).max(axis=0)
        centre, extent = turn.T @ ((low + high) / 2), (high - low).max()
    (face,) = backend.detect(portrait)
    error = np.linalg.norm(face.landmarks - points, axis=1)
    assert error.mean() < 0.012 * _width(face)


@pytest.mark.skipif(not importlib.util.find_spec("mediapipe"), reason="the oracle mediapipe is not installed")
def test_the_mesh_agrees_with_mediapipe_itself(backend, portrait):
    import mediapipe

    with mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True) as oracle:
        points = oracle.process(portrait).multi_face_landmarks[0].landmark
    expected = np.array([(p.x * 512, p.y * 512) for p in points])[:468]
    (face,) = backend.detect(portrait)
    assert np.linalg.norm(face.landmarks - expected, axis=1).mean() < 0.015 * _width(face)


def test_both_runtimes_give_the_same_mesh(backend, portrait):
    other = LiteRTFaces(FacesConfig(runtime="opencv"))
    (a,), (b,) = backend.detect(portrait), other.detect(portrait)
    np.testing.assert_allclose(a.landmarks, b.landmarks, atol=0.05)
    np.testing.assert_allclose(backend.matte(portrait), other.matte(portrait), atol=2e-3)


@pytest.mark.parametrize("angle", [-40, 25])
def test_a_tilted_head_gets_the_same_mesh_tilted(backend, portrait, angle):
    (face,) = backend.detect(portrait)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    middle = face.landmarks.mean(axis=0)
    affine = np.array([[c, -s, 0], [s, c, 0]])
    affine[:, 2] = (256, 256) - affine[:, :2] @ middle
    tilted = backend.detect(warp_image(portrait, affine, (512, 512), "reflect"))[0]
    expected = apply_affine(affine, face.landmarks)
    assert np.linalg.norm(tilted.landmarks - expected, axis=1).mean() < 0.025 * _width(face)


def test_two_faces_are_found_apart(backend, portrait):
    pair = np.concatenate([portrait[:400, 40:440], portrait[:400, 40:440][:, ::-1]], axis=1)
    faces = sorted(backend.detect(pair), key=lambda f: f.bbox[0])
    assert len(faces) == 2
    assert faces[0].bbox[2] < 400 < faces[1].bbox[0]


@pytest.mark.parametrize("size", [40, 60])
def test_a_tiny_face_in_a_large_frame_is_found_by_the_thorough_search(backend, portrait, size):
    frame = np.full((720, 1280, 3), 90, np.uint8)
    small = cv2.resize(portrait, None, fx=size / 93, fy=size / 93, interpolation=cv2.INTER_AREA)
    frame[200 : 200 + small.shape[0], 800 : 800 + small.shape[1]] = small
    (face,) = backend.detect(frame)
    assert abs(_width(face) - size) < 0.15 * size
    assert abs(face.bbox[0] - (800 + 179 * size / 93)) < 0.15 * size


def test_pictures_without_a_face_have_none(backend):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    for image in (
        np.zeros((144, 176, 3), np.uint8),
        np.full((90, 2000, 3), 255, np.uint8),
        noise,
        noise[:3, :2],
    ):
        assert backend.detect(image) == []
        matte = backend.matte(image)
        assert matte.shape == image.shape[:2] and 0 <= matte.min() <= matte.max() <= 1


def test_following_agrees_with_detecting_and_gives_up_on_an_empty_frame(backend, portrait):
    (face,) = backend.detect(portrait)
    moved = warp_image(portrait, np.array([[1.0, 0, 7], [0, 1, -5]]), (512, 512), "replicate")
    followed = backend.follow(moved, face)
    assert followed is not None
    error = np.linalg.norm(followed.landmarks - face.landmarks - (7, -5), axis=1)
    assert error.mean() < 0.02 * _width(face)
    assert backend.follow(np.zeros_like(portrait), face) is None


def test_the_matte_holds_the_face_and_not_the_corner(backend, portrait):
    (face,) = backend.detect(portrait)
    matte = backend.matte(portrait)
    x, y = face.landmarks[list(EYE_CORNERS)].mean(axis=0).astype(int)
    assert matte[y, x] > 0.9 and matte[5, 505] < 0.5


def test_a_wrong_threshold_is_refused():
    with pytest.raises(ValueError, match="min_score"):
        FacesConfig(min_score=1.5)
    assert ConfigError.exit_code == 2
