"""Records of jobs that were read before: they never change, so a view costs few requests."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from serve.jobs.layout import Job, Layout
from serve.jobs.log import History, Log

_MOST = 512  # jobs that are remembered


@dataclass(frozen=True)
class KnownJob:
    """A job and the log of it as last read."""

    job: Job
    history: History = field(default_factory=History)


class Known:
    """Reads jobs, and remembers what cannot change. Safe for several threads."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._jobs: OrderedDict[str, KnownJob] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, job: str) -> KnownJob | None:
        """The job with its log as it is now; None: no such job.

        Of an open job only the log is read: it is there as long as the job is. Of an ended one, which nothing
        follows, only the record is read: a deletion removes it first. An empty log may be that of a job that
        was deleted, and its id may be in use again.
        """
        known = self._recall(job)
        if known is not None and known.history.outcome is None:
            history = Log(self._layout, known.job.folder).read(known.history.entries)
            if history.entries:
                return self._keep(KnownJob(known.job, history))
            known = KnownJob(known.job)
        record = self._layout.read_job(job)
        if record is None:
            self.forget(job)
            return None
        if known is not None and known.job.folder == record.folder:
            return self._keep(known)
        found = KnownJob(record, Log(self._layout, record.folder).read())
        if not found.history.entries and not self._layout.has(record):
            return self.load(job)  # deleted between the two
        return self._keep(found)

    def job(self, job: str) -> Job | None:
        """The accepted request, perhaps as remembered; None: no such job."""
        known = self._recall(job)
        if known is not None:
            return known.job
        record = self._layout.read_job(job)
        return None if record is None else self._keep(KnownJob(record)).job

    def ended(self, job: str) -> KnownJob | None:
        """The job as remembered if it had ended; no request."""
        known = self._recall(job)
        return known if known is not None and known.history.outcome is not None else None

    def forget(self, job: str) -> None:
        """Read it anew the next time."""
        with self._lock:
            self._jobs.pop(job, None)

    def _recall(self, job: str) -> KnownJob | None:
        with self._lock:
            return self._jobs.get(job)

    def _keep(self, known: KnownJob) -> KnownJob:
        with self._lock:
            self._jobs[known.job.request.id] = known
            self._jobs.move_to_end(known.job.request.id)
            while len(self._jobs) > _MOST:
                self._jobs.popitem(last=False)
        return known
