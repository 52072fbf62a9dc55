"""InsightFace's pack behind our interfaces, with an app that is called as the package's own is."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from segtalker.errors import WeightsError
from segtalker.faces.align import apply_affine
from segtalker.faces.detect import FacesConfig, LiteRTFaces, load_backend
from segtalker.faces.identity import (
    SIZE,
    ArcFaceEmbedder,
    aligned_face,
    five_points,
    load_embedder,
)
from segtalker.faces.insight import InsightFaceFaces, PackEmbedder, find_pack
from segtalker.faces.mesh import EYE_L, EYE_R, LIP_IN, LIP_OUT, OVAL, mean_face, mirror_points
from segtalker.faces.points68 import _IN_MESH, MOUTH, NUM_POINTS, from_mesh
from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.types import Face
from segtalker.weights import store
from segtalker.weights.checkpoint import save_weights

TEMPLATE = [
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
]
FILES = ("det_10g.onnx", "1k3d68.onnx", "2d106det.onnx", "genderage.onnx", "w600k_r50.onnx")
BOX = np.array([185, 75, 265, 175], np.float32)


class Detector:
    """As SCRFD: boxes with scores, and five points each."""

    def __init__(self, found: int = 1) -> None:
        self.found = found

    def detect(self, img: np.ndarray, max_num: int = 0, metric: str = "default") -> tuple[Any, Any]:
        five = np.array([[200, 110], [245, 110], [222, 135], [205, 150], [240, 150]], np.float32)
        return np.tile([*BOX, 0.9], (self.found, 1)).astype(np.float32), np.tile(five, (self.found, 1, 1))


class Landmark:
    """As 1k3d68: reads the attribute `bbox`, writes items, answers in pixels counted from their centres."""

    taskname = "landmark_3d_68"

    def get(self, img: np.ndarray, face: Any) -> np.ndarray:
        self.seen, self.bbox = img, face.bbox
        corner = np.array([face.bbox[0], face.bbox[1], 0], np.float64)
        face[self.taskname] = corner + np.arange(68 * 3).reshape(68, 3)
        face["pose"] = np.zeros(3, np.float32)
        return face[self.taskname]


class Recognition:
    """As ArcFaceONNX: pictures of 112 px, BGR, to vectors of any length."""

    def get_feat(self, imgs: Any) -> np.ndarray:
        self.seen = imgs
        return np.full((1, 512), 3.0, np.float32)


class App:
    """As `insightface.app.FaceAnalysis`, of which it keeps how it was made."""

    def __init__(self, **made: Any) -> None:
        self.made = made
        self.det_model = Detector()
        self.models = {
            "detection": self.det_model,
            "recognition": Recognition(),
            "landmark_3d_68": Landmark(),
        }
        print("find model:", made)

    def prepare(self, ctx_id: int, det_thresh: float = 0.5, det_size: tuple[int, int] = (640, 640)) -> None:
        self.prepared = {"ctx_id": ctx_id, "det_thresh": det_thresh, "det_size": det_size}
        print("set det-size:", det_size)


def without_networks(app: App) -> InsightFaceFaces:
    """The backend without the mesh and the matte, whose files a machine may lack."""
    backend = object.__new__(InsightFaceFaces)
    backend.config, backend._app = FacesConfig(), app
    return backend


def face_at(scale: float = 143.0, angle: float = 0.0, shift: tuple[float, float] = (153.0, 48.0)) -> Face:
    """The mean face, by default in `BOX`."""
    c, s = np.cos(angle), np.sin(angle)
    affine = np.array([[scale * c, -scale * s, shift[0]], [scale * s, scale * c, shift[1]]])
    landmarks = apply_affine(affine, mean_face()[:, :2]).astype(np.float32)
    bbox = np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])
    return Face(bbox, 1.0, landmarks, np.zeros(468, np.float32))


def put_pack(folder: Path, leave_out: str = "") -> Path:
    folder.mkdir(parents=True)
    for name in FILES:
        if name != leave_out:
            (folder / name).write_bytes(b"onnx")
    return folder


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Where a pack may lie, all empty."""
    monkeypatch.setenv("INSIGHTFACE_HOME", str(tmp_path / "named"))
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    roots = {"named": "named", "cache": "cache/insightface", "home": "home/.insightface"}
    return {name: tmp_path / root / "models" / "buffalo_l" for name, root in roots.items()}


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package `insightface` whose `FaceAnalysis` is `App`."""
    module, inner = ModuleType("insightface"), ModuleType("insightface.app")
    module.__spec__ = inner.__spec__ = type(sys.__spec__)("insightface", None)
    inner.FaceAnalysis = App  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "insightface", module)
    monkeypatch.setitem(sys.modules, "insightface.app", inner)


def test_the_pack_is_found_where_it_is_named_then_in_the_cache_then_at_home(homes: dict[str, Path]):
    assert find_pack() is None
    for name in ("home", "cache", "named"):
        put_pack(homes[name])
        assert find_pack() == homes[name], name
    assert homes["cache"] == store.place_of("buffalo_l")


@pytest.mark.parametrize("name", ["det_10g.onnx", "1k3d68.onnx", "w600k_r50.onnx"])
def test_a_pack_that_lacks_a_file_is_none(homes: dict[str, Path], name: str):
    put_pack(homes["cache"], leave_out=name)
    assert find_pack() is None


def test_the_app_is_made_from_the_pack_in_the_cache_without_a_word(
    homes: dict[str, Path], package: None, capsys: pytest.CaptureFixture[str]
):
    put_pack(homes["cache"])
    app = PackEmbedder()._app
    assert Path(app.made["root"]) / "models" / app.made["name"] == homes["cache"]
    assert set(app.made["allowed_modules"]) == set(app.models)
    assert app.prepared == {"ctx_id": -1, "det_thresh": 0.5, "det_size": (640, 640)}
    assert capsys.readouterr().out == ""


def test_a_pack_without_its_package_is_no_pack_and_asked_for_says_what_is_missing(
    homes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    put_pack(homes["cache"])
    monkeypatch.setitem(sys.modules, "insightface", None)
    assert load_embedder() is None
    with pytest.raises(WeightsError, match=r"buffalo_l: the package.*pip install 'segtalker\[insightface\]'"):
        load_embedder("buffalo_l")


@pytest.mark.weights
def test_insightface_without_its_pack_says_what_to_do(backend: LiteRTFaces, monkeypatch):
    monkeypatch.setattr("segtalker.faces.insight.find_pack", lambda: None)
    with pytest.raises(WeightsError, match=r"buffalo_l.*non-commercial.*weights fetch buffalo_l.*litert"):
        load_backend(FacesConfig(backend="insightface"))
    assert type(load_backend(FacesConfig(backend="auto"))) is LiteRTFaces


@pytest.mark.weights
def test_its_faces_get_our_mesh(backend: LiteRTFaces, portrait: np.ndarray):
    (expected,) = backend.detect(portrait)
    found = InsightFaceFaces(app=App())
    (face,) = found.detect(portrait)
    width = float(expected.bbox[2] - expected.bbox[0])
    assert np.linalg.norm(face.landmarks - expected.landmarks, axis=1).mean() < 0.03 * width
    assert np.allclose(np.linalg.norm(found.embed(portrait, face)), 1)


def test_its_68_points_are_asked_for_in_the_detector_s_box_and_come_in_our_pixels():
    app, image = App(), np.zeros((300, 300, 3), np.uint8)
    image[..., 0] = 200  # red
    points = without_networks(app).landmarks68(image, face_at())
    landmark = app.models["landmark_3d_68"]
    assert np.array_equal(landmark.bbox, BOX)
    assert landmark.seen[0, 0].tolist() == [0, 0, 200] and landmark.seen.flags["C_CONTIGUOUS"]
    assert points.shape == (NUM_POINTS, 2) and points.dtype == np.float32
    np.testing.assert_allclose(points[:2], [[185.5, 76.5], [188.5, 79.5]])


@pytest.mark.parametrize("found", [0, 1])
def test_a_face_that_the_detector_does_not_find_is_framed_by_its_mesh(found: int):
    app, face = App(), face_at(shift=(-20.0, -20.0))  # far from the box of the detector
    app.det_model.found = found
    without_networks(app).landmarks68(np.zeros((300, 300, 3), np.uint8), face)
    assert np.array_equal(app.models["landmark_3d_68"].bbox, face.bbox)


def test_the_mesh_has_68_points_of_the_same_scheme():
    points = from_mesh(mean_face()[:, :2])
    assert points.shape == (NUM_POINTS, 2) and len(set(_IN_MESH)) == NUM_POINTS
    assert set(_IN_MESH[:17]) <= set(OVAL) and set(_IN_MESH[MOUTH]) <= {*LIP_OUT, *LIP_IN}
    assert set(_IN_MESH[36:42]) <= set(EYE_L) and set(_IN_MESH[42:48]) <= set(EYE_R)
    other_side = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1)]
    other_side += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    other_side += [*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65]
    assert mirror_points()[_IN_MESH].tolist() == _IN_MESH[other_side].tolist()
    assert (np.diff(points[:17, 0]) > 0)[1:15].all() and points[8, 1] == points[:, 1].max()


def test_five_points_land_on_the_template_however_the_head_is_turned():
    face = face_at(scale=300.0, angle=0.4, shift=(150.0, 40.0))
    image = np.zeros((420, 420, 3), np.uint8)
    crops = []
    for x, y in five_points(face.landmarks):
        lit = image.copy()
        lit[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 255
        crops.append(aligned_face(lit, face.landmarks).astype(float).sum(axis=2))
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for crop, wanted in zip(crops, TEMPLATE, strict=True):
        centre = (crop * columns).sum() / crop.sum(), (crop * rows).sum() / crop.sum()
        np.testing.assert_allclose(centre, wanted, atol=3)  # the mean face is nobody's template


def test_both_recognisers_see_one_picture_and_give_unit_vectors(homes: dict[str, Path]):
    torch.manual_seed(0)
    network = ArcFace(ArcFaceConfig(stem=4, widths=(4, 4, 4, 4), units=(1, 1, 1, 1))).eval()
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    face, app = face_at(), App()
    expected = aligned_face(image, face.landmarks)
    first = ArcFaceEmbedder(network).embed(image, face)
    second = PackEmbedder(app).embed(image, face)
    assert np.array_equal(app.models["recognition"].seen, expected[:, :, ::-1])
    with torch.no_grad():
        wanted = network(torch.from_numpy(expected).permute(2, 0, 1)[None] / 127.5 - 1)[0].numpy()
    np.testing.assert_allclose(first, wanted, atol=1e-6)
    for vector in (first, second):
        assert vector.shape == (512,) and vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_recogniser_is_what_this_machine_has_and_ir_se50_comes_first(homes: dict[str, Path], package: None):
    assert load_embedder() is None
    with pytest.raises(WeightsError, match=r"irse50.*weights fetch irse50"):
        load_embedder("irse50")
    put_pack(homes["home"])
    pack = load_embedder()
    assert pack is not None and pack.row == "buffalo_l"
    config = ArcFaceConfig(stem=4, widths=(4, 4, 4, 4), units=(1, 1, 1, 1))
    place = store.place_of("irse50")
    assert place is not None
    save_weights(ArcFace(config), config, place)
    ours = load_embedder()
    assert ours is not None and ours.row == "irse50"
