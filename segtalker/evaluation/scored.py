"""The record of one scored pair, which is kept on disk so that no video is scored twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segtalker.evaluation.figures import VideoFigures
from segtalker.evaluation.sets import SetFigures


@dataclass(frozen=True)
class Scored:
    """What came of one pair: a row of the videos, or of the failures where there is a `reason`."""

    id: str
    figures: VideoFigures = field(default_factory=VideoFigures)
    sets: SetFigures = field(default_factory=SetFigures)
    notes: tuple[str, ...] = ()
    """What a reader should know: another rate, common time only, no speech."""
    reason: str = ""
    """Why there are no figures: one sentence."""

    def to_json(self) -> dict[str, Any]:
        """Plain values of all but `sets`, which are kept as bytes of their own."""
        return {
            "id": self.id,
            "figures": self.figures.to_json(),
            "notes": list(self.notes),
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], sets: SetFigures | None = None) -> Scored:
        """The record of plain values and of the sets that were kept beside them."""
        figures = VideoFigures.from_json(values["figures"])
        notes = tuple(values["notes"])
        return cls(str(values["id"]), figures, sets or SetFigures(), notes, str(values["reason"]))
