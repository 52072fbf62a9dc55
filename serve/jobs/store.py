"""Jobs in storage: whatever process is gone, an accepted job is not.

Nothing that matters is in memory, and any number of processes may use one root. What is remembered here are
records that never change, and when which sign of life was seen.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from segtalker import storage
from segtalker.errors import StorageError
from serve.config import JobsConfig
from serve.jobs.accept import accept, discard
from serve.jobs.beats import Beat, read_beat
from serve.jobs.claim import Claim
from serve.jobs.ids import FolderName, is_job_id, is_piece_name
from serve.jobs.known import Known, KnownJob
from serve.jobs.layout import Layout
from serve.jobs.leases import Leases
from serve.jobs.log import Entry, History, say
from serve.jobs.record import JobNotFound, JobOpen, JobRequest, JobView, Outcome, result_file
from serve.jobs.sweep import sweep

_log = logging.getLogger(__name__)
_BLOCK_BYTES = 1 << 20
_LONGEST_REST_S = 60.0


class JobStore:
    """All jobs under `root`, a path or an fsspec URI. Safe for several threads.

    Every method raises `StorageError` when the storage cannot be used. clock: monotonic seconds, for leases.
    """

    def __init__(self, root: str, cfg: JobsConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.cfg = cfg
        self.layout = Layout(root)
        self._clock = clock
        self._known = Known(self.layout)
        self._leases = Leases(clock)

    def create(self, request: JobRequest, files: Mapping[str, Path]) -> tuple[JobView, bool]:
        """Accept a job; files: `video`, `speech` and perhaps `photo`, as named in `request.inputs`.

        Returns the job and whether it is new: the same id with the same fingerprint is the job that is there.
        `JobConflict` for the same id with another fingerprint.
        """
        job, is_new = accept(self.layout, request, files)
        known = KnownJob(job) if is_new else self._known.load(request.id) or KnownJob(job)
        return self._view(known), is_new

    def view(self, job: str) -> JobView | None:
        """The job as it stands; None: no such job. Two requests to the storage, four the first time."""
        known = self._load(job)
        return None if known is None else self._view(known)

    def newest(self, owner: str, limit: int = 50) -> list[JobView]:
        """Jobs of one owner, the newest first. Those that this store has seen ended cost no request."""
        names = filter(None, map(FolderName.parse, storage.list_names(self.layout.owner(owner))))
        views: list[JobView] = []
        for name in sorted(names, key=lambda name: (name.made, name.text), reverse=True):
            if len(views) == limit:
                break
            known = self._known.ended(name.job) or self._known.load(name.job)
            if known is not None and known.job.folder == name.text:
                views.append(self._view(known))
        return views

    def open_ids(self) -> list[str]:
        """Jobs that may have to be worked on, the oldest first; one request."""
        jobs = list(dict.fromkeys(name.job for name in self.layout.folders("open")))
        self._leases.forget_all_but(jobs)
        return jobs

    def num_open(self, owner: str | None = None) -> int:
        """How many jobs have not ended, of one owner or of all; a job that is just being stored may count."""
        jobs = self.open_ids()
        if owner is None:
            return len(jobs)
        found = map(self._known.job, jobs)
        return sum(job is not None and job.request.owner == owner for job in found)

    def claim(self, job: str, holder: str) -> Claim | None:
        """Take a job that nobody holds, or whose holder showed no sign of life to this store for a lease.

        None if there is nothing to take; a job that has cost `cfg.attempts` drivers, or was put off for
        `cfg.away_h`, is ended as failed. A job that is held is looked at every fifth of a lease, and one that
        was put off rests. holder: who takes it, for people.
        """
        if self._leases.rests(job):
            return None
        known = self._load(job)
        if known is None or not self._is_free(known):
            return None
        history = known.history
        if (error := self._hopeless(history)) is not None:
            self._end(known, Outcome(state="failed", error=error, progress=self._beat(known).progress))
            return None
        by = secrets.token_hex(8)
        entry = Entry(kind="claim", by=by, time=time.time(), holder=holder)
        if not say(self.layout, known.job, history.next, entry):
            return None
        self._leases.forget(job)
        return Claim(self.layout, known.job, history.next, by, min(1.0, self.cfg.lease_s / 5), self._clock)

    def cancel(self, job: str) -> JobView:
        """End a job that is open, which fences its driver out; an ended one stays as it is. `JobNotFound`."""
        known = self._need(job)
        while known.history.outcome is None:
            self._end(known, Outcome(state="cancelled", progress=self._beat(known).progress))
            known = self._need(job)
        return self._view(known)

    def delete(self, job: str) -> None:
        """Remove an ended job with all its files. `JobNotFound`, `JobOpen`.

        After a `StorageError` the job is as it was; files that cannot be removed are left for a sweep.
        """
        known = self._need(job)
        if known.history.outcome is None:
            raise JobOpen(f"Job {job} has not ended. Cancel it first.")
        if not self.layout.has(known.job):
            raise _no_job(job)
        storage.remove(self.layout.record(job))  # from here on there is no such job
        self._known.forget(job)
        try:
            storage.remove(self.layout.data(known.job.folder, "log"))
            discard(self.layout, known.job)
        except StorageError as error:  # its driver may not know yet, and go on writing
            _log.warning("job %s is deleted, its files are left for a sweep: %s", job, error)

    def open_result(self, job: str, kind: str) -> tuple[str, int] | None:
        """Where a result (`video`, `report` or `maps`) lies and its bytes; None: not there, or not yet."""
        known = self._load(job)
        outcome = known.history.outcome if known is not None else None
        if known is None or outcome is None or outcome.fence is None or kind not in outcome.files:
            return None
        folder = self.layout.results(known.job.folder, outcome.fence)
        return storage.join(folder, result_file(kind)), outcome.files[kind]

    def read_range(self, uri: str, start: int, stop: int) -> Iterator[bytes]:
        """Bytes [start, stop) of a result in blocks of at most a megabyte."""
        for begin in range(start, stop, _BLOCK_BYTES):
            yield storage.read_bytes(uri, begin, min(begin + _BLOCK_BYTES, stop))

    def work_files(self, job: str) -> list[str]:
        """Names of the pieces that are finished, sorted; none for a job that is not there."""
        found = self._known.job(job) if is_job_id(job) else None
        names = storage.list_files(self.layout.data(found.folder, "work")) if found is not None else []
        return [name for name in names if is_piece_name(name)]

    def fetch_work(self, job: str, name: str, local: Path) -> None:
        """Copy a finished piece to this machine's disk. `JobNotFound`."""
        found = self._known.job(job) if is_job_id(job) and is_piece_name(name) else None
        if found is None:
            raise JobNotFound(f"There is no piece {name[:60]!r} of a job {job[:40]!r}.")
        storage.get_file(self.layout.data(found.folder, "work", name), local)

    def sweep(self, now: float) -> dict[str, int]:
        """Delete jobs that ended `cfg.retention_h` ago, and what crashes left. now: UTC seconds.

        Returns how many: `deleted`, `litter`, and `failures`, which the next sweep tries again.
        """
        return sweep(self.layout, self._known, self.delete, self.cfg.retention_h * 3600, now)

    def _load(self, job: str) -> KnownJob | None:
        return self._known.load(job) if is_job_id(job) else None

    def _need(self, job: str) -> KnownJob:
        known = self._load(job)
        if known is None:
            raise _no_job(job)
        return known

    def _is_free(self, known: KnownJob) -> bool:
        """Whether the job may be taken; clears the mark of one that has ended."""
        history, folder = known.history, known.job.folder
        if history.outcome is not None:
            storage.remove(self.layout.marker("open", folder))
            return False
        job, put_off = known.job.request.id, len(history.put_off)
        if history.fence is not None:
            sign = (folder, history.fence, self._beat(known).count)
            return self._leases.has_passed(job, sign, self.cfg.lease_s)
        if put_off == 0:
            return True
        rest_s = min(self.cfg.away_s * 2.0 ** min(put_off - 1, 30), _LONGEST_REST_S)
        return self._leases.has_passed(job, (folder, history.next, 0), rest_s)

    def _hopeless(self, history: History) -> str | None:
        """Why a job is not taken again; None: it is."""
        if history.lost >= self.cfg.attempts:
            return f"Gave up after {history.lost} drivers were lost with this job."
        releases = history.put_off
        if releases and releases[-1].time - releases[0].time > self.cfg.away_h * 3600:
            return f"Gave up after {self.cfg.away_h:g} hours: {releases[-1].why} Send it again."
        return None

    def _end(self, known: KnownJob, outcome: Outcome) -> None:
        """Say that the job has ended, if nobody has said anything since `known`."""
        entry = Entry(kind="outcome", by=secrets.token_hex(8), time=time.time(), outcome=outcome)
        if say(self.layout, known.job, known.history.next, entry):
            storage.remove(self.layout.marker("open", known.job.folder))

    def _beat(self, known: KnownJob) -> Beat:
        fence = known.history.fence
        return Beat() if fence is None else read_beat(self.layout.beat(known.job.folder, fence))

    def _view(self, known: KnownJob) -> JobView:
        request, history = known.job.request, known.history
        outcome, beat, claims = history.outcome, self._beat(known), history.claims
        view = JobView(
            id=request.id,
            owner=request.owner,
            state=history.state,
            created=request.created,
            started=claims[0].time if claims else None,
            attempts=len(claims),
            progress=beat.progress,
            eta_s=beat.eta_s,
        )
        if outcome is None:
            return view
        return replace(
            view,
            ended=history.entries[-1].time,
            progress=outcome.progress,
            error=outcome.error,
            report=outcome.report,
            files=outcome.files,
        )


def _no_job(job: str) -> JobNotFound:
    return JobNotFound(f"There is no job {job[:40]!r}: it was deleted, or never accepted.")
