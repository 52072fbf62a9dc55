"""A still portrait as a video: natural blinks and slight head motion, the same for the same seed.

Every frame is a pure function of (picture, face, seed, frame index), so any range can be rendered anywhere.
The head moves by a smooth displacement field that is zero in the background; lids close by carrying the
skin above the eye down over an eyeball that stays where it is. The mouth is not touched here: speech moves
it later.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.editing.lids import close_eyes, slide_lids
from segtalker.editing.spans import natural_closure
from segtalker.errors import FaceNotFound
from segtalker.faces.align import crop_from_landmarks
from segtalker.faces.detect import FaceBackend
from segtalker.faces.likeness import speaker_likeness
from segtalker.faces.speaker import choose_speaker, parse_speaker
from segtalker.faces.track import track_faces
from segtalker.media.read import probe, read_frames
from segtalker.types import FaceTrack, Frame, Image, Points, VideoInfo

_FULL_MOTION, _NO_MOTION = (
    1.0,
    2.3,
)  # head ellipses (1 is around face and hair) between which the motion fades


@dataclass(frozen=True, kw_only=True)
class PortraitConfig:
    """How a still picture moves."""

    motion: float = 1.0
    """Strength of the head motion; 0 keeps the head still."""
    blink: bool = True
    frame_rate: int = 25
    max_side: int = 1280
    """Larger pictures are shrunk to this many pixels."""

    def __post_init__(self) -> None:
        if self.frame_rate < 1 or self.max_side < 64 or self.motion < 0:
            raise ValueError("frame_rate must be at least 1, max_side at least 64, motion at least 0")


class PortraitSource:
    """A `FrameSource` over one picture with one face."""

    def __init__(
        self, info: VideoInfo, image: Image, still: FaceTrack, cfg: PortraitConfig, seed: int
    ) -> None:
        """Animate `image`, whose speaker is the one-frame track `still`, for `info.num_frames` frames."""
        self.info = info
        self.face: Points = still.landmarks[0]
        self._still = still
        self.losses: list[str] = []
        self._image = image
        self._cfg = cfg
        self._seed = seed
        self._head = _HeadField(self.face, cfg.motion, seed)

    def times(self) -> list[Fraction]:
        """Seconds of every frame since the first."""
        return [index / self.info.frame_rate for index in range(self.info.num_frames)]

    def read(self, start: int = 0, stop: int | None = None, max_side: int | None = None) -> Iterator[Frame]:
        """Frames `start`..`stop`."""
        stop = self.info.num_frames if stop is None else min(stop, self.info.num_frames)
        for index in range(start, stop):
            image = self._render(index)
            longest = max(image.shape[:2])
            if max_side is not None and longest > max_side:
                size = (
                    round(image.shape[1] * max_side / longest),
                    round(image.shape[0] * max_side / longest),
                )
                image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            yield Frame(index, index / self.info.frame_rate, image)

    def landmarks(self, index: int) -> Points:
        """Mesh [468, 2] of frame `index`, exactly where its pixels went."""
        points = slide_lids(self.face, self._closure(index))
        return self._head.move_points(points, self._time(index)).astype(np.float32)

    def track(self) -> FaceTrack:
        """The speaker through all frames; known from the motion, not found again."""
        landmarks = np.stack([self.landmarks(index) for index in range(self.info.num_frames)])
        return FaceTrack(
            track_id=0,
            start=0,
            bboxes=np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1),
            scores=np.repeat(self._still.scores, len(landmarks)),
            landmarks=landmarks,
            crop_from_frame=np.stack([crop_from_landmarks(points) for points in landmarks]),
            yaw=np.repeat(self._still.yaw, len(landmarks)),
        )

    def _render(self, index: int) -> Image:
        closure = self._closure(index)
        image = close_eyes(self._image, self.face, closure) if closure > 0 else self._image
        return self._head.move_image(image, self._time(index)) if self._cfg.motion else image.copy()

    def _closure(self, index: int) -> float:
        return natural_closure(self._time(index), self._seed) if self._cfg.blink else 0.0

    def _time(self, index: int) -> float:
        return float(index / self.info.frame_rate)


def open_portrait(
    path: Path, backend: FaceBackend, speaker: str, duration: Fraction, cfg: PortraitConfig, seed: int
) -> PortraitSource:
    """Bring the chosen face of a picture to life for `duration` seconds."""
    frame = next(iter(read_frames(path, 0, 1, cfg.max_side)))
    faces = track_faces([frame], backend)
    if not faces:
        raise FaceNotFound(
            f"{path}: no face was found in the picture. Take one that shows a face from the front."
        )
    height, width = frame.image.shape[:2]
    likeness = speaker_likeness(speaker, backend, lambda index: frame.image)
    spec = parse_speaker(speaker).scaled(width / probe(path).width)
    chosen = choose_speaker(faces, spec, likeness, path)[0]
    info = VideoInfo(
        path=path,
        width=width,
        height=height,
        frame_rate=Fraction(cfg.frame_rate),
        num_frames=max(1, math.ceil(duration * cfg.frame_rate)),
        is_vfr=False,
        has_audio=False,
        is_image=False,
    )
    return PortraitSource(info, frame.image, chosen, cfg, seed)


class _HeadField:
    """A small smooth motion of the head: rotation, sway and a hint of turning, fading into the background."""

    def __init__(self, landmarks: Points, motion: float, seed: int) -> None:
        low, high = landmarks.min(0).astype(np.float64), landmarks.max(0).astype(np.float64)
        face = high - low
        # The mesh ends at the forehead: the ellipse reaches half a face further up, for the hair.
        self._centre = np.array([(low[0] + high[0]) / 2, high[1] - 0.72 * face[1]])
        self._axes = np.array([0.80 * face[0], 0.85 * face[1]])
        self._nose = landmarks.mean(0).astype(np.float64)
        self._pivot = np.array(
            [self._centre[0], high[1] + 0.25 * face[1]]
        )  # the neck, about which heads rotate
        self._face = face
        rng = np.random.default_rng([seed, 0x48454144])
        self._hertz = rng.uniform(0.08, 0.22, (5, 1)) * np.array([1.0, 2.13])
        self._phase = rng.uniform(0.0, 2 * math.pi, (5, 2))
        angle, sway, turn = 0.012, 0.006, 0.012
        self._amplitude = motion * np.array([angle, sway, 0.6 * sway, turn, 0.6 * turn])

    def move_points(self, points: NDArray[np.float64], time_s: float) -> NDArray[np.float64]:
        """Where `points` [N, 2] of the still picture stand at a time."""
        moved = points
        for _ in range(4):  # displacement is given at the target: solve target - displacement(target) = point
            moved = points + self._displacement(moved, time_s)
        return moved

    def move_image(self, image: Image, time_s: float) -> Image:
        """The picture at a time."""
        height, width = image.shape[:2]
        reach = _NO_MOTION * self._axes
        left, top = np.maximum(np.floor(self._centre - reach), 0).astype(int)
        right, bottom = np.minimum(np.ceil(self._centre + reach), (width, height)).astype(int)
        grid = np.stack(np.meshgrid(np.arange(left, right), np.arange(top, bottom)), -1).astype(np.float64)
        source = grid - self._displacement(grid + 0.5, time_s)
        result = image.copy()
        result[top:bottom, left:right] = cv2.remap(
            image, *_maps(source), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        return result

    def _displacement(self, points: NDArray[np.float64], time_s: float) -> NDArray[np.float64]:
        """Displacement [..., 2] in pixels of what arrives at `points` [..., 2]."""
        waves = np.sin(2 * math.pi * self._hertz * time_s + self._phase)
        angle, sway_x, sway_y, yaw, pitch = self._amplitude * (waves @ [0.7, 0.3])
        from_pivot = points - self._pivot
        rotation = angle * np.stack([-from_pivot[..., 1], from_pivot[..., 0]], -1)
        sway = np.array([sway_x, sway_y]) * self._face[0]
        # What is nearer to the camera moves more when a head turns: a bump over the face.
        near = np.exp(-((((points - self._nose) / (0.55 * self._face)) ** 2).sum(-1)))
        turn = near[..., None] * np.array([yaw, pitch]) * self._face[0]
        distance = np.sqrt((((points - self._centre) / self._axes) ** 2).sum(-1))
        fade = np.clip((_NO_MOTION - distance) / (_NO_MOTION - _FULL_MOTION), 0.0, 1.0)
        return (fade**2 * (3.0 - 2.0 * fade))[..., None] * (rotation + sway + turn)


def _maps(source: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Integer-centred positions [H, W, 2] as the two maps of `cv2.remap`."""
    return source[..., 0].astype(np.float32), source[..., 1].astype(np.float32)
