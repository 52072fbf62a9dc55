"""Faces over time: who is where in every frame of every shot.

The detector runs at the start of a shot, when a face is lost, and every `redetect_every` frames for faces
that come in; in between each mesh is followed from the frame before. Frames stream through: only small
numbers are kept, about 4 kB for each face and frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.ahead import FollowsThrough, look_ahead
from segtalker.faces.align import crop_from_landmarks
from segtalker.faces.blaze import iou
from segtalker.faces.detect import FaceBackend, bbox_of, roll_of
from segtalker.faces.shots import Fingerprint, fingerprint, is_cut
from segtalker.faces.smooth import smooth, smooth_similarities
from segtalker.types import Face, FaceTrack, Frame, Image, Points

_YAW_PAIRS = np.array([(33, 263), (133, 362), (234, 454), (127, 356), (162, 389)])


@dataclass(frozen=True)
class TrackConfig:
    """Knobs of tracking; times in seconds."""

    redetect_every: int = 12
    """Frames between looks for new faces."""
    thorough_every: int = 15
    """Frames between searches for small faces, while there is none."""
    max_gap: float = 0.3
    """A face that comes back within this time was there all along (interpolated, score 0)."""
    min_frames: int = 3
    """Tracks with fewer seen frames are dropped, unless the shot itself is shorter."""
    cut_colour_change: float = 0.4
    """Share of the picture whose colour changes at a cut, 0..1."""
    cut_similarity: float = 0.6
    """Highest correlation of two frames with a cut between them."""
    smooth_landmarks: float = 0.02
    """Standard deviation of the smoothing; light, so that a closed mouth of one frame stays closed."""
    smooth_crop: float = 0.12

    def __post_init__(self) -> None:
        if self.redetect_every < 1 or self.thorough_every < 1 or self.min_frames < 1:
            raise ValueError("redetect_every, thorough_every and min_frames are at least 1")


def track_faces(
    frames: Iterable[Frame],
    backend: FaceBackend,
    cfg: TrackConfig | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> list[FaceTrack]:
    """Tracks of every face, by start and then from the left; ids count in that order.

    frames: consecutive frames. on_frame: told the index of every frame that is done. A backend that
    `FollowsThrough` is asked about several frames at once; the tracks are the same.
    """
    if isinstance(backend, FollowsThrough):
        backend, frames = look_ahead(backend, frames)
    tracker = _Tracker(backend, cfg or TrackConfig())
    for frame in frames:
        tracker.step(frame)
        if on_frame is not None:
            on_frame(frame.index)
    return tracker.finish()


def yaw_of(landmarks: Points, depth: NDArray[np.float32]) -> float:
    """Turn of the head in degrees: 0 faces the camera, positive looks to the right of the picture."""
    angle = roll_of(landmarks)
    across = landmarks[_YAW_PAIRS[:, 1]] - landmarks[_YAW_PAIRS[:, 0]]
    sideways = float((across @ (np.cos(angle), np.sin(angle))).sum())
    away = float((depth[_YAW_PAIRS[:, 1]] - depth[_YAW_PAIRS[:, 0]]).sum())
    return float(np.degrees(np.arctan2(away, sideways)))


@dataclass(eq=False)
class _Open:
    """A track that still grows."""

    last: Face
    indices: list[int] = field(default_factory=list)
    times: list[Fraction] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    landmarks: list[Points] = field(default_factory=list)
    yaws: list[float] = field(default_factory=list)

    def add(self, frame: Frame, face: Face) -> None:
        self.last = face
        self.indices.append(frame.index)
        self.times.append(frame.time)
        self.scores.append(face.score)
        self.landmarks.append(face.landmarks)
        self.yaws.append(yaw_of(face.landmarks, face.depth))


class _Tracker:
    def __init__(self, backend: FaceBackend, cfg: TrackConfig) -> None:
        self._backend, self._cfg = backend, cfg
        self._open: list[_Open] = []
        self._in_shot: list[_Open] = []
        self._done: list[FaceTrack] = []
        self._print: Fingerprint | None = None
        self._shot_frames = 0

    def step(self, frame: Frame) -> None:
        cfg, image = self._cfg, frame.image
        current = fingerprint(image)
        if self._print is not None and is_cut(
            self._print, current, cfg.cut_colour_change, cfg.cut_similarity
        ):
            self._end_shot()
        self._print = current
        self._open = [t for t in self._open if float(frame.time - t.times[-1]) <= cfg.max_gap]
        seen = self._follow(frame)
        look = len(seen) < len(self._open) or self._shot_frames % cfg.redetect_every == 0
        if look or not self._open:
            self._detect(frame, image, seen)
        self._shot_frames += 1

    def finish(self) -> list[FaceTrack]:
        self._end_shot()
        self._done.sort(key=lambda t: (t.start, float(t.bboxes[0, 0])))
        return [
            FaceTrack(
                i, t.start, t.bboxes, t.scores, t.landmarks, t.crop_from_frame, t.yaw
            )
            for i, t in enumerate(self._done)
        ]  # fmt: skip

    def _follow(self, frame: Frame) -> list[_Open]:
        """Open tracks whose face is where it was; of two that fell onto one face the older stays."""
        seen: list[_Open] = []
        for track in list(self._open):
            face = self._backend.follow(frame.image, track.last)
            if face is None:
                continue
            if seen and iou(face.bbox, np.stack([t.last.bbox for t in seen])).max() > 0.5:
                self._open.remove(track)
                continue
            track.add(frame, face)
            seen.append(track)
        return seen

    def _detect(self, frame: Frame, image: Image, seen: list[_Open]) -> None:
        thorough = not self._open and self._shot_frames % self._cfg.thorough_every == 0
        lost = [track for track in self._open if track not in seen]
        for face in self._backend.detect(image, thorough):
            if any(_same_place(face, track.last) for track in seen):
                continue
            track = next((track for track in lost if _same_place(face, track.last)), None)
            if track is None:
                track = _Open(face)
                self._open.append(track)
                self._in_shot.append(track)
            else:
                lost.remove(track)
            track.add(frame, face)
            seen.append(track)

    def _end_shot(self) -> None:
        shortest = min(self._cfg.min_frames, self._shot_frames)
        self._done += [_close(t, self._cfg) for t in self._in_shot if len(t.indices) >= shortest]
        self._open, self._in_shot, self._shot_frames = [], [], 0


def _same_place(face: Face, other: Face) -> bool:
    """Whether two boxes are of one face a few frames apart: they overlap, or their centres are near."""
    if iou(face.bbox, other.bbox[None])[0] > 0.25:
        return True
    centre, other_centre = ((b[:2] + b[2:]) / 2 for b in (face.bbox, other.bbox))
    widths = (float(b[2] - b[0]) for b in (face.bbox, other.bbox))
    smaller, larger = sorted(widths)
    return smaller > 0.6 * larger and float(np.linalg.norm(centre - other_centre)) < 0.5 * larger


def _close(track: _Open, cfg: TrackConfig) -> FaceTrack:
    """Fill gaps by interpolation in time, smooth, and fit the crops."""
    start, stop = track.indices[0], track.indices[-1] + 1
    known = np.array(track.indices) - start
    every = np.arange(stop - start)
    scores = np.zeros(len(every), np.float32)
    scores[known] = track.scores
    landmarks = _interpolate(every, known, np.stack(track.landmarks))
    duration = float(track.times[-1] - track.times[0])
    rate = (len(every) - 1) / duration if duration > 0 else 25.0
    crops = np.stack([crop_from_landmarks(points) for points in landmarks])
    smoothed = smooth(landmarks, cfg.smooth_landmarks * rate).astype(np.float32)
    return FaceTrack(
        track_id=-1,
        start=start,
        bboxes=np.stack([bbox_of(points) for points in smoothed]),
        scores=scores,
        landmarks=smoothed,
        crop_from_frame=smooth_similarities(crops, cfg.smooth_crop * rate),
        yaw=smooth(_interpolate(every, known, np.array(track.yaws)), cfg.smooth_crop * rate).astype(
            np.float32
        ),
    )


def _interpolate(
    every: NDArray[np.int64], known: NDArray[np.int64], values: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Values [K, ...] at frames `known`, linear in between, for all frames `every`."""
    after = np.searchsorted(known, every)
    before = np.where(known[after] == every, after, after - 1)
    span = np.maximum(known[after] - known[before], 1)
    weight = ((every - known[before]) / span).reshape(-1, *[1] * (values.ndim - 1))
    return ((1.0 - weight) * values[before] + weight * values[after]).astype(np.float32)
