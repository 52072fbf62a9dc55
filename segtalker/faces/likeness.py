"""How alike a track is to a reference photo.

With InsightFace's pack the measure is an identity embedding. Without it, it is `appearance`: the
proportions of the face and its coarse colours. Appearance tells the people of one clip apart; it is no
proof of identity.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtalker.errors import FaceNotFound, MediaError
from segtalker.faces.align import apply_affine, crop_from_landmarks, scale_affine, warp_image
from segtalker.faces.detect import FaceBackend
from segtalker.faces.mesh import BROW_L, BROW_R, EYE_L, EYE_R, NOSE, OVAL, mean_face
from segtalker.faces.speaker import Likeness, parse_speaker
from segtalker.types import Face, FaceTrack, Image

_EMBEDDING_FLOOR = 0.25  # cosine of two photos of one person is above it, of two people below
_LOOKS = 3  # frames of a track that are compared
_THUMBNAIL = 12
_SHAPE = np.array([*OVAL, *EYE_L, *EYE_R, *BROW_L, *BROW_R, *NOSE])


def speaker_likeness(speaker: str, backend: FaceBackend, image_at: Callable[[int], Image]) -> Likeness | None:
    """The `Likeness` that a choice of the command line needs: none, unless it names a photo."""
    photo = parse_speaker(speaker).photo
    return photo_likeness(photo, backend, image_at) if photo is not None else None


def photo_likeness(photo: Path, backend: FaceBackend, image_at: Callable[[int], Image]) -> Likeness:
    """A `Likeness` to the largest face of the photo.

    image_at: source index -> frame, for the few frames that are looked at.
    """
    image = _read_photo(photo)
    faces = backend.detect(image)
    if not faces:
        raise FaceNotFound(f"{photo}: no face in the reference photo.")
    reference = _describe(image, max(faces, key=lambda face: float(face.bbox[2] - face.bbox[0])), backend)

    def likeness(track: FaceTrack) -> float:
        alike = []
        for index in _good_frames(track):
            face = _face_of(track, index)
            description = _describe(image_at(track.start + index), face, backend)
            alike.append(_compare(reference, description, embedded=hasattr(backend, "embed")))
        return float(np.median(alike))

    return likeness


def appearance(image: Image, face: Face) -> NDArray[np.float32]:
    """Proportions and coarse colours of a face: a vector in which people of one clip are about 1 apart.

    Mouth and jaw opening are left out; colours are relative to the face's own lightness.
    """
    import cv2

    crop_from_frame = crop_from_landmarks(face.landmarks)
    points = apply_affine(crop_from_frame, face.landmarks)
    shape = (points - mean_face()[:, :2])[_SHAPE] / 0.03
    crop = warp_image(image, scale_affine(crop_from_frame, _THUMBNAIL), (_THUMBNAIL, _THUMBNAIL), "replicate")
    colours = cv2.cvtColor(crop, cv2.COLOR_RGB2LAB).astype(np.float64)
    colours[..., 0] -= colours[4:10, 4:8, 0].mean()
    colours /= (40.0, 12.0, 12.0)
    parts = [part.ravel() / np.sqrt(part.size) for part in (shape, colours)]
    return np.concatenate(parts).astype(np.float32)


def _describe(image: Image, face: Face, backend: FaceBackend) -> NDArray[np.float32]:
    embed = getattr(backend, "embed", None)
    return embed(image, face) if embed is not None else appearance(image, face)


def _compare(a: NDArray[np.float32], b: NDArray[np.float32], embedded: bool) -> float:
    if embedded:
        return float(a @ b) - _EMBEDDING_FLOOR
    return 1.0 - 0.5 * float(np.linalg.norm(a - b))


def _good_frames(track: FaceTrack) -> list[int]:
    """The most frontal frames in which the face was seen, one from each part of the track."""
    seen = np.flatnonzero(track.scores > 0)
    parts = [part for part in np.array_split(seen, _LOOKS) if len(part)]
    return [int(part[np.abs(track.yaw[part]).argmin()]) for part in parts]


def _face_of(track: FaceTrack, index: int) -> Face:
    return Face(
        bbox=track.bboxes[index],
        score=float(track.scores[index]),
        landmarks=track.landmarks[index],
        depth=np.zeros(track.landmarks.shape[1], np.float32),
    )


def _read_photo(photo: Path) -> Image:
    import cv2

    try:
        data = np.frombuffer(photo.read_bytes(), np.uint8)
    except OSError as error:
        raise MediaError(f"{photo}: cannot read the reference photo: {error.strerror}.") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise MediaError(f"{photo}: not a picture that can be decoded.")
    return np.ascontiguousarray(image[:, :, ::-1]).astype(np.uint8)
