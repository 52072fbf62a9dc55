"""InsightFace's pack: SCRFD finds faces, 1k3d68 puts 68 points on them, ArcFace tells whose they are.

It finds small and turned faces that BlazeFace misses; the mesh and the matte stay those of `LiteRTFaces`. The
pack is for non-commercial research only: it is used where the user has fetched it and asks for it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtalker.errors import WeightsError
from segtalker.faces.blaze import Detection, iou
from segtalker.faces.detect import FacesConfig, LiteRTFaces
from segtalker.faces.identity import aligned_face
from segtalker.types import Face, Image, Points
from segtalker.weights.registry import rows_of
from segtalker.weights.remedies import remedy
from segtalker.weights.store import path_of

PACK = "buffalo_l"
"""Its name in the registry, and with its publisher."""
_ROW = rows_of(PACK)[0]
_FILES = ("det_10g.onnx", "w600k_r50.onnx", "1k3d68.onnx")
_TASKS = ("detection", "recognition", "landmark_3d_68")
_SAME_FACE = 0.3  # overlap of the detector's box and that of the mesh, which has less forehead


def find_pack() -> Path | None:
    """Folder of the model pack: in $INSIGHTFACE_HOME, in the weights cache or in ~/.insightface; or None."""
    homes = (os.environ.get("INSIGHTFACE_HOME"), path_of(_ROW).parents[1], "~/.insightface")
    folders = [Path(home).expanduser() / "models" / PACK for home in homes if home]
    # Not Path.is_file, which raises for a file in a folder that may not be read.
    whole = (folder for folder in folders if all(os.path.isfile(folder / name) for name in _FILES))
    return next(whole, None)


def usable_pack() -> Path | None:
    """`find_pack`, where the package that runs it is installed too."""
    return find_pack() if importlib.util.find_spec("insightface") else None


class PackEmbedder:
    """The pack's recogniser (ArcFace, ResNet-50); see `identity.Embedder`."""

    row = PACK

    def __init__(self, app: Any = None) -> None:
        """`app` is a prepared `insightface.app.FaceAnalysis`; by default one is made from the pack."""
        self._app = _load_app(FacesConfig()) if app is None else app

    def embed(self, image: Image, face: Face) -> NDArray[np.float32]:
        """Identity embedding [512] of unit length."""
        crop = np.ascontiguousarray(aligned_face(image, face.landmarks)[:, :, ::-1])
        vector = self._app.models["recognition"].get_feat(crop).ravel().astype(np.float32)
        return vector / max(float(np.linalg.norm(vector)), 1e-9)


class InsightFaceFaces(LiteRTFaces):
    """Faces found by InsightFace."""

    def __init__(self, config: FacesConfig | None = None, app: Any = None) -> None:
        """`app`: as for `PackEmbedder`."""
        super().__init__(config)
        self._app = _load_app(self.config) if app is None else app
        self.embed = PackEmbedder(self._app).embed

    def detect(self, image: Image, thorough: bool = True) -> list[Face]:
        """Every face, the best first; one look at 640 pixels, so `thorough` changes nothing."""
        boxes, points = self._boxes(image)
        detections = [
            Detection(box[:4].astype(np.float64), five[:2].astype(np.float64), float(box[4]))
            for box, five in zip(boxes, points, strict=True)
        ]
        return self._meshes(image, detections)

    def landmarks68(self, image: Image, face: Face) -> Points:
        """By 1k3d68, in the detector's box as it was trained; in that of the mesh where none is found."""
        boxes = self._boxes(image)[0][:, :4]
        overlaps = iou(face.bbox, boxes) if len(boxes) else np.zeros(1)
        seen = float(overlaps.max()) > _SAME_FACE
        asked = _PackFace(boxes[int(overlaps.argmax())] if seen else face.bbox)
        found = self._app.models["landmark_3d_68"].get(_bgr(image), asked)
        return found[:, :2].astype(np.float32) + np.float32(0.5)  # OpenCV counts pixels from their centres

    def _boxes(self, image: Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes with scores [N, 5] and five points each [N, 5, 2]."""
        return self._app.det_model.detect(_bgr(image), max_num=self.config.max_faces)


class _PackFace(dict):
    """What the pack's networks are asked about: they read attributes and write items."""

    def __init__(self, bbox: NDArray[np.float32]) -> None:
        super().__init__()
        self.bbox = bbox


def _bgr(image: Image) -> Image:
    return np.ascontiguousarray(image[:, :, ::-1])


def _load_app(config: FacesConfig) -> Any:
    pack = find_pack()
    if pack is None:
        raise WeightsError(
            f"InsightFace's model pack {PACK} is neither in the weights cache nor in $INSIGHTFACE_HOME or "
            f"~/.insightface. {remedy(_ROW)}. Or do without: faces.backend=litert."
        )
    try:
        from insightface.app import FaceAnalysis
    except ImportError as error:
        raise WeightsError(
            f"{pack}: the package that runs it is not installed. Run: pip install 'segtalker[insightface]'"
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):  # it prints a line for each file
        app = FaceAnalysis(
            name=PACK,
            root=str(pack.parents[1]),
            allowed_modules=list(_TASKS),
            providers=["CPUExecutionProvider"],
        )
        app.prepare(ctx_id=-1, det_thresh=config.min_detection, det_size=(640, 640))
    return app
