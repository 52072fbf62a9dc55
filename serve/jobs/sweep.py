"""What nobody needs any more: ended jobs after their time, and what crashes have left."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from segtalker import storage
from segtalker.errors import SegTalkerError
from serve.jobs.accept import HALF_MADE_S
from serve.jobs.ids import FolderName
from serve.jobs.known import Known
from serve.jobs.layout import Layout

_log = logging.getLogger(__name__)


def sweep(
    layout: Layout, known: Known, delete: Callable[[str], None], retention_s: float, now: float
) -> dict[str, int]:
    """Delete ended jobs older than `retention_s`, and litter; returns how many of each, and of failures.

    now: UTC seconds. What cannot be deleted is logged and left for the next time.
    """
    counts = Counter({"deleted": 0, "litter": 0, "failures": 0})

    def attempt(what: str, action: Callable[[], None]) -> None:
        try:
            action()
            counts[what] += 1
        except SegTalkerError as error:
            counts["failures"] += 1
            _log.warning("sweeping: %s", error)

    kept = _kept(layout)
    for name in kept:
        if now - name.made > retention_s and _has_ended(known, name, now - retention_s):
            attempt("deleted", partial(delete, name.job))
    for uri in _litter(layout, {name.text for name in kept}, now - HALF_MADE_S):
        attempt("litter", partial(storage.remove, uri))
    return dict(counts)


def _kept(layout: Layout) -> list[FolderName]:
    """Folders of jobs that exist, without reading a record unless an id has several folders."""
    folders = layout.folders("data")
    jobs = {name.removesuffix(".json") for name in storage.list_names(layout.all("jobs"))}
    several = {job for job, count in Counter(name.job for name in folders).items() if count > 1}
    records = {job: layout.read_job(job) for job in several & jobs}
    return [
        name
        for name in folders
        if name.job in jobs and ((record := records.get(name.job)) is None or record.folder == name.text)
    ]


def _litter(layout: Layout, kept: set[str], before: float) -> Iterator[str]:
    """Folders and marks of jobs that were begun before that time and do not exist."""
    found = [storage.join(kind, name) for kind in ("data", "open", "calls") for name in _names(layout, kind)]
    found += [storage.join("owners", name) for name in storage.list_files(layout.all("owners"))]
    for path in found:
        name = FolderName.parse(path.rsplit("/", 1)[-1])
        if name is not None and name.text not in kept and name.made < before:
            yield layout.all(path)


def _names(layout: Layout, kind: str) -> list[str]:
    return [name.text for name in layout.folders(kind)]


def _has_ended(known: Known, name: FolderName, before: float) -> bool:
    job = known.ended(name.job) or known.load(name.job)
    return (
        job is not None
        and job.job.folder == name.text
        and job.history.outcome is not None
        and job.history.entries[-1].time < before
    )
