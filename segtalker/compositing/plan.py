"""The frame plan: for every output frame its time, its source frame, and whether and why it is synthesized.

A pure function of the source's frame times, the face tracks, the length of the speech and the sync mode.
Nothing downstream decides again: a frame without a usable face passes through in its place, with a reason.

Sync modes. The source lasts V seconds (its last frame as long as the one before it), the speech S seconds:

    cut_off   min(V, S): the longer one is cut. The default.
    silence   V: the speech is padded with silence, or cut.
    loop      S: the source starts again at its first frame as often as needed, or is cut.
    bounce    S: the source runs forward and backward, its first and last frames shown once at each turn
              (0 1 ... N-1 N-2 ... 1, then again: 2 N - 2 frames). Every frame keeps its own duration.
    remap     S: the source is stretched or squeezed to the speech. The output keeps the source's rate (its
              mean rate if it varies); each output frame shows the nearest of the stretched source frames.

A frame belongs to the output if it starts before the output's end, so no speech is lost and the output is
at most one frame longer. A still picture is shown at 25 frames per second for S seconds in every mode. With
`fps`, the output is a constant grid of that rate, each frame showing the source frame nearest in time (the
earlier on a tie). Otherwise source frames keep their exact times, also where the rate varies; there, with no
grid to keep, the last frame is shortened to the output's end.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segtalker.compositing import timeline
from segtalker.compositing.frame_plan import Chunk, FramePlan, PlannedFrame, Reason, SyncMode
from segtalker.compositing.timeline import Timeline
from segtalker.errors import MediaError
from segtalker.types import FaceTrack, VideoInfo

__all__ = ["Chunk", "FramePlan", "PlanConfig", "PlannedFrame", "Reason", "SyncMode", "make_plan"]

STILL_RATE = Fraction(25)
_CODES = {reason: code for code, reason in enumerate(Reason)}


@dataclass(frozen=True)
class PlanConfig:
    """Which frames are synthesized, and the grid of the output."""

    max_yaw_deg: float = 60.0
    """Faces turned further pass through."""
    min_face_px: float = 24.0
    """Faces whose box is lower than this pass through."""
    fps: str | None = None
    """Constant output rate, "25" or "30000/1001"; the source's own times by default."""
    spans_s: tuple[tuple[float, float], ...] = ()
    """Output seconds [start, end) to be dubbed; everything by default."""
    after_speech: Literal["close", "pass"] = "close"
    """Once the speech is over: "close" synthesizes a silent mouth, "pass" leaves the source as it is."""
    chunk_frames: int = 25
    """Output frames of a chunk and of its video segment; a stream begins after the first."""

    def __post_init__(self) -> None:
        if self.fps is not None:
            _rate(self.fps)
        if self.min_face_px < 0 or not 0 <= self.max_yaw_deg <= 180:
            raise ValueError("min_face_px must be >= 0 and max_yaw_deg 0 .. 180")
        if self.chunk_frames < 1:
            raise ValueError("chunk_frames must be at least 1")
        if any(start >= end for start, end in self.spans_s):
            raise ValueError("spans_s: a span must end after its start")


def make_plan(
    times: Sequence[Fraction],
    info: VideoInfo,
    tracks: Sequence[FaceTrack],
    speech_duration: Fraction,
    sync_mode: SyncMode | str = SyncMode.CUT_OFF,
    cfg: PlanConfig | None = None,
    speakers: Collection[int] | None = None,
) -> FramePlan:
    """Decide on every output frame.

    times: display times of all source frames (`media.read.frame_times`). tracks: all faces found. speakers:
    ids of the tracks to be dubbed, all by default; where several of them share a frame, the largest face is
    taken.
    """
    cfg = cfg or PlanConfig()
    mode = SyncMode(sync_mode)
    if speech_duration <= 0:
        raise MediaError("the speech has zero length: there is nothing to say. Name another file.")
    if not times:
        raise MediaError(f"{info.path}: no frames. Export the video again.")
    asked = _rate(cfg.fps) if cfg.fps is not None else None
    if info.is_image:
        rate = asked or STILL_RATE
        shown = timeline.grid(rate, math.ceil(speech_duration * rate))
    else:
        rate = asked or info.frame_rate
        shown = _show(timeline.native(times, info.frame_rate), info, mode, speech_duration, asked)
    codes, track_ids = _judge_source(len(times), tracks, speakers, cfg)
    codes, track_ids = codes[shown.source], track_ids[shown.source]
    at_s = shown.ticks[:-1] * float(shown.tick)
    if cfg.after_speech == "pass":
        over = shown.ticks[:-1] >= math.ceil(speech_duration / shown.tick)
        codes = np.where(over, _CODES[Reason.NO_SPEECH], codes)
    if cfg.spans_s:
        inside = np.any([(at_s >= start) & (at_s < end) for start, end in cfg.spans_s], axis=0)
        codes = np.where(inside, codes, _CODES[Reason.OUTSIDE_SPAN])
    return FramePlan(
        sync_mode=mode,
        chunk_frames=cfg.chunk_frames,
        frame_rate=rate,
        time_base=shown.tick,
        ticks=shown.ticks,
        source=shown.source,
        reason_codes=codes,
        track_ids=np.where(codes == _CODES[Reason.SYNTHESIZED], track_ids, -1),
    )


def _show(
    source: Timeline, info: VideoInfo, mode: SyncMode, speech: Fraction, asked: Fraction | None
) -> Timeline:
    """The timeline of the output: source frames by mode, on the asked grid, cut at the output's end."""
    if mode is SyncMode.REMAP:
        return timeline.resample(source, asked or info.frame_rate, speech / source.end).before(speech)
    if mode is SyncMode.LOOP:
        shown, end = timeline.loop(source, speech), speech
    elif mode is SyncMode.BOUNCE:
        shown, end = timeline.bounce(source, speech), speech
    elif mode is SyncMode.SILENCE:
        shown, end = source, source.end
    else:
        shown, end = source, min(source.end, speech)
    if asked is not None:
        return timeline.resample(shown, asked).before(end)
    return shown.before(end, shorten_last=info.is_vfr)


def _judge_source(
    num_frames: int, tracks: Sequence[FaceTrack], speakers: Collection[int] | None, cfg: PlanConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Reason code [N] and track id [N] of every source frame; the track is -1 where no face can be used."""
    codes = np.full(num_frames, _CODES[Reason.NO_FACE])
    track_ids = np.full(num_frames, -1)
    areas = np.zeros(num_frames)
    for track in tracks:
        if speakers is not None and track.track_id not in speakers:
            span = slice(track.start, track.stop)
            empty = codes[span] == _CODES[Reason.NO_FACE]
            codes[span][empty] = _CODES[Reason.OTHER_SPEAKER]
            continue
        sides = track.bboxes[:, 2:] - track.bboxes[:, :2]
        area = sides.prod(axis=1)
        verdict = np.full(track.num_frames, _CODES[Reason.SYNTHESIZED])
        verdict[sides[:, 1] < cfg.min_face_px] = _CODES[Reason.TOO_SMALL]
        verdict[np.abs(track.yaw) > cfg.max_yaw_deg] = _CODES[Reason.PROFILE]
        for offset, code in enumerate(verdict.tolist()):
            index = track.start + offset
            usable = code == _CODES[Reason.SYNTHESIZED]
            if usable and area[offset] > areas[index]:
                codes[index], track_ids[index], areas[index] = code, track.track_id, area[offset]
            elif track_ids[index] < 0:
                codes[index] = code
    return codes, track_ids


def _rate(text: str) -> Fraction:
    """A frame rate in 1..1000 from "25" or "30000/1001"."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"fps = {text!r} is not a rate; write 25 or 30000/1001") from error
    if not 1 <= rate <= 1000:
        raise ValueError(f"fps = {text} is outside 1..1000")
    return rate
