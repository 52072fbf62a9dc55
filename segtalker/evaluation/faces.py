"""Whose face it is, where, and what it shows: videos on the grid of a protocol, seen frame by frame.

The crops of a pair come from one face track, and everything is then read off the crops, of all videos in the
same way and by a pure function of the frame: equal frames have equal landmarks and maps, however they were
made and in whatever part of the video they lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.tools import Tools
from segtalker.extract import aligned
from segtalker.faces.align import compose
from segtalker.faces.detect import bbox_of
from segtalker.faces.likeness import speaker_likeness
from segtalker.faces.mesh import mean_face
from segtalker.faces.speaker import choose_speaker
from segtalker.faces.track import TrackConfig
from segtalker.media.read import probe
from segtalker.models.frozen.syncnet_v2 import FACE_SIZE
from segtalker.parsing.colours import ColourModel
from segtalker.person import AnalysisConfig
from segtalker.source import GridSource
from segtalker.tracking import find_tracks
from segtalker.types import Affine, Face, FaceTrack, Image, Points, VideoInfo

_FITTED = 8
"""Frames from which the parser learns a person's colours."""


@dataclass(frozen=True)
class Video:
    """A video on the grid; frame i is the one shown nearest to i / rate seconds."""

    info: VideoInfo
    """Of the file itself, at its own rate."""
    source: GridSource
    length: int
    """Frames of the grid, at most `max_frames`."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return self.info.width, self.info.height

    @property
    def seconds(self) -> Fraction:
        """How long it is in full."""
        return self.source.info.duration

    def image(self, index: int) -> Image:
        """One frame."""
        return next(iter(self.source.read(index, index + 1))).image


def open_video(path: Path, protocol: EvalProtocol) -> Video:
    """Open a video on the protocol's grid; `MediaError` where it cannot be read."""
    info = probe(path)
    source = GridSource(info, Fraction(protocol.rate))
    count = source.info.num_frames
    return Video(info, source, min(count, protocol.max_frames) if protocol.max_frames else count)


@dataclass(frozen=True)
class Crops:
    """Where the aligned crop lies in every frame of the grid."""

    tracks: Sequence[FaceTrack]
    """Of one person, never two at once, in time order."""
    size: tuple[int, int]
    """Width and height of the frames that were tracked."""

    def shot(self, index: int) -> int:
        """Which track shows frame `index`; -1 where no face is."""
        found = (at for at, track in enumerate(self.tracks) if track.start <= index < track.stop)
        return next(found, -1)

    def crop_from_frame(self, index: int, size: tuple[int, int], margin: float) -> Affine | None:
        """Frame pixels of a video of `size` -> unit crop; None where no face is."""
        shot = self.shot(index)
        if shot < 0:
            return None
        track = self.tracks[shot]
        unit = np.array(track.crop_from_frame[index - track.start])
        scale = np.diag([self.size[0] / size[0], self.size[1] / size[1]])
        tracked_from_frame = np.concatenate([scale, np.zeros((2, 1))], axis=1)
        return compose(_wider(margin), compose(unit, tracked_from_frame))


def find_crops(video: Video, protocol: EvalProtocol, tools: Tools, work: Path) -> Crops:
    """Track the face of a video; `FaceNotFound` where there is none. work: a folder for its tracks."""
    likeness = speaker_likeness(protocol.speaker, tools.backend, video.image)
    side = AnalysisConfig().max_side
    tracks = find_tracks(
        video.source, tools.backend, TrackConfig(), work, video.length, side, on_frame=lambda done: None
    )
    return Crops(choose_speaker(tracks, protocol.speaker, likeness, video.info.path), video.size)


@dataclass(frozen=True)
class Look:
    """What one frame of one video shows."""

    shot: int = -1
    """Number of the face track; -1: there is no crop, and nothing else."""
    crop: Image | None = None
    """[S, S, 3] aligned."""
    face: Face | None = None
    """Found in the crop, in its pixels; None where no face is seen in it."""
    raw: NDArray[np.uint8] | None = None
    """Raw map [M, M] of the frame alone; None without a face."""
    view: Image | None = None
    """What SyncNet v2 is shown, [224, 224, 3]; None where it is not asked."""


@dataclass
class Looker:
    """Looks at the frames of one video."""

    video: Video
    crops: Crops
    protocol: EvalProtocol
    tools: Tools
    parses: bool = False
    """Whether region maps are wanted."""
    views: bool = False
    """Whether SyncNet v2 looks on."""
    colours: ColourModel | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Learn the person's colours from frames spread over the whole video."""
        if not self.parses:
            return
        shown = [
            i for track in self.crops.tracks for i in range(track.start, min(track.stop, self.video.length))
        ]
        spread = np.linspace(0, len(shown) - 1, min(_FITTED, len(shown))).round().astype(int)
        chosen = [shown[i] for i in spread]
        cuts = [self.cut(frame.image, frame.index) for frame in self.video.source.take(chosen)]
        seen = [(crop, face) for crop in cuts if crop is not None and (face := self._find(crop)) is not None]
        if seen:
            parts = [self._small(crop, face) for crop, face in seen]
            images, points, mattes = (list(column) for column in zip(*parts, strict=True))
            self.colours = self.tools.parser.fit(images, points, mattes)

    def look(self, image: Image, index: int) -> Look:
        """At one frame."""
        crop = self.cut(image, index)
        if crop is None:
            return Look()
        face = self._find(crop)
        raw = None
        if self.parses and face is not None:
            raw = self.tools.parser.parse(*self._small(crop, face), self.colours).raw
        return Look(self.crops.shot(index), crop, face, raw, self._view(image, index) if self.views else None)

    def cut(self, image: Image, index: int) -> Image | None:
        """The aligned crop [S, S, 3] of frame `index`; None where no face is."""
        crop_from_frame = self.crops.crop_from_frame(index, self.video.size, self.protocol.margin)
        return None if crop_from_frame is None else aligned(image, crop_from_frame, self.protocol.size)

    def _view(self, image: Image, index: int) -> Image | None:
        """Cut from the frame itself: a part of it lies below the crop."""
        crop_from_frame = self.crops.crop_from_frame(index, self.video.size, 1.0)
        if crop_from_frame is None:
            return None
        return aligned(image, compose(_view_from_crop(), crop_from_frame), FACE_SIZE)

    def _find(self, crop: Image) -> Face | None:
        """The face where the alignment put it; its first mesh frames the second look."""
        first = self.tools.backend.follow(crop, _expected_face(crop.shape[0], self.protocol.margin))
        return None if first is None else self.tools.backend.follow(crop, first)

    def _small(self, crop: Image, face: Face) -> tuple[Image, Points, NDArray[np.float32]]:
        """The crop [M, M, 3] that is parsed, its landmarks [468, 2] and its matte [M, M]."""
        size = self.protocol.map_size
        how = cv2.INTER_AREA if size < crop.shape[0] else cv2.INTER_LINEAR
        image = (
            crop
            if size == crop.shape[0]
            else np.asarray(cv2.resize(crop, (size, size), interpolation=how), np.uint8)
        )
        points = (face.landmarks * (size / crop.shape[0])).astype(np.float32)
        return image, points, self.tools.backend.matte(image)


@cache
def _expected_face(size: int, margin: float) -> Face:
    mesh = mean_face().astype(np.float64)
    points = (((mesh[:, :2] - 0.5) / margin + 0.5) * size).astype(np.float32)
    return Face(bbox_of(points), 1.0, points, (mesh[:, 2] * size / margin).astype(np.float32))


@cache
def _view_from_crop() -> Affine:
    """Unit crop -> the unit square that SyncNet v2 is shown, framed as the published pipeline frames a face.

    Of a detected box with half side h that is a square of 2.8 h: 0.4 h more on either side and 0.8 h below
    (its crop_scale of 0.4). The box is that of the mean face, so that the view is still and upright, which
    the published one is not.
    """
    mesh = mean_face()[:, :2].astype(np.float64)
    low, high = mesh.min(axis=0), mesh.max(axis=0)
    half = float((high - low).max()) / 2
    x, y = (low + high) / 2
    scale = 1 / (2.8 * half)
    return np.array([[scale, 0.0, -scale * (x - 1.4 * half)], [0.0, scale, -scale * (y - half)]])


def _wider(margin: float) -> Affine:
    """Unit crop -> the unit crop that is `margin` times as wide, about the same centre."""
    shift = 0.5 - 0.5 / margin
    return np.array([[1 / margin, 0.0, shift], [0.0, 1 / margin, shift]])
