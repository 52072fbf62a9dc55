"""What came of a clip, and how it is kept: a sealed folder of samples, or a note why there is none.

A clip's folder appears complete or not at all, with its outcome in the seal; a clip that is skipped leaves a
small file under `outcomes`; one that failed leaves nothing, and is tried again by the next run.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segtalker.errors import SegTalkerError
from segtalker.regions import NUM_REGIONS
from segtalker.storage import (
    MANIFEST,
    Uri,
    exists,
    is_local,
    is_sealed,
    join,
    put_folder,
    read_bytes,
    remove,
    seal_folder,
    write_bytes,
)

SCRATCH = ".work"
_OUTCOMES = "outcomes"


@dataclass(frozen=True)
class Outcome:
    """What came of one clip."""

    clip: str
    key: str
    """Folder of its samples; empty where the video could not even be read."""
    status: Literal["done", "failed", "skipped"]
    reason: str = ""
    dataset: str = ""
    identity: str = ""
    split: str = ""
    source: str = ""
    samples: int = 0
    frames: int = 0
    """Of all samples together."""
    areas: tuple[int, ...] = (0,) * NUM_REGIONS
    """Pixels of each region over all frames."""
    face_px: float = 0.0
    """Width of the face in the video, median."""
    sounding: float = 0.0
    """Share of frames that are not silent."""
    offset: int | None = None
    """Frames by which the speech is late, as the lip-sync expert sees it; None where nobody looked."""
    confidence: float = 0.0


def outcome_from_values(values: dict[str, Any]) -> Outcome:
    """An outcome out of plain values, as stored."""
    return Outcome(**{**values, "areas": tuple(values["areas"])})


def merge_areas(outcomes: Iterable[Outcome]) -> NDArray[np.int64]:
    """Pixels [12] of each region over all clips; sums of sums are the sum."""
    return np.sum([o.areas for o in outcomes], axis=0, dtype=np.int64, initial=0) + np.zeros(12, np.int64)


def find_outcome(key: str, out: Uri) -> Outcome | None:
    """What an earlier run made of a clip, None where nothing final is there."""
    if is_sealed(join(out, key)):
        return outcome_from_values(json.loads(read_bytes(join(out, key, MANIFEST)))["outcome"])
    note = join(out, _OUTCOMES, f"{key}.json")
    return outcome_from_values(json.loads(read_bytes(note))) if exists(note) else None


@contextmanager
def scratch_folder(out: Uri, key: str) -> Iterator[Path]:
    """A folder for one attempt, on the disk of `out` where that is local, so that it can be renamed."""
    if is_local(out):
        root = Path(str(out).removeprefix("file://")) / SCRATCH
        root.mkdir(parents=True, exist_ok=True)
        folder = root / f"{key}-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
    else:
        folder = Path(tempfile.mkdtemp(prefix="segtalker-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(samples: Path, uri: str, outcome: Outcome) -> None:
    """Give finished `samples` their final name; of two workers with the same clip the first one wins."""
    extra = {"outcome": asdict(outcome)}
    if not is_local(uri):
        put_folder(samples, uri, extra)
        return
    seal_folder(samples, extra)
    target = Path(uri.removeprefix("file://"))
    if not is_sealed(uri):
        remove(uri)  # a folder without its seal was left by a copy that broke off
        try:
            os.replace(samples, target)
        except OSError:
            if not is_sealed(uri):
                raise


def keep_skipped(outcome: Outcome, out: Uri) -> Outcome:
    """Remember that a clip is skipped; where even that fails, say so."""
    try:
        text = json.dumps(asdict(outcome), ensure_ascii=False)
        write_bytes(join(out, _OUTCOMES, f"{outcome.key}.json"), text.encode())
    except SegTalkerError as error:
        return replace(outcome, status="failed", reason=str(error))
    return outcome
