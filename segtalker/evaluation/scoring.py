"""One task to one record: the same on a laptop and on any worker of a cluster.

A record stands under a name that says protocol, networks and content of all files, complete or not at all, so
that no video is scored twice. What goes wrong is a reason in the record, never an exception, and is not kept:
the next run tries again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from segtalker.errors import SegTalkerError
from segtalker.evaluation.pairs import Pair
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.score import score_row
from segtalker.evaluation.scored import Scored
from segtalker.evaluation.sets import SetFigures
from segtalker.evaluation.tasks import Task
from segtalker.evaluation.tools import Tools
from segtalker.storage import Uri, content_sample, exists, join, read_bytes, read_if_exists, write_bytes

SCORE_VERSION = 1
"""Changes whenever the same files and protocol would give other figures."""
_RECORDS = "records"


@dataclass(frozen=True)
class Record:
    """What came of a task: small, whatever the length of the video."""

    method: str
    id: str
    key: str = ""
    """Names the stored record; empty of a failure."""
    figures: Mapping[str, float | None] = field(default_factory=dict)
    notes: Sequence[str] = ()
    reason: str = ""
    """Why there are no figures: one sentence."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Figure -> why the worker that looked could not measure it."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """What measured -> which network."""


def score_task(task: Task, protocol: EvalProtocol, tools: Tools, out: Uri) -> Record:
    """Score one video into `out`/records, unless it is there. Safe to run again and by several at once."""
    pair = task.pair
    failed = Record(task.method, pair.id, absent=tools.absent, networks=tools.networks)
    if not pair.output:
        return replace(failed, reason="neither a reference nor a source is given for it")
    try:
        if not exists(pair.output):
            return replace(failed, reason=f"no video: there is no {pair.output}")
        key = record_key(pair, protocol, tools)
        scored = read_record(out, key)
        if scored is None:
            scored = score_row(pair, protocol, tools)
            if not scored.reason:
                _keep(scored, out, key)
    except SegTalkerError as error:
        return replace(failed, reason=str(error))
    if scored.reason:
        return replace(failed, reason=scored.reason)
    return replace(failed, key=key, figures=scored.figures.figures(), notes=scored.notes)


def record_key(pair: Pair, protocol: EvalProtocol, tools: Tools) -> str:
    """Names all that the figures depend on: protocol, networks, and the content of the files."""
    names = (pair.output, pair.reference, pair.source, pair.speech, pair.labels)
    parts = [content_sample(name) if name else "" for name in names]
    measured = json.dumps([sorted(tools.measured(protocol)), dict(tools.networks)], sort_keys=True)
    shown = " ".join(map(str, sorted(pair.shown_frames)))
    text = "\n".join([str(SCORE_VERSION), protocol.key, measured, shown, *parts])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def read_record(out: Uri, key: str) -> Scored | None:
    """What an earlier run found, without its moments; None where nothing whole is there."""
    data = read_if_exists(_place(out, key, "json"))
    if data is None:
        return None
    try:
        return Scored.from_json(json.loads(data))
    except (ValueError, KeyError, TypeError):  # damaged, or of another version: score it again
        return None


def read_sets(out: Uri, key: str) -> SetFigures:
    """The moments of a record, for figures of the set."""
    return SetFigures.from_bytes(read_bytes(_place(out, key, "npz")))


def _keep(scored: Scored, out: Uri, key: str) -> None:
    """The JSON last: a record counts only with it."""
    write_bytes(_place(out, key, "npz"), scored.sets.to_bytes())
    write_bytes(_place(out, key, "json"), json.dumps(scored.to_json()).encode())


def _place(out: Uri, key: str, suffix: str) -> str:
    return join(out, _RECORDS, f"{key}.{suffix}")
