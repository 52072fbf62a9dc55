"""The nouns of the project: small frozen containers that travel between stages.

Conventions: images are RGB uint8 [H, W, 3]; points are (x, y) in continuous pixels with the centre of pixel i
at i + 0.5; affines are float64 [2, 3] named by direction, target first (`crop_from_frame`); times are exact
rationals in seconds, the first video frame at 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
RegionMap = NDArray[np.uint8]
Points = NDArray[np.float32]
Affine = NDArray[np.float64]


@dataclass(frozen=True)
class VideoInfo:
    """What a container says about its video, after the display rotation."""

    path: Path
    width: int
    height: int
    frame_rate: Fraction
    """Average frames per second; the nominal rate where `is_vfr` is false."""
    num_frames: int
    is_vfr: bool
    has_audio: bool
    is_image: bool

    @property
    def duration(self) -> Fraction:
        """Seconds that the frames last at the average rate."""
        return self.num_frames / self.frame_rate


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int
    """Counts decoded frames in presentation order, from 0."""
    time: Fraction
    """Seconds since the first frame."""
    image: Image


@dataclass(frozen=True)
class Face:
    """One face found in one frame."""

    bbox: NDArray[np.float32]
    """[4] left, top, right, bottom in frame pixels."""
    score: float
    """0..1."""
    landmarks: Points
    """[468, 2] face mesh in frame pixels."""
    depth: NDArray[np.float32]
    """[468] mesh depth in frame pixels, smaller is nearer to the camera."""


@dataclass(frozen=True)
class FaceTrack:
    """One person in one shot: a face for each of `num_frames` consecutive frames of the source."""

    track_id: int
    start: int
    """Source index of the first frame."""
    bboxes: NDArray[np.float32]
    """[T, 4]"""
    scores: NDArray[np.float32]
    """[T], 0 where the face was lost for a moment and interpolated."""
    landmarks: NDArray[np.float32]
    """[T, 468, 2] frame pixels, zero-phase smoothed."""
    crop_from_frame: NDArray[np.float64]
    """[T, 2, 3] frame pixels -> unit crop ([0, 1]^2), zero-phase smoothed."""
    yaw: NDArray[np.float32]
    """[T] degrees, 0 is frontal."""

    @property
    def num_frames(self) -> int:
        """Frames of the track."""
        return len(self.scores)

    @property
    def stop(self) -> int:
        """One past the source index of the last frame."""
        return self.start + self.num_frames


@dataclass(frozen=True)
class ParsedFace:
    """A parsed aligned crop."""

    raw: NDArray[np.uint8]
    """Raw 19-label map [S, S] (`regions.Raw`)."""
    region_map: RegionMap
    """Region map [S, S] (`regions.Region`)."""
    matte: NDArray[np.float32]
    """Person against background [S, S], 0..1; soft at hair."""


@dataclass(frozen=True)
class Phone:
    """One phone of an utterance."""

    label: str
    """ARPAbet without stress, lower case (`aa`, `b`, ...); `sil` for silence."""
    start_s: float
    end_s: float


@dataclass(frozen=True)
class FaceMap:
    """What is where in one face of a frame."""

    region_map: RegionMap
    """[S, S]"""
    crop_from_frame: Affine
    """[2, 3] frame pixels -> pixels of the map."""
