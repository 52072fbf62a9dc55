"""What the driver that holds a job may do with it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segtalker import storage
from segtalker.errors import StorageError
from segtalker.progress import Progress
from serve.jobs.beats import BeatWriter
from serve.jobs.ids import is_piece_name
from serve.jobs.layout import Job, Layout
from serve.jobs.log import Entry, Log, say
from serve.jobs.record import EndState, JobRequest, Outcome, result_file

_log = logging.getLogger(__name__)


class Claim:
    """A job in the hands of one driver; made by `JobStore.claim`. Safe for several threads.

    `fence` is the number of the claim: only the newest of a job can publish.
    """

    def __init__(
        self, layout: Layout, job: Job, fence: int, by: str, beat_s: float, clock: Callable[[], float]
    ) -> None:
        self.id = job.request.id
        self.fence = fence
        self.request: JobRequest = job.request
        self._layout, self._job, self._folder, self._by = layout, job, job.folder, by
        self._log = Log(layout, job.folder)
        self._beats = BeatWriter(layout.beat(job.folder, fence), beat_s, clock)
        self._beat_s, self._clock = beat_s, clock
        self._held, self._looked = True, clock()
        self._lock = threading.Lock()

    @property
    def held(self) -> bool:
        """Whether the job was still this driver's when the log was last looked at; no request."""
        return self._held

    def beat(self, progress: Progress | None = None) -> bool:
        """Show a sign of life, and how far the work is; False once the job is lost, cancelled or ended.

        Call it as often as you like: it writes at most once a second and at both ends of a stage, and looks
        whether the job is still held once a second. A store that cannot be reached for a while ends nothing.
        """
        try:
            if self._held:
                self._beats.beat(progress)
                self._look()
        except StorageError as error:
            _log.warning("job %s: no sign of life could be given: %s", self.id, error)
        return self._held

    def fetch(self, folder: Path) -> None:
        """Copy inputs, verified, and finished pieces into the folders `inputs` and `work` of `folder`."""
        for name, told in self.request.inputs.items():
            local = folder / "inputs" / name
            storage.get_file(self._layout.data(self._folder, "inputs", name), local)
            if storage.fingerprint(local)["sha256"] != told["sha256"]:
                raise StorageError(f"Job {self.id}: its {name} is not what was uploaded. Send the job again.")
        work = self._layout.data(self._folder, "work")
        for name in filter(is_piece_name, storage.list_files(work)):
            storage.get_file(storage.join(work, name), folder / "work" / name)

    def keep(self, local: Path, name: str) -> None:
        """Keep a finished piece as work/`name`; the next driver gets it, should this one be lost."""
        if not is_piece_name(name):
            raise ValueError(f"{name!r} cannot name a piece of work; use plain parts and slashes")
        storage.put_file(local, self._layout.data(self._folder, "work", name))

    def finish(
        self,
        state: EndState,
        error: str | None = None,
        files: Mapping[str, Path] | None = None,
        report: dict[str, Any] | None = None,
    ) -> bool:
        """End the job: upload its results, then publish them by one entry of the log.

        files: `video` and perhaps `maps`; `report` becomes a file as well. False if the job was no longer
        this driver's: then nothing of it is visible. May be called again after a `StorageError`.
        """
        published = self._log.has(self.fence + 1, self._by)  # by a call before, whose answer was lost
        if not published and self._log.ends_with(self.fence):
            sizes = self._put_results(dict(files or {}), report)
            outcome = Outcome(
                state=state,
                error=error,
                files=sizes,
                fence=self.fence,
                report=report,
                progress=self._beats.progress,
            )
            published = self._say(Entry(kind="outcome", by=self._by, time=time.time(), outcome=outcome))
        self._held = False
        if published:
            storage.remove(self._layout.marker("open", self._folder))
        else:
            storage.remove(self._layout.results(self._folder, self.fence))
        return published

    def release(self, why: str = "") -> bool:
        """Give the job back unfinished, as on shutdown: anybody may take it at once, and no attempt counts.

        why: what keeps the job from being worked on, if something does; it then rests for a while first.
        False if it was no longer this driver's.
        """
        self._held = False
        if not self._log.ends_with(self.fence):
            return False
        return self._say(Entry(kind="release", by=self._by, time=time.time(), why=why[:300]))

    def _look(self) -> None:
        with self._lock:
            now = self._clock()
            if now - self._looked < self._beat_s:
                return
            self._looked = now
        if not self._log.ends_with(self.fence):
            self._held = False

    def _say(self, entry: Entry) -> bool:
        """Append what only the holder may say; False if it came too late."""
        return say(self._layout, self._job, self.fence + 1, entry)

    def _put_results(self, files: dict[str, Path], report: dict[str, Any] | None) -> dict[str, int]:
        """Upload results; returns their sizes in bytes."""
        folder = self._layout.results(self._folder, self.fence)
        sizes = {kind: local.stat().st_size for kind, local in files.items()}
        for kind, local in files.items():
            storage.put_file(local, storage.join(folder, result_file(kind)))
        if report is not None:
            data = (json.dumps(report, indent=1) + "\n").encode()
            storage.write_bytes(storage.join(folder, result_file("report")), data)
            sizes["report"] = len(data)
        return sizes
