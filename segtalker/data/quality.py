"""Which clips are good enough to learn from; whatever is refused is told with its figure and its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.loudness import frame_energy
from segtalker.audio.source import SAMPLE_RATE, SampleSource
from segtalker.data.shards import FPS
from segtalker.metrics.sync import SyncCurve
from segtalker.types import FaceTrack

_BLOCK = 25 * 60  # frames of sound looked at together


class NotUsable(Exception):
    """A clip that is whole, but not one to learn from; the message says why."""


@dataclass(frozen=True)
class QualityConfig:
    """Limits beyond which a clip is skipped."""

    min_s: float = 2.0
    """Seconds that a face must be seen without a break; shorter stretches are left out."""
    min_seen: float = 0.5
    """Share of the clip that must be left after that."""
    min_face_px: float = 60.0
    """Width of the face, median over the clip."""
    max_crowded: float = 0.2
    """Share of frames with another face at least half as wide (within the crop box, where there is one)."""
    silence_db: float = -50.0
    """Frames that are softer count as silent, decibels below full scale."""
    min_sounding: float = 0.1
    """Share of frames that must not be silent."""
    max_offset: int = 4
    """Frames that sound and picture may be apart, where the estimate is sure."""
    min_confidence: float = 1.5
    """Log-odds by which the best shift must be better than the median one to be believed."""
    min_windows: int = 45
    """Windows of mouths (at most 64 a sample; 3 s of video have 41) below which no offset is told."""


def check_sound(speech: SampleSource, frames: int, cfg: QualityConfig) -> float:
    """Share of the frames that are not silent; `NotUsable` where it is too small."""
    loud = 0
    for first in range(0, frames, _BLOCK):
        count = min(_BLOCK, frames - first)
        samples = speech.samples(first * SAMPLE_RATE // FPS, (first + count) * SAMPLE_RATE // FPS)
        loud += int((frame_energy(samples, count) > cfg.silence_db).sum())
    share = loud / max(frames, 1)
    if share < cfg.min_sounding:
        raise NotUsable(f"silence: only {share:.0%} of the frames are louder than {cfg.silence_db:g} dB")
    return share


def check_faces(
    own: Sequence[FaceTrack],
    others: Sequence[FaceTrack],
    frames: int,
    box: tuple[float, float, float, float] | None,
    cfg: QualityConfig,
) -> tuple[list[FaceTrack], float]:
    """Tracks of the person that are long enough, and the median width of the face in pixels.

    box: left, top, right, bottom; faces with their centre outside it disturb nobody. `NotUsable` says which
    limit is not kept.
    """
    long = [track for track in own if track.num_frames >= cfg.min_s * FPS]
    seen = sum(track.num_frames for track in long) / max(frames, 1)
    if seen < cfg.min_seen or not long:
        raise NotUsable(f"face lost: followed through {seen:.0%} of {frames / FPS:.1f} s")
    widths = np.concatenate([_widths(track) for track in long])
    width = float(np.median(widths))
    if width < cfg.min_face_px:
        raise NotUsable(f"face too small: {width:.0f} px wide, wanted {cfg.min_face_px:g}")
    crowded = _crowded(long, others, frames, box).sum() / len(widths)
    if crowded > cfg.max_crowded:
        raise NotUsable(f"several faces: in {crowded:.0%} of the frames")
    return long, width


def check_sync(curve: SyncCurve, cfg: QualityConfig) -> tuple[int | None, float]:
    """Offset in frames (None where too little was seen) and confidence; `NotUsable` where surely large."""
    if curve.windows < cfg.min_windows:
        return None, 0.0
    offset, confidence = curve.offset, round(curve.confidence, 3)
    if abs(offset) > cfg.max_offset and confidence >= cfg.min_confidence:
        raise NotUsable(
            f"out of sync: the speech is {abs(offset)} frames {'late' if offset > 0 else 'early'} "
            f"(confidence {confidence:.1f})"
        )
    return offset, confidence


def _crowded(
    own: Sequence[FaceTrack],
    others: Sequence[FaceTrack],
    frames: int,
    box: tuple[float, float, float, float] | None,
) -> NDArray[np.bool_]:
    """[frames] whether a face beside the person's is at least half as wide."""
    width = np.full(frames, np.inf)
    for track in own:
        width[track.start : track.stop] = _widths(track)
    crowded = np.zeros(frames, bool)
    for track in others:
        near = _widths(track) >= 0.5 * width[track.start : track.stop]
        if box is not None:
            centres = (track.bboxes[:, :2] + track.bboxes[:, 2:]) / 2
            near &= ((centres >= box[:2]) & (centres <= box[2:])).all(axis=1)
        crowded[track.start : track.stop] |= near
    return crowded


def _widths(track: FaceTrack) -> NDArray[np.float32]:
    return track.bboxes[:, 2] - track.bboxes[:, 0]
