"""How a job comes into being, and how what is left of one goes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from segtalker import storage
from segtalker.errors import StorageError
from serve.jobs.ids import FolderName
from serve.jobs.layout import Job, Layout
from serve.jobs.record import JobConflict, JobRequest, is_input_name

ACCEPT_S = 1800.0
"""Longest time that accepting may take: half of `HALF_MADE_S`, so that clocks of machines may differ."""
HALF_MADE_S = 3600.0
"""What was begun to be accepted so long ago and does not exist yet is litter."""


def accept(layout: Layout, request: JobRequest, files: Mapping[str, Path]) -> tuple[Job, bool]:
    """Store inputs, then make the job exist by one conditional create; returns it and whether it is new.

    Marks come first: a crash at any point leaves either a job that drivers find, or none and some litter that
    a sweep finds. Of two requests with one id at a time one makes the job, and the other is told of it.
    `JobConflict` if the job that is there was made by a request with another fingerprint.
    """
    _check_inputs(request, files)
    existing = layout.read_job(request.id)
    if existing is not None:
        return _same(existing, request), False
    begun = time.monotonic()
    job = Job(request, FolderName.new(request.id, time.time()).text)
    try:
        _prepare(layout, job, files)
        if time.monotonic() - begun > ACCEPT_S:
            raise StorageError(
                f"{layout.root}: storing a job took longer than {ACCEPT_S:.0f} s. Send it again."
            )
    except StorageError:
        discard(layout, job)
        raise
    if storage.create(layout.record(request.id), job.to_bytes()):
        return job, True
    winner = layout.read_job(request.id)
    if winner is not None and winner.folder == job.folder:  # a store's client that tried again met itself
        return job, True
    discard(layout, job)
    if winner is None:
        raise StorageError(f"Job {request.id} was deleted while it was sent again. Send it once more.")
    return _same(winner, request), False


def discard(layout: Layout, job: Job) -> None:
    """Remove files and marks of a job whose record is gone, or never was."""
    storage.remove(layout.data(job.folder))
    for mark in _marks(layout, job):
        storage.remove(mark)


def _prepare(layout: Layout, job: Job, files: Mapping[str, Path]) -> None:
    for mark in _marks(layout, job):
        storage.write_bytes(mark, b"")
    for name, local in files.items():
        storage.put_file(local, layout.data(job.folder, "inputs", name))


def _marks(layout: Layout, job: Job) -> list[str]:
    marks = [layout.marker("open", job.folder), layout.owner(job.request.owner, job.folder)]
    return marks if job.request.callback_url is None else [*marks, layout.marker("calls", job.folder)]


def _same(existing: Job, request: JobRequest) -> Job:
    if existing.request.fingerprint != request.fingerprint:
        raise JobConflict(
            f"Job {request.id} exists and was made by another request. Send the same request again, or use "
            "another idempotency key."
        )
    return existing


def _check_inputs(request: JobRequest, files: Mapping[str, Path]) -> None:
    if set(files) != set(request.inputs) or not all(map(is_input_name, files)):
        raise ValueError(
            "inputs of a job are video, speech, photo and reference-1..., each with its file; "
            f"got {sorted(files)}"
        )
