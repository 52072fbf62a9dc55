"""InsightFace as a detector: SCRFD finds the faces, the mesh and the matte stay those of `LiteRTFaces`.

It finds small and turned faces that BlazeFace misses, and gives an identity embedding. Its model pack is for
non-commercial research only and is never fetched: this backend exists where the user has put the pack.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtalker.errors import WeightsError
from segtalker.faces.blaze import Detection
from segtalker.faces.detect import FacesConfig, LiteRTFaces
from segtalker.faces.mesh import EYE_L, EYE_R, MOUTH_CORNERS, NOSE_TIP
from segtalker.types import Face, Image

PACK = "buffalo_l"
_FILES = ("det_10g.onnx", "w600k_r50.onnx")


def find_pack() -> Path | None:
    """Folder of the model pack in $INSIGHTFACE_HOME or ~/.insightface, or None."""
    root = Path(os.environ.get("INSIGHTFACE_HOME", "~/.insightface")).expanduser()
    folder = root / "models" / PACK
    return folder if all((folder / name).is_file() for name in _FILES) else None


class InsightFaceFaces(LiteRTFaces):
    """Faces found by InsightFace."""

    def __init__(self, config: FacesConfig | None = None, app: Any = None) -> None:
        """`app` is a prepared `insightface.app.FaceAnalysis`; by default one is made from the pack."""
        super().__init__(config)
        self._app = _load_app(self.config) if app is None else app

    def detect(self, image: Image, thorough: bool = True) -> list[Face]:
        """Every face, the best first; one look at 640 pixels, so `thorough` changes nothing."""
        boxes, points = self._app.det_model.detect(image[:, :, ::-1], max_num=self.config.max_faces)
        detections = [
            Detection(box[:4].astype(np.float64), five[:2].astype(np.float64), float(box[4]))
            for box, five in zip(boxes, points, strict=True)
        ]
        return self._meshes(image, detections)

    def embed(self, image: Image, face: Face) -> NDArray[np.float32]:
        """Identity embedding [512] of unit length."""
        from insightface.utils.face_align import norm_crop

        eyes = [face.landmarks[list(contour)].mean(axis=0) for contour in (EYE_L, EYE_R)]
        five = np.stack([*eyes, face.landmarks[NOSE_TIP], *face.landmarks[list(MOUTH_CORNERS)]])
        crop = norm_crop(np.ascontiguousarray(image[:, :, ::-1]), five)
        vector = self._app.models["recognition"].get_feat(crop).ravel().astype(np.float32)
        return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _load_app(config: FacesConfig) -> Any:
    pack = find_pack()
    if pack is None:
        raise WeightsError(
            f"faces.backend insightface: the model pack {PACK} is not in ~/.insightface/models. It is for "
            "non-commercial research only; read its terms, put it there, or use faces.backend=litert."
        )
    try:
        from insightface.app import FaceAnalysis
    except ImportError as error:
        raise WeightsError(
            "faces.backend insightface: the package is not installed. "
            "Run: pip install 'segtalker[insightface]'"
        ) from error
    app = FaceAnalysis(
        name=PACK,
        root=str(pack.parents[1]),
        allowed_modules=["detection", "recognition"],
        providers=["CPUExecutionProvider"],
    )
    app.prepare(ctx_id=-1, det_thresh=config.min_detection, det_size=(640, 640))
    return app
