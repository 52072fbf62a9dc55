"""Small clips, speech, faces and networks that tests of the pipeline share; all made on the spot."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.faces.mesh import mean_face
from segtalker.types import Face, Image

SKIN = (200, 150, 120)
"""Colour of a face that looks at the camera."""
TURNED_SKIN = (200, 120, 170)
"""Colour of a face in profile."""
BACKGROUND = (40, 90, 60)


class BlobFaces:
    """A `FaceBackend` that takes every blob of skin colour for a face, the mean mesh stretched over it."""

    def __init__(self) -> None:
        self.num_detections = 0

    def detect(self, image: Image, thorough: bool = True) -> list[Face]:
        self.num_detections += 1
        faces = []
        for colour, turned in ((SKIN, False), (TURNED_SKIN, True)):
            near = (np.abs(image.astype(int) - colour).max(-1) < 25).astype(np.uint8)
            closed = cv2.morphologyEx(near, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
            count, _, stats, _ = cv2.connectedComponentsWithStats(closed)
            faces += [
                _face(stats[i, :4].astype(np.float32), turned) for i in range(1, count) if stats[i, 4] > 60
            ]
        return faces

    def follow(self, image: Image, previous: Face) -> Face | None:
        centre = previous.bbox.reshape(2, 2).mean(0)
        near = [
            face
            for face in self.detect(image)
            if np.abs(face.bbox.reshape(2, 2).mean(0) - centre).max() < np.ptp(previous.bbox[[0, 2]]) / 2
        ]
        return near[0] if near else None

    def matte(self, image: Image) -> NDArray[np.float32]:
        return (np.abs(image.astype(int) - BACKGROUND).max(-1) > 30).astype(np.float32)


def _face(blob: NDArray[np.float32], turned: bool) -> Face:
    left, top, width, height = blob
    mean = mean_face().astype(np.float64)
    low, high = mean[:, :2].min(0), mean[:, :2].max(0)
    mesh = (mean - [*low, 0]) / [*(high - low), (high - low)[0]]
    if turned:  # about the vertical axis by 70 degrees
        angle = np.deg2rad(70)
        x = mesh[:, 0] - 0.5
        mesh[:, 0] = 0.5 + x * np.cos(angle) - mesh[:, 2] * np.sin(angle)
        mesh[:, 2] = x * np.sin(angle) + mesh[:, 2] * np.cos(angle)
    points = mesh[:, :2] * (width, height) + (left, top)
    box = np.array([left, top, left + width, top + height], np.float32)
    return Face(box, 0.9, points.astype(np.float32), (mesh[:, 2] * width).astype(np.float32))


def draw_face(
    image: Image, centre: tuple[float, float], height: float, colour=SKIN, opening: float = 0.3
) -> None:
    """Paint a face of `height` pixels in place: hair, skin, eyes, and a mouth that is open by 0..1."""
    x, y = centre
    unit = height / 100
    at = lambda dx, dy: (round(x + dx * unit), round(y + dy * unit))  # noqa: E731
    axes = lambda a, b: (max(round(a * unit), 1), max(round(b * unit), 1))  # noqa: E731
    cv2.ellipse(image, at(0, -12), axes(46, 56), 0, 180, 360, (60, 40, 30), -1, cv2.LINE_AA)
    cv2.ellipse(image, at(0, 0), axes(39, 50), 0, 0, 360, colour, -1, cv2.LINE_AA)
    for side in (-1, 1):
        cv2.ellipse(image, at(17 * side, -12), axes(7, 3.5), 0, 0, 360, (245, 245, 245), -1, cv2.LINE_AA)
        cv2.circle(image, at(17 * side, -12), axes(3, 3)[0], (50, 70, 110), -1, cv2.LINE_AA)
    cv2.ellipse(image, at(0, 28), axes(12, 3 + 5 * opening), 0, 0, 360, (170, 60, 70), -1, cv2.LINE_AA)
    if opening > 0.05:
        cv2.ellipse(image, at(0, 28), axes(9, 5 * opening), 0, 0, 360, (60, 20, 25), -1, cv2.LINE_AA)


def talking_frame(index: int, size: tuple[int, int] = (160, 120), height: float = 70, colour=SKIN) -> Image:
    """Frame `index` of a person who sways and talks, on a background with a fixed pattern."""
    width, tall = size
    image = np.full((tall, width, 3), BACKGROUND, np.uint8)
    image[::8, :, 2] += 20
    centre = (width / 2 + 3 * np.sin(index / 5), tall / 2 + 2 * np.cos(index / 7))
    draw_face(image, centre, height, colour, opening=0.5 + 0.5 * np.sin(index / 2))
    return image


def blank_frame(size: tuple[int, int] = (160, 120), value: int = 0) -> Image:
    """A frame of one grey value."""
    return np.full((size[1], size[0], 3), value, np.uint8)


def write_clip(path: Path, frames: Iterable[Image], rate: Fraction = Fraction(25), crf: int = 12) -> Path:
    """Encode frames as H.264 without sound."""
    with av.open(str(path), "w") as container:
        stream = None
        for image in frames:
            if stream is None:
                stream = container.add_stream(
                    "libx264", rate=rate, options={"crf": str(crf), "preset": "veryfast"}
                )
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.thread_count = 1
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image))))
        if stream is not None:
            container.mux(stream.encode(None))
    return path


def talking_clip(path: Path, num_frames: int, frame: Callable[[int], Image] = talking_frame) -> Path:
    """A clip of `frame(0)`, `frame(1)`, ... at 25 fps."""
    return write_clip(path, (frame(index) for index in range(num_frames)))


def write_speech(path: Path, seconds: float, rate: int = 16000, loudness: float = 0.4) -> Path:
    """Syllables of noise and tone, four a second; `loudness` 0 is digital silence."""
    time = np.arange(round(seconds * rate)) / rate
    envelope = np.maximum(np.sin(2 * np.pi * 2 * time), 0.0)
    noise = np.random.default_rng(0).standard_normal(len(time))
    samples = loudness * envelope * (np.sin(2 * np.pi * 140 * time) + 0.3 * noise)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes())
    return path


def tiny_weights(folder: Path) -> dict[str, Path]:
    """Weights files of random TSG and SGI of 32 px (the smoke configurations)."""
    import torch

    from segtalker.config import load_yaml, parse_config
    from segtalker.models.sgi import SGI, SGIConfig
    from segtalker.models.tsg import TSG, TSGConfig
    from segtalker.weights.checkpoint import save_weights

    torch.manual_seed(0)
    smoke = Path(__file__).parents[1] / "configs" / "smoke"
    tsg_config = parse_config(TSGConfig, load_yaml(smoke / "tsg.yaml")["model"])
    sgi_config = parse_config(SGIConfig, load_yaml(smoke / "sgi.yaml")["model"])
    return {
        "tsg": save_weights(TSG(tsg_config), tsg_config, folder / "tsg.safetensors"),
        "sgi": save_weights(SGI(sgi_config), sgi_config, folder / "sgi.safetensors"),
    }


def require_face_models() -> None:
    """Skips the test where the face models are absent; `make test` fetches them first."""
    import pytest

    from segtalker.weights.store import status

    if any(item.state != "ready" for item in status() if item.row.name.startswith("face")):
        pytest.skip("face models are not here: segtalker weights fetch faces")


def real_portrait(path: Path) -> Path:
    """A public-domain photograph of a person; skips the test where package or face models are absent."""
    import pytest

    data = pytest.importorskip("skimage.data")
    require_face_models()
    cv2.imwrite(str(path), data.astronaut()[..., ::-1])
    return path
