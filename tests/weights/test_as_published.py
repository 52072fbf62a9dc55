"""Files that are used as they are published: brought in under any name, each runs through our interface.

MediaPipe's networks are the real ones, where they were fetched: they must see what is in a portrait, and two
runtimes must agree on their numbers. InsightFace's pack, for research only, is not: here it is an archive of
its names, and a stand-in for the package that runs it. That shows that names, place and calls fit; it says
nothing about the pack's numbers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segtalker.cli import main
from segtalker.errors import WeightsError
from segtalker.faces.align import warp_image
from segtalker.faces.detect import LiteRTFaces
from segtalker.faces.identity import load_embedder
from segtalker.faces.insight import PackEmbedder, find_pack
from segtalker.faces.mesh import EYE_L, mouth_opening
from segtalker.faces.runner import load_network
from segtalker.types import Face, Image
from segtalker.weights import registry, store
from segtalker.weights.registry import ROWS, rows_of
from tests.faces.conftest import portrait  # noqa: F401 - a fixture
from tests.faces.test_insight import FILES, App, face_at, package  # noqa: F401 - a fixture, too

BOX = (179, 69, 273, 177)
"""The face in the portrait, px."""
PACK = "buffalo_l"
Check = Callable[[Image], None]


def finds_the_face(image: Image) -> None:
    (face,) = LiteRTFaces().detect(image)
    np.testing.assert_allclose(face.bbox, BOX, atol=6)


def puts_its_points_on_it(image: Image) -> None:
    (face,) = LiteRTFaces().detect(image)
    assert face.landmarks.shape == (468, 2) and 0.1 < mouth_opening(face.landmarks) < 0.5  # a smile


def tells_her_from_the_background(image: Image) -> None:
    matte = LiteRTFaces().matte(image)
    left, top, right, bottom = BOX
    assert matte.shape == image.shape[:2] and matte[:20, :20].max() < 0.1
    assert matte[top + 20 : bottom, left + 20 : right - 20].min() > 0.9


def looks_her_in_the_eye(image: Image) -> None:
    """Nothing of ours reads it yet, so that it gets its 64 px here as MediaPipe cuts them."""
    (face,) = LiteRTFaces().detect(image)
    view, eye = eye_of(image, face)
    answer = load_network(store.locate("iris_landmark"))(view.astype(np.float32) / 255)
    iris = answer["output_iris"].reshape(5, 3)[:, :2]
    assert np.abs(iris[0] - eye.mean(axis=0)).max() < 3
    assert 0.3 < np.ptp(iris[1:, 0]) / np.ptp(eye[:, 0]) < 0.55


def eye_of(image: Image, face: Face) -> tuple[Image, np.ndarray]:
    """The eye that is on the left, 2.3 times as wide as it [64, 64, 3], and its contour there [N, 2]."""
    contour = face.landmarks[list(EYE_L)]
    scale = 64 / (2.3 * np.ptp(contour[:, 0]))
    shift = 32 - scale * contour.mean(axis=0)
    return warp_image(image, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), (64, 64)), (
        contour * scale + shift
    )


MEDIAPIPE: dict[str, Check] = {
    "face_detection_short_range": finds_the_face,
    "face_landmark": puts_its_points_on_it,
    "iris_landmark": looks_her_in_the_eye,
    "selfie_segmentation": tells_her_from_the_background,
}
INPUTS = {
    "face_detection_short_range": (128, -1.0),
    "face_landmark": (192, 0.0),
    "iris_landmark": (64, 0.0),
    "selfie_segmentation": (256, 0.0),
}
"""Side of the picture that a network takes, px, and what black is there; white is 1."""


@pytest.fixture
def fetched() -> dict[str, Path]:
    """MediaPipe's files that this machine has."""
    try:
        return {row: store.locate(row) for row in MEDIAPIPE}
    except WeightsError as error:
        pytest.fail(str(error)) if os.environ.get("CI") else pytest.skip(str(error))


@pytest.fixture
def homeless(fetched: dict[str, Path], cache: Path) -> dict[str, Path]:
    """These files under names of their own, which an empty cache has not seen yet."""
    places = {row: cache.parent / f"{number}.bin" for number, row in enumerate(fetched)}
    for row, path in places.items():
        shutil.copyfile(fetched[row], path)
    return places


def test_every_row_that_is_used_as_published_has_its_test():
    assert {row.name for row in ROWS if row.network is None} == {*MEDIAPIPE, PACK}


@pytest.mark.weights
@pytest.mark.parametrize("row", MEDIAPIPE)
def test_a_file_of_mediapipe(row: str, homeless: dict[str, Path], portrait: Image):  # noqa: F811
    """The benchmark `weights` counts the rows of this test."""
    for path in homeless.values():
        assert main(["weights", "import", str(path)]) == 0
    assert store.locate(row).read_bytes() == homeless[row].read_bytes()
    assert store.examine(rows_of(row)[0]).state == "ready"
    MEDIAPIPE[row](portrait)


@pytest.mark.weights
@pytest.mark.parametrize("row", MEDIAPIPE)
@pytest.mark.skipif(not importlib.util.find_spec("ai_edge_litert"), reason="LiteRT is not installed")
def test_two_runtimes_agree_on_what_a_file_of_mediapipe_says(
    row: str,
    fetched: dict[str, Path],
    portrait: Image,  # noqa: F811
):
    side, black = INPUTS[row]
    view = warp_image(portrait[60:190, 160:290], np.eye(2, 3) * side / 130, (side, side))
    shown = (black + (1 - black) * view.astype(np.float32) / 255).astype(np.float32)
    one, other = (load_network(fetched[row], runtime)(shown) for runtime in ("litert", "opencv"))
    assert one.keys() == other.keys()
    for name, values in one.items():
        scale = max(1.0, float(np.abs(values).max()))
        np.testing.assert_allclose(other[name].ravel() / scale, values.ravel() / scale, atol=1e-4)


@pytest.mark.usefixtures("cache", "package")
@pytest.mark.parametrize("row", [PACK])
def test_a_pack_of_insightface(row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The benchmark `weights` counts the rows of this test."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("INSIGHTFACE_HOME", raising=False)
    list_as_published(pack_of(tmp_path / "any.zip"), row, monkeypatch)
    assert find_pack() is None and main(["weights", "import", str(tmp_path / "any.zip")]) == 0
    place = store.locate(row)
    assert find_pack() == place and {*FILES} < {path.name for path in place.iterdir()}
    embedder = load_embedder()
    assert isinstance(embedder, PackEmbedder) and embedder.row == row
    app = embedder._app
    assert isinstance(app, App) and Path(app.made["root"]) / "models" / app.made["name"] == place
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    vector = embedder.embed(image, face_at())
    assert vector.shape == (512,) and np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert app.models["recognition"].seen.shape == (112, 112, 3)


def pack_of(path: Path) -> Path:
    """An archive of the names in InsightFace's."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in FILES:
            archive.writestr(name, b"onnx")
    return path


def list_as_published(path: Path, name: str, patch: pytest.MonkeyPatch) -> None:
    """For one test, take a file for the one that a row knows."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    rows = [replace(r, source=replace(r.source, sha256=digest)) if r.name == name else r for r in ROWS]
    patch.setattr(registry, "ROWS", rows)
    patch.setattr(store, "ROWS", rows)
