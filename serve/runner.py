"""Runs jobs: takes them out of the store, dubs them with the code of the command line, and publishes.

Knows nothing of Ray; a driver of the graph and a service in one process both hold a `JobRunner`.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segtalker.editing.files import name_files
from segtalker.errors import SegTalkerError, StorageError
from segtalker.media.read import probe
from segtalker.pipeline import SegTalker
from segtalker.progress import Progress
from segtalker.report import DubReport, maps_path
from segtalker.retouch import own_sound, without_speech
from segtalker.stages import Stages
from serve.api.options import dub_config
from serve.config import ServiceConfig
from serve.housekeeping import Housekeeper
from serve.jobs import RUN_PIECE, Claim, JobStore
from serve.workroom import Workroom

_log = logging.getLogger("segtalker.jobs")
_OUTPUT = "dubbed.mp4"
_MOST_TROUBLES = 1000  # that are remembered so as not to be logged twice


class Unavailable(SegTalkerError):
    """A stage could not be reached for long; nobody's mistake, and another driver may have more luck."""


class Deadly(SegTalkerError):
    """What was asked of a stage has ended one replica after another; it may be the fault of the input."""


class Lost(Exception):
    """The job was cancelled, or another driver has it."""


class JobRunner:
    """Dubs up to `cfg.driver.jobs` jobs at once, each in a thread of its own, until it is stopped."""

    def __init__(self, store: JobStore, cfg: ServiceConfig, stages: Stages, holder: str) -> None:
        """holder: who runs the jobs, for people."""
        self._store, self._cfg, self._stages, self._holder = store, cfg, stages, holder
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._running: dict[str, tuple[Claim, threading.Thread]] = {}
        self._troubles: dict[str, str] = {}
        self._workroom = Workroom(cfg.api.scratch)
        self._housekeeper = Housekeeper(store, cfg.callbacks)
        self._loop = threading.Thread(target=self._take_jobs, name="jobs", daemon=True)
        self._loop.start()

    @property
    def is_alive(self) -> bool:
        """Whether new jobs are still looked for."""
        return self._loop.is_alive() and not self._stopping.is_set()

    @property
    def num_running(self) -> int:
        """Jobs in the hands of this runner."""
        return len(self._running)

    def nudge(self) -> None:
        """There is a new job: look now."""
        self._wake.set()

    def stop(self, timeout_s: float = 20.0) -> None:
        """Give all jobs back, so that others take them at once, and end.

        Jobs notice it at their next frame; one that waits for a stage for longer than `timeout_s` is given
        back over its head, and what it still does counts for nothing.
        """
        until = time.monotonic() + timeout_s
        self._stopping.set()
        self._wake.set()
        self._loop.join(timeout_s)
        for _, thread in list(self._running.values()):
            thread.join(max(0.0, until - time.monotonic()))
        for claim, _ in list(self._running.values()):
            _give_back(claim)
        self._housekeeper.stop()
        self._workroom.close()

    def _take_jobs(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._cfg.jobs.poll_s)
            self._wake.clear()
            with self._noting("looking for jobs"):
                self._take_what_is_open()

    def _take_what_is_open(self) -> None:
        if self.num_running >= self._cfg.driver.jobs:
            return
        for job in self._store.open_ids():
            if self.num_running >= self._cfg.driver.jobs or self._stopping.is_set():
                return
            if job not in self._running:
                with self._noting(f"job {job}"):  # one whose files are damaged must not hold up the others
                    self._take(job)

    def _take(self, job: str) -> None:
        claim = self._store.claim(job, self._holder)
        if claim is not None:
            thread = threading.Thread(target=self._run, args=(claim,), name=job, daemon=True)
            self._running[job] = claim, thread
            thread.start()

    def _run(self, claim: Claim) -> None:
        try:
            with (
                self._workroom.folder_for(claim.id) as folder,
                _SignsOfLife(claim, self._cfg.jobs.lease_s / 5),
            ):
                self._dub(claim, folder)
        except Lost:
            _log.info("job %s: let go", claim.id)
            if self._stopping.is_set():
                _give_back(claim)
        except Unavailable as error:
            _log.warning("job %s: put off: %s", claim.id, error)
            _give_back(claim, str(error))
        except (Deadly, StorageError) as error:  # its lease runs out, which costs it one of its attempts
            _log.warning("job %s: broke off: %s", claim.id, error)
        except Exception:  # the driver goes on with its other jobs; this one costs one of its attempts
            _log.exception("job %s: broke off", claim.id)
        finally:
            self._running.pop(claim.id, None)
            self._wake.set()

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Go on after an error, which is logged once as long as it stays the same."""
        try:
            yield
        except Exception as error:  # the storage may be away for a while, or a file of it damaged
            if self._troubles.get(what) != str(error):
                _log.warning("%s: %s", what, error, exc_info=not isinstance(error, SegTalkerError))
            if len(self._troubles) >= _MOST_TROUBLES:
                self._troubles.clear()
            self._troubles[what] = str(error)
        else:
            self._troubles.pop(what, None)

    def _dub(self, claim: Claim, folder: Path) -> None:
        claim.fetch(folder)
        try:
            report = self._make(claim, folder)
        except (Unavailable, Deadly, StorageError):
            raise
        except SegTalkerError as error:
            claim.finish("failed", _in_words_of_the_caller(str(error), claim, folder))
            return
        files = {"video": folder / _OUTPUT}
        if report.maps:
            files["maps"] = maps_path(folder / _OUTPUT)
        if not claim.finish("done", files=files, report=_told(report, claim, folder)):
            raise Lost

    def _make(self, claim: Claim, folder: Path) -> DubReport:
        files = {name: folder / "inputs" / name for name in claim.request.inputs}
        cfg = dub_config(self._cfg.dub, claim.request.options, files)
        video, speech = files["video"], files.get("speech")
        if speech is None:
            cfg, speech = without_speech(cfg), own_sound(probe(video), folder)
        segtalker = SegTalker(cfg, self._stages)
        key = f"{Path(_OUTPUT).stem}-{segtalker.run_key(video, speech)}"
        (folder / RUN_PIECE).write_text(key)
        claim.keep(folder / RUN_PIECE, RUN_PIECE)

        def tell(event: Progress) -> None:
            if self._stopping.is_set() or not claim.beat(event):
                raise Lost

        return segtalker.dub(
            video,
            speech,
            folder / _OUTPUT,
            work_dir=folder / "work",
            quiet=True,
            on_progress=tell,
            on_keep=lambda run, name: claim.keep(run / name, f"{run.name}/{name}"),
            chunks_at_once=self._cfg.driver.chunks,
        )


def spare_the_collector() -> None:
    """Call it once in a process that runs jobs from now on, when all it needs is loaded.

    Every pass over a video ends with a run of the garbage collector (see `VideoSource.read`), which holds up
    all threads for as long as it takes to look at every object: 0.15 s for the modules of a driver alone.
    """
    gc.collect()
    gc.freeze()


class _SignsOfLife:
    """Beats for a job while its work is silent, as in a long step of analysis."""

    def __init__(self, claim: Claim, every_s: float) -> None:
        self._claim, self._every_s = claim, every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"{claim.id}-beat", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._every_s) and self._claim.beat():
            pass


def _give_back(claim: Claim, why: str = "") -> None:
    """Let others take the job, after a rest for a reason; its lease runs out where that cannot be said."""
    with suppress(StorageError):
        claim.release(why)


def _told(report: DubReport, claim: Claim, folder: Path) -> dict[str, Any]:
    """The report as its caller reads it: with their names of files, and none of this machine's paths."""
    told: dict[str, Any] = asdict(report)
    names = {kind: item["file_name"] for kind, item in claim.request.inputs.items()}
    told.update(video=names["video"], speech=names.get("speech", names["video"]), output="video.mp4")
    told["maps"] = "maps.mp4" if report.maps else None
    told["config"] = _without_paths(report.config, claim, folder)
    told["warnings"] = [_in_words_of_the_caller(text, claim, folder) for text in report.warnings]
    return told


def _without_paths(config: Mapping[str, Any], claim: Claim, folder: Path) -> dict[str, Any]:
    """The configuration without the operator's paths: weights are named by their hashes anyway."""
    speaker = _in_words_of_the_caller(str(config["speaker"]), claim, folder)
    hidden: dict[str, Any] = {
        name: {**config[name], "weights": Path(config[name]["weights"]).name} for name in ("tsg", "sgi")
    }
    lent = {str(folder / "inputs" / kind): item["file_name"] for kind, item in claim.request.inputs.items()}
    edits = [name_files(edit, lambda path: lent.get(path, Path(path).name)) for edit in config["edits"]]
    return {**config, **hidden, "speaker": speaker, "edits": edits}


def _in_words_of_the_caller(text: str, claim: Claim, folder: Path) -> str:
    """A sentence about inputs with the names that the caller gave them."""
    for kind, item in claim.request.inputs.items():
        text = text.replace(str(folder / "inputs" / kind), item["file_name"])
    return text.replace(f"{folder}/", "")
