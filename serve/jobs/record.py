"""What is known of a job: what was asked for, how it ended, and what a caller is shown of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from segtalker.errors import SegTalkerError

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
EndState = Literal["done", "failed", "cancelled"]
ResultKind = Literal["video", "report", "maps"]
RESULT_FILES: dict[ResultKind, str] = {"video": "video.mp4", "report": "report.json", "maps": "maps.mp4"}
RUN_PIECE = "key.txt"
"""Piece of work that names the folder of the run whose pieces count; others are of other versions."""
_INPUT = re.compile(r"video|speech|photo|reference-[1-9][0-9]?")


class JobNotFound(SegTalkerError):
    """No job of this id."""


class JobConflict(SegTalkerError):
    """The id is taken by another request."""


class JobOpen(SegTalkerError):
    """The job has not ended yet."""


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What was asked for; never changes."""

    id: str
    owner: str
    created: float
    """UTC seconds."""
    options: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, dict[str, Any]]
    """`video`, `speech` (not of an edit), perhaps `photo` and `reference-1`...: what `is_input_name` takes.

    {"file_name", "bytes", "sha256"} of each.
    """
    callback_url: str | None = None
    fingerprint: str = ""
    """Of all that the caller sent: two requests with one id are the same if this is."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended."""

    state: EndState
    error: str | None = None
    """One sentence, of a failed job."""
    files: dict[str, int] = field(default_factory=dict)
    """Bytes of each result: `video`, `report`, `maps`."""
    fence: int | None = None
    """The claim whose results these are."""
    report: dict[str, Any] | None = None
    progress: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job as it stands. Times are UTC seconds."""

    id: str
    owner: str
    state: JobState
    created: float
    started: float | None = None
    """When it was first taken by a driver."""
    ended: float | None = None
    attempts: int = 0
    """Drivers that have taken it so far."""
    progress: list[dict[str, Any]] = field(default_factory=list)
    """{"stage", "done", "total", "unit"} of each stage in order; the last is current."""
    eta_s: float | None = None
    """Seconds left of the current stage at its mean rate so far; None where that is not known."""
    error: str | None = None
    report: dict[str, Any] | None = None
    files: dict[str, int] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("queued", "running")

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the API answers."""
        return asdict(self)


def is_input_name(name: str) -> bool:
    """Whether an input of a job may have this name, which is also that of its file."""
    return _INPUT.fullmatch(name) is not None


def result_file(kind: str) -> str:
    """File name of a kind of result; `ValueError` for another kind."""
    names: Mapping[str, str] = {str(name): file for name, file in RESULT_FILES.items()}
    if kind not in names:
        raise ValueError(f"{kind!r} is no result of a job; results are {', '.join(names)}")
    return names[kind]
