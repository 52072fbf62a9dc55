"""The books about a load on the service: what got lost or came twice, what differs from before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks._serve_load import Outcome
from serve.jobs.layout import Layout
from serve.jobs.log import Log

_ROUNDING = 2
"""Levels of 255 of a decoded plane that count as equal: 1 of the picture, and its conversion to Y'CbCr."""
_SHARE = 1e-3
"""Of the samples of a frame that may differ by more: regions may differ in 1e-4, and 4:2:0 spreads them."""


@dataclass(frozen=True)
class StoredJob:
    """A job as its storage knows it."""

    id: str
    state: str
    claims: int
    outcomes: int


def stored_jobs(root: str) -> list[StoredJob]:
    """All jobs of a storage that was not in use before."""
    layout = Layout(root)
    jobs = []
    for record in sorted(Path(layout.root).glob("jobs/*.json")):
        job = layout.read_job(record.stem)
        assert job is not None
        history = Log(layout, job.folder).read()
        outcomes = sum(entry.kind == "outcome" for entry in history.entries)
        jobs.append(StoredJob(record.stem, history.state, len(history.claims), outcomes))
    return jobs


def account(outcomes: Sequence[Outcome], stored: Sequence[StoredJob], before: int = 0) -> dict[str, Any]:
    """The figures of a load.

    stored: all jobs in the storage afterwards; `before` of them were made before the load.
    """
    known = {job.id: job for job in stored}
    told = [outcome.job for outcome in outcomes if outcome.job is not None]
    unheard = sum(outcome.job is None and outcome.ended in ("error", "hung") for outcome in outcomes)
    open_jobs = [job.id for job in stored if job.state not in ("done", "failed", "cancelled")]
    lost = {outcome.job or outcome.number for outcome in outcomes if outcome.ended == "lost"}
    lost |= {job for job in told if job not in known or job in open_jobs}
    surplus = len(stored) - before - len(set(told)) - unheard
    twice = len(told) - len(set(told)) + sum(max(0, job.outcomes - 1) for job in stored)
    good = [outcome for outcome in outcomes if outcome.kind == "good"]
    return {
        "lost_jobs": len(lost),
        "duplicated_jobs": max(0, surplus) + twice,
        "hung_requests": sum(outcome.ended == "hung" for outcome in outcomes),
        "server_errors": sum(outcome.ended == "error" for outcome in outcomes),
        "told_to_come_back": sum(outcome.ended == "busy" for outcome in outcomes),
        "good_not_done": sum(outcome.ended not in ("done", "busy") for outcome in good),
        "bad_accepted": sum(
            outcome.ended == "done" for outcome in outcomes if outcome.kind in ("corrupt", "huge")
        ),
        "taken_over": sum(job.claims > 1 for job in stored),
        "requests": len(outcomes),
    }


def summary(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """A table: how the requests of each kind ended."""
    rows = []
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        those = [outcome for outcome in outcomes if outcome.kind == kind]
        counts = Counter(outcome.ended for outcome in those)
        ended = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        slowest = max(outcome.seconds for outcome in those)
        rows.append({"requests": len(those), "kind": kind, "ended": ended, "slowest s": slowest})
    return rows


def differs(output: Path, reference: Path) -> str:
    """Why a video is not equal to another of the same input, as DESIGN.md 2 has it; empty where it is.

    Both were encoded without loss (crf 0). Equal are: number and times of the frames, the sound, and of each
    decoded plane all samples within `_ROUNDING` but for a share of `_SHARE`, for batches of several
    requests may move the region of a pixel in ten thousand.
    """
    ours, theirs = _frames(output), _frames(reference)
    if [time for time, _ in ours] != [time for time, _ in theirs]:
        return f"{len(ours)} frames instead of {len(theirs)}, or other times"
    for number, ((_, one), (_, other)) in enumerate(zip(ours, theirs, strict=True)):
        if one.shape != other.shape:
            return f"frame {number} has another size"
        share = float((np.abs(one.astype(np.int16) - other) > _ROUNDING).mean())
        if share > _SHARE:
            return f"frame {number}: {share:.2%} of the samples differ by more than {_ROUNDING}"
    sounds = [_sound(path) for path in (output, reference)]
    return "" if sounds[0] == sounds[1] else "another sound"


def _frames(path: Path) -> list[tuple[Any, NDArray[Any]]]:
    """Time and planes [H * 3 / 2, W] of each frame of a short clip."""
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="yuv420p")) for frame in container.decode(video=0)]


def _sound(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0)]
