"""The frame plan as data: the decisions on all output frames, their chunks, and their JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtalker.errors import DataError

_FORMAT_VERSION = 1


class SyncMode(str, Enum):
    """What happens when source and speech differ in length; `compositing.plan` says it exactly."""

    CUT_OFF = "cut_off"
    LOOP = "loop"
    BOUNCE = "bounce"
    SILENCE = "silence"
    REMAP = "remap"


class Reason(str, Enum):
    """Why a frame is synthesized or passes through."""

    SYNTHESIZED = "synthesized"
    NO_FACE = "no_face"
    PROFILE = "profile"
    TOO_SMALL = "too_small"
    OTHER_SPEAKER = "other_speaker"
    OUTSIDE_SPAN = "outside_span"
    NO_SPEECH = "no_speech"


_REASONS = list(Reason)


@dataclass(frozen=True)
class PlannedFrame:
    """The decision on one output frame."""

    index: int
    time: Fraction
    """Seconds from the beginning of the output."""
    source_index: int
    reason: Reason
    track_id: int | None
    """The track to be synthesized, None for a frame that passes through."""

    @property
    def synthesize(self) -> bool:
        """Whether a mouth is made for this frame."""
        return self.reason is Reason.SYNTHESIZED


@dataclass(frozen=True)
class Chunk:
    """Output frames `start` .. `stop` - 1, rendered and encoded on their own."""

    index: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class FramePlan:
    """Decisions on all N output frames, in arrays: a few bytes a frame."""

    sync_mode: SyncMode
    chunk_frames: int
    frame_rate: Fraction
    """Nominal or mean output rate."""
    time_base: Fraction
    """Seconds of one tick."""
    ticks: NDArray[np.int64]
    """[N + 1] time at which each frame appears, and the end of the last."""
    source: NDArray[np.int64]
    """[N] source index."""
    reason_codes: NDArray[np.int64]
    """[N] position in `Reason`."""
    track_ids: NDArray[np.int64]
    """[N] -1 where the frame passes through."""

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> PlannedFrame:
        index = range(len(self))[index]
        track = int(self.track_ids[index])
        reason = _REASONS[int(self.reason_codes[index])]
        return PlannedFrame(
            index, self.time(index), int(self.source[index]), reason, track if track >= 0 else None
        )

    def __iter__(self) -> Iterator[PlannedFrame]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FramePlan) and self.to_dict() == other.to_dict()

    def time(self, index: int) -> Fraction:
        """Seconds at which frame `index` appears; `time(len(plan))` is the end."""
        return int(self.ticks[index]) * self.time_base

    @property
    def duration(self) -> Fraction:
        """Seconds of the output; the sound is cut or padded to exactly this."""
        return self.time(len(self))

    def counts(self) -> dict[str, int]:
        """Number of output frames by reason, only reasons that occur."""
        counted = Counter(self.reason_codes.tolist())
        return {reason.value: counted[code] for code, reason in enumerate(_REASONS) if counted[code]}

    def sources(self, chunk: Chunk) -> list[int]:
        """Source indices of a chunk's frames, for `media.read.read_sequence`."""
        return self.source[chunk.start : chunk.stop].tolist()

    def chunks(self) -> list[Chunk]:
        """All chunks; they depend on the number of frames and `chunk_frames` alone."""
        size = self.chunk_frames
        return [
            Chunk(i, i * size, min((i + 1) * size, len(self))) for i in range(math.ceil(len(self) / size))
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: arrays as runs [first value, step, count]."""
        return {
            "version": _FORMAT_VERSION,
            "sync_mode": self.sync_mode.value,
            "chunk_frames": self.chunk_frames,
            "frame_rate": str(self.frame_rate),
            "time_base": str(self.time_base),
            "reasons": [reason.value for reason in _REASONS],
            "ticks": _runs(self.ticks),
            "source": _runs(self.source),
            "reason_codes": _runs(self.reason_codes),
            "track_ids": _runs(self.track_ids),
        }

    def to_json(self) -> str:
        """The plan as one line of JSON, the same on every machine."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FramePlan:
        """The plan that `to_json` wrote."""
        values = json.loads(text)
        if values.get("version") != _FORMAT_VERSION or values["reasons"] != [r.value for r in _REASONS]:
            raise DataError("frame plan of another version of SegTalker: analyse the video again.")
        return cls(
            sync_mode=SyncMode(values["sync_mode"]),
            chunk_frames=values["chunk_frames"],
            frame_rate=Fraction(values["frame_rate"]),
            time_base=Fraction(values["time_base"]),
            ticks=_from_runs(values["ticks"]),
            source=_from_runs(values["source"]),
            reason_codes=_from_runs(values["reason_codes"]),
            track_ids=_from_runs(values["track_ids"]),
        )


def _runs(values: NDArray[np.int64]) -> list[list[int]]:
    """Runs [first, step, count] of equal steps that cover the values."""
    runs: list[list[int]] = []
    position = 0
    steps = np.diff(values)
    turns = np.append(np.flatnonzero(np.diff(steps)) + 1, len(steps))
    while position < len(values):
        step = int(steps[position]) if position < len(steps) else 0
        last = (
            int(turns[np.searchsorted(turns, position, side="right")]) if position < len(steps) else position
        )
        runs.append([int(values[position]), step, last - position + 1])
        position = last + 1
    return runs


def _from_runs(runs: list[list[int]]) -> NDArray[np.int64]:
    parts = [first + step * np.arange(count, dtype=np.int64) for first, step, count in runs]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
