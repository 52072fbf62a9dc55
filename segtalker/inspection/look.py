"""What the system sees of a video: the analysis of a dub, and a few frames of it looked at closely."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.analysis import Analysis, analyse
from segtalker.compositing.plan import STILL_RATE, PlannedFrame, SyncMode
from segtalker.dub_config import DubConfig
from segtalker.editing.references import shown_regions
from segtalker.extract import FaceReader, ParsedCrop, neighbours
from segtalker.faces.align import apply_affine, invert_affine
from segtalker.frames import FrameWindow
from segtalker.media.audio import Speech
from segtalker.progress import OnProgress, Progress, StageClock
from segtalker.render import Painters
from segtalker.source import FrameSource, VideoSource
from segtalker.stages import Paints, Stages
from segtalker.types import Image, VideoInfo
from segtalker.workspace import Workspace

THUMBNAIL_PX = 480
"""Longer side of the frames that are kept."""
_UNIT = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How closely to look."""

    frames: int = 6
    """Frames of a video in its sheet."""
    samples: int = 40
    """Frames of a video whose style codes are compared."""
    seconds: float | None = None
    """Look at no more than the beginning of a video."""

    def __post_init__(self) -> None:
        if self.frames < 1 or self.samples < 1 or not (self.seconds is None or self.seconds > 0):
            raise ValueError("frames and samples must be at least 1, seconds more than 0")


@dataclass(frozen=True)
class SeenFace:
    """A face as the networks have it."""

    face: ParsedCrop
    """The crop with its matte and its map, cleaned of flicker as for a dub."""
    codes: NDArray[np.float32]
    """[R, L, D] of this frame alone."""
    repainted: Image
    """[S, S, 3] what the generator makes of these codes and this map."""


@dataclass(frozen=True)
class SeenFrame:
    """One frame of the sheet."""

    planned: PlannedFrame
    image: Image
    """The frame, no side longer than `THUMBNAIL_PX`."""
    outline: NDArray[np.float64] | None
    """[4, 2] corners of the face's crop in pixels of `image`; None without a face."""
    seen: SeenFace | None


@dataclass(frozen=True)
class Seen:
    """What was seen of one video."""

    name: str
    info: VideoInfo
    frames: tuple[SeenFrame, ...]
    codes: NDArray[np.float32]
    """[N, R, L, D] style codes of frames all over the video."""
    shown: NDArray[np.bool_]
    """[N, R] whether a frame shows a region; the codes of others are priors."""
    times: tuple[Fraction, ...]
    """[N] seconds of these frames."""
    counts: Mapping[str, int]
    """What a dub would do with how many frames."""
    num_tracks: int
    losses: tuple[str, ...]


def look(
    cfg: DubConfig, info: VideoInfo, name: str, stages: Stages, amount: Amount, tell: OnProgress
) -> Seen:
    """Analyse a video or picture as for a dub, and read frames that are spread evenly over it.

    Raises `FaceNotFound` where a dub could change no frame.
    """
    cfg = replace(cfg, edits=(), sync_mode=SyncMode.CUT_OFF)
    clock, source = StageClock(), VideoSource(info)
    networks = stages.networks
    reader = FaceReader(stages.parser, networks.painter.size, clock)
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder), stays=True)
        length = 1 / STILL_RATE if info.is_image else info.duration
        if amount.seconds is not None:
            length = min(length, Fraction(amount.seconds))
        unheard = Speech.unheard(length)
        analysis = analyse(source, unheard, cfg, stages.backend, reader, networks, work, clock, tell)
        painters = Painters(networks.painter, analysis.people)
        return _Looker(source, analysis, reader, painters).seen(name, amount, tell)


class _Looker:
    """Reads single frames of an analysed source, in ascending order."""

    def __init__(
        self, source: FrameSource, analysis: Analysis, reader: FaceReader, painters: Painters
    ) -> None:
        self._source, self._analysis, self._reader, self._painters = source, analysis, reader, painters
        self._window = FrameWindow(source)

    def seen(self, name: str, amount: Amount, tell: OnProgress) -> Seen:
        plan = self._analysis.plan
        in_sheet = set(spread(np.arange(len(plan)), amount.frames))
        compared = set(spread(np.flatnonzero(plan.track_ids >= 0), amount.samples))
        frames: list[SeenFrame] = []
        codes, shown, times = [], [], []
        wanted = sorted(in_sheet | compared)
        for done, index in enumerate(wanted):
            tell(Progress(f"looking at {name}", done, len(wanted)))
            planned = plan[index]
            face, image = self._read(planned)
            own = None if face is None else self._encode(face, self._painter(planned))
            if own is not None and face is not None and index in compared:
                codes.append(own)
                shown.append(shown_regions(face.parsed.region_map[None]))
                times.append(planned.time)
            if index in in_sheet:
                frames.append(self._frame(planned, image, face, own))
        tell(Progress(f"looking at {name}", len(wanted), len(wanted)))
        return Seen(
            name=name,
            info=self._source.info,
            frames=tuple(frames),
            codes=np.stack(codes),
            shown=np.stack(shown),
            times=tuple(times),
            counts=plan.counts(),
            num_tracks=len(self._analysis.tracks),
            losses=self._analysis.losses,
        )

    def _read(self, planned: PlannedFrame) -> tuple[ParsedCrop | None, Image]:
        """The face of a planned frame, None where it passes through, and the whole frame."""
        at = planned.source_index
        if planned.track_id is None:
            return None, self._window.get([at])[at].image
        track = self._analysis.tracks[planned.track_id]
        frames = self._window.get(neighbours(track, [at]))
        colours = self._analysis.people[planned.track_id].colours
        return self._reader.read(track, colours, frames, [at])[at], frames[at].image

    def _painter(self, planned: PlannedFrame) -> Paints:
        assert planned.track_id is not None
        return self._painters.of(planned.track_id)

    def _encode(self, face: ParsedCrop, painter: Paints) -> NDArray[np.float32]:
        return painter.encode(face.crop.image[None], face.parsed.region_map[None])

    def _frame(
        self, planned: PlannedFrame, image: Image, face: ParsedCrop | None, codes: NDArray[np.float32] | None
    ) -> SeenFrame:
        scale = min(1.0, THUMBNAIL_PX / max(image.shape[:2]))
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        if face is None or codes is None:
            return SeenFrame(planned, small, None, None)
        outline = apply_affine(invert_affine(face.crop.crop_from_frame), _UNIT) * scale
        repainted = self._painter(planned).paint(face.parsed.region_map[None], codes)[0]
        return SeenFrame(planned, small, outline, SeenFace(face, codes, repainted))


def spread(indices: NDArray[np.integer], count: int) -> list[int]:
    """At most `count` of ascending `indices`: the middles of as many equal parts."""
    parts = np.array_split(indices, min(count, len(indices))) if len(indices) else []
    return [int(part[(len(part) - 1) // 2]) for part in parts]
