"""Faces in one image, behind one small interface.

`LiteRTFaces` works offline: BlazeFace finds faces, a mesh network puts 468 points on each (run twice: the
second look is framed by the first), and a third network separates the person from the background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from segtalker.errors import ConfigError
from segtalker.faces import blaze
from segtalker.faces.align import affine_scale, apply_affine, invert_affine, warp_image
from segtalker.faces.blaze import Detection
from segtalker.faces.mesh import EYE_CORNERS, NUM_POINTS
from segtalker.faces.points68 import from_mesh
from segtalker.faces.runner import Runtime, load_network
from segtalker.types import Affine, Face, Image, Points

_MESH_SIZE = 192
_MATTE_SIZE = 256
_ROI_PER_BOX = 1.5  # the mesh network wants this much room around a face


@dataclass(frozen=True)
class FacesConfig:
    """Knobs of face detection."""

    backend: Literal["auto", "litert", "insightface"] = "litert"
    """`auto` takes insightface where it is installed with its model pack (non-commercial research only)."""
    runtime: Runtime = "auto"
    """What runs the networks of `litert`: LiteRT, or OpenCV where that is absent."""
    threads: int = 1
    min_detection: float = 0.5
    """The detector's confidence, 0..1."""
    min_score: float = 0.5
    """The mesh network's confidence that it sees a face, 0..1."""
    min_face: float = 20.0
    """Pixels: narrower faces are ignored."""
    max_faces: int = 8

    def __post_init__(self) -> None:
        if not (0 <= self.min_detection <= 1 and 0 <= self.min_score <= 1):
            raise ValueError("min_detection and min_score lie in 0..1")
        if self.threads < 1 or self.max_faces < 1:
            raise ValueError("threads and max_faces must be at least 1")


class FaceBackend(Protocol):
    """What the tracker needs of a face detector."""

    def detect(self, image: Image, thorough: bool = True) -> list[Face]:
        """Every face, the best first. `thorough` also searches tiles for small ones if none is found."""
        ...

    def follow(self, image: Image, previous: Face) -> Face | None:
        """The face that was at `previous` one frame ago; None when it is gone."""
        ...

    def matte(self, image: Image) -> NDArray[np.float32]:
        """Person against background [H, W], 0..1."""
        ...

    def landmarks68(self, image: Image, face: Face) -> Points:
        """The points [68, 2] of `faces.points68` of a face of this image, in pixels of the image."""
        ...


def load_backend(config: FacesConfig | None = None) -> FaceBackend:
    """The backend that the configuration asks for; `WeightsError` says how to get what is missing."""
    config = config or FacesConfig()
    if config.backend == "litert":
        return LiteRTFaces(config)
    from segtalker.faces.insight import InsightFaceFaces, usable_pack

    if config.backend == "insightface" or usable_pack() is not None:
        return InsightFaceFaces(config)
    if config.backend == "auto":
        return LiteRTFaces(config)
    raise ConfigError(f"faces.backend: {config.backend!r} is not one of auto, litert, insightface.")


class LiteRTFaces:
    """The offline backend."""

    def __init__(self, config: FacesConfig | None = None) -> None:
        from segtalker.weights.store import locate

        self.config = config = config or FacesConfig()
        self._detector = load_network(locate("face_detection_short_range"), config.runtime, config.threads)
        self._mesh = load_network(locate("face_landmark"), config.runtime, config.threads)
        self._selfie = load_network(locate("selfie_segmentation"), config.runtime, config.threads)

    def detect(self, image: Image, thorough: bool = True) -> list[Face]:
        """Every face, the best first."""
        faces = self._meshes(image, self._detect_in(image, [_whole(image)]))
        if not faces and thorough:
            height, width = image.shape[:2]
            for tiles in blaze.square_tiles(width, height, self.config.min_face):
                faces = self._meshes(image, self._detect_in(image, tiles))
                if faces:
                    break
        return faces

    def follow(self, image: Image, previous: Face) -> Face | None:
        """One run of the mesh network around the previous mesh; a tenth of the cost of a new detection."""
        face = self._mesh_at(image, _roi_of_landmarks(previous.landmarks))
        if not self._usable(face):
            return None
        size = max(previous.bbox[2] - previous.bbox[0], 1e-6)
        growth = float(face.bbox[2] - face.bbox[0]) / float(size)
        return face if 0.6 < growth < 1.6 else None

    def matte(self, image: Image) -> NDArray[np.float32]:
        """Person against background [H, W], 0..1, at the detail of 256 x 256."""
        import cv2

        height, width = image.shape[:2]
        small = cv2.resize(image, (_MATTE_SIZE, _MATTE_SIZE), interpolation=_best_resize(image, _MATTE_SIZE))
        (matte,) = self._selfie(small.astype(np.float32) / 255.0).values()
        matte = matte.reshape(_MATTE_SIZE, _MATTE_SIZE)
        return np.clip(cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR), 0.0, 1.0)

    def landmarks68(self, image: Image, face: Face) -> Points:
        """Those of the mesh."""
        return from_mesh(face.landmarks)

    def _detect_in(self, image: Image, tiles: list[tuple[float, float, float]]) -> list[Detection]:
        import cv2

        found = []
        scale = blaze.INPUT_SIZE / tiles[0][2]  # the squares of one call have one size
        small = image
        if scale < 1.0:  # shrunk once for all squares; each is then cut out where it lies, to the sub-pixel
            height, width = (max(1, round(length * scale)) for length in image.shape[:2])
            small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
        stretch = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]])
        for x, y, side in tiles:
            tile_from_small = np.diag(scale * stretch) @ np.eye(2, 3)
            tile_from_small[:, 2] = (-x * scale, -y * scale)
            view = warp_image(small, tile_from_small, (blaze.INPUT_SIZE, blaze.INPUT_SIZE))
            answer = self._detector(view.astype(np.float32) / 127.5 - 1.0)
            boxes, eyes, scores = blaze.decode(
                answer["regressors"].reshape(-1, 16),
                answer["classificators"].reshape(-1),
                self.config.min_detection,
            )
            origin = np.array([x, y])
            for box, pair, score in zip(boxes, eyes, scores, strict=True):
                bbox = box * side + np.tile(origin, 2)
                found.append(Detection(bbox, pair * side + origin, float(score)))
        return blaze.merge_overlapping(found)[: 2 * self.config.max_faces]

    def _meshes(self, image: Image, detections: list[Detection]) -> list[Face]:
        faces: list[Face] = []
        for detection in detections:
            if detection.bbox[2] - detection.bbox[0] < 0.5 * self.config.min_face:
                continue
            first = self._mesh_at(image, _roi_of_detection(detection))
            if first.score < 0.1:  # a poor frame may hide a face from the first look, not an absent one
                continue
            face = self._mesh_at(image, _roi_of_landmarks(first.landmarks))
            if self._usable(face) and not _seen(face, faces):
                faces.append(face)
        faces.sort(key=lambda face: -face.score)
        return faces[: self.config.max_faces]

    def _mesh_at(self, image: Image, roi_from_image: Affine) -> Face:
        view = warp_image(image, roi_from_image, (_MESH_SIZE, _MESH_SIZE))
        answer = self._mesh(view.astype(np.float32) / 255.0)
        points = answer["conv2d_21"].reshape(NUM_POINTS, 3)
        logit = float(answer["conv2d_31"].reshape(-1)[0])
        landmarks = apply_affine(invert_affine(roi_from_image), points[:, :2]).astype(np.float32)
        return Face(
            bbox=bbox_of(landmarks),
            score=float(1.0 / (1.0 + np.exp(-np.clip(logit, -80, 80)))),
            landmarks=landmarks,
            depth=(points[:, 2] / affine_scale(roi_from_image)).astype(np.float32),
        )

    def _usable(self, face: Face) -> bool:
        width = float(face.bbox[2] - face.bbox[0])
        return face.score >= self.config.min_score and width >= self.config.min_face


def bbox_of(landmarks: Points) -> NDArray[np.float32]:
    """[4] left, top, right, bottom of points [N, 2]."""
    return np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)]).astype(np.float32)


def roll_of(landmarks: Points) -> float:
    """Angle in radians of the line from the left outer eye corner to the right one."""
    across = landmarks[EYE_CORNERS[3]] - landmarks[EYE_CORNERS[0]]
    return float(np.arctan2(across[1], across[0]))


def _whole(image: Image) -> tuple[float, float, float]:
    height, width = image.shape[:2]
    side = float(max(height, width))
    return (width - side) / 2, (height - side) / 2, side


def _roi_of_detection(detection: Detection) -> Affine:
    across = detection.eyes[1] - detection.eyes[0]
    low, high = detection.bbox[:2], detection.bbox[2:]
    return _roi((low + high) / 2, float(np.max(high - low)), float(np.arctan2(across[1], across[0])))


def _roi_of_landmarks(landmarks: Points) -> Affine:
    angle = roll_of(landmarks)
    upright = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    rotated = landmarks @ upright.T
    low, high = rotated.min(axis=0), rotated.max(axis=0)
    return _roi(upright.T @ ((low + high) / 2), float(np.max(high - low)), angle)


def _roi(centre: NDArray[np.floating], extent: float, angle: float) -> Affine:
    """The mesh network's view: a square 1.5 times the face, turned upright; `roi_from_image`."""
    scale = _MESH_SIZE / (_ROI_PER_BOX * max(extent, 1e-3))
    linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shift = _MESH_SIZE / 2 - linear @ centre
    return np.concatenate([linear, shift[:, None]], axis=1)


def _seen(face: Face, faces: list[Face]) -> bool:
    return bool(faces) and bool(np.max(blaze.iou(face.bbox, np.stack([f.bbox for f in faces]))) > 0.4)


def _best_resize(image: Image, size: int) -> int:
    import cv2

    return cv2.INTER_AREA if min(image.shape[:2]) > size else cv2.INTER_LINEAR
