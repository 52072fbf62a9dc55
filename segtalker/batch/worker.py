"""One worker of a batch: networks are loaded once, then task after task is done, whatever becomes of it.

A task never raises: a bad row is an answer with a reason. What it makes has its name before it is told, so
a task that is done twice, by a worker that was thought dead, does no harm.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from segtalker.batch.config import BatchConfig
from segtalker.batch.inputs import InputCache
from segtalker.batch.outcome import Outcome
from segtalker.batch.outputs import (
    MadeOf,
    is_unchanged,
    is_whole,
    outcome_of,
    output_name,
    put_output,
    read_report,
    refuse_foreign,
)
from segtalker.batch.plan import cut_ranges, is_long
from segtalker.batch.reasons import may_pass, reason, told
from segtalker.batch.rows import DubRow
from segtalker.batch.settings import Talkers, row_config, settings_key, with_inputs
from segtalker.batch.stall import Stall
from segtalker.batch.tasks import Answer, Cut, Spent, Task
from segtalker.batch.work import (
    ANALYSIS,
    SEGMENTS,
    finished_ranges,
    get_range,
    put_analysis,
    put_range,
    unpack_analysis,
    work_place,
)
from segtalker.dub_config import DubConfig
from segtalker.errors import DataError
from segtalker.heap import give_back_memory
from segtalker.local_stages import LocalStages
from segtalker.media.read import probe
from segtalker.passes import Passes
from segtalker.pipeline import SegTalker
from segtalker.storage import exists, fingerprint, is_local, join, remove, stamp_file
from segtalker.types import VideoInfo
from segtalker.workroom import Workroom
from segtalker.workspace import Workspace, explain_os_errors

_REMEDY = "Name another folder by --scratch."
_DEVICE_ERRORS = (torch.AcceleratorError,) if hasattr(torch, "AcceleratorError") else ()
"""After one of these a process can compute nothing more on its GPU: another one must take its place."""


class Worker:
    """Does tasks of one batch; see `tasks`."""

    make_stages = staticmethod(LocalStages)

    def __init__(self, cfg: DubConfig, batch: BatchConfig, out: str) -> None:
        """Load the networks of `cfg`. out: folder or bucket of the batch."""
        self._cfg, self._batch, self._out = cfg, batch, out
        torch.set_num_threads(cfg.threads or batch.threads)
        self._talkers = Talkers(cfg, self.make_stages)
        self._room = open_room(batch)
        self._cache = InputCache(self._room.base / "inputs", int(batch.cache_gb * 1e9))
        self._stall = Stall(batch.stall_s)
        self._opened: tuple[str, Path] | None = None
        gc.collect()
        gc.freeze()  # every pass over a video ends with a collection, which need not look at all modules

    def __call__(self, task: Task) -> Answer:
        """Do a task; failures are answers."""
        start = time.perf_counter()
        words: dict[str, str] = {}
        work = {"begin": self._begin, "render": self._render, "join": self._join}[task.kind]
        try:
            with self._room.folder_for("task") as folder, self._stall, explain_os_errors(folder):
                answer = work(task, folder, words)
        except Exception as error:  # whatever it is, the other rows go on and the outcome says it
            if isinstance(error, _DEVICE_ERRORS):
                print(f"{task.name}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            row, key, why = task.row, task.cut.key if task.cut is not None else "", reason(error, words)
            failed = Outcome(id=row.id, state="failed", reason=why, output=row.output, key=key)
            answer = Answer(task=task.name, outcome=failed, may_pass=may_pass(error))
        give_back_memory()
        return replace(answer, spent=replace(answer.spent, wall_s=time.perf_counter() - start))

    def close(self) -> None:
        """Remove what is on the disk of this machine; fetched inputs stay for the next batch."""
        self._room.close()

    def _begin(self, task: Task, folder: Path, words: dict[str, str]) -> Answer:
        """Find the output finished, make it, or analyse a long video."""
        row = task.row
        cfg = row_config(self._cfg, row)
        talker = self._talkers.of(cfg)
        stamps = {kind: stamp_file(uri) for kind, uri in row.inputs.items()}
        settings = settings_key(talker)
        earlier = read_report(row.output)
        if earlier and is_unchanged(earlier, settings, row, stamps) and is_whole(earlier, row.output):
            return Answer(task=task.name, outcome=outcome_of(earlier, row, "found"))
        with self._inputs(row, stamps, words) as files:
            talker = self._talkers.of(with_inputs(cfg, row, files))
            final = Path(row.output) if is_local(row.output) else folder / output_name(row.output)
            info = talker.check(files["video"], files["speech"], final)
            key = talker.run_key(files["video"], files["speech"])
            if earlier and earlier.get("key") == key and is_whole(earlier, row.output):
                return Answer(task=task.name, outcome=outcome_of(earlier, row, "found"))
            if not self._batch.overwrite:
                refuse_foreign(row, key, earlier)
            self._stall.move()
            hashes = {kind: fingerprint(path)["sha256"] for kind, path in files.items()}
            self._stall.move()
            cut = Cut(key, settings, stamps, hashes)
            return self._make(task, talker, info, files["speech"], cut, folder, words)

    def _make(
        self,
        task: Task,
        talker: SegTalker,
        info: VideoInfo,
        speech: Path,
        cut: Cut,
        folder: Path,
        words: Mapping[str, str],
    ) -> Answer:
        """Analyse a video, and dub it in one piece where it is short."""
        row, kept = task.row, folder / "work"
        place = work_place(self._out, row.id, cut.key)
        packed = join(place, ANALYSIS)
        was_analysed = exists(packed)
        if was_analysed:
            with self._cache.file(packed, stamp_file(packed)) as local:
                unpack_analysis(local, kept, place)
        work = Workspace(kept, stays=True)
        passes = Passes(talker.config, talker.stages, info, speech, work, self._stall)
        analysis = passes.analyse()
        most = self._batch.chunk_frames
        if is_long(len(analysis.plan), most):
            if not was_analysed:
                put_analysis(kept, place)
            ranges = tuple(cut_ranges(len(analysis.plan), analysis.plan.chunk_frames, most))
            cut = replace(cut, ranges=ranges, finished=finished_ranges(ranges, place))
            return Answer(task=task.name, cut=cut, spent=Spent(timings_s=passes.clock.seconds))
        segments, _ = passes.render(analysis)
        target = folder / output_name(row.output)
        report = passes.publish(analysis, segments, target, cut.key)
        report = replace(report, warnings=[told(text, words) for text in report.warnings])
        outcome = put_output(target, report, _made_of(row, cut), row)
        return Answer(task=task.name, outcome=outcome, spent=Spent(timings_s=report.timings_s))

    def _render(self, task: Task, folder: Path, words: dict[str, str]) -> Answer:
        """Render one range of a long video and keep its segments."""
        assert task.cut is not None and task.part is not None
        part, place = task.part, work_place(self._out, task.row.id, task.cut.key)
        kept = self._analysis(task)
        with self._passes(task, kept, words) as passes:
            analysis = passes.analyse()
            chunks = analysis.plan.chunks()[part.first : part.stop]
            segments, _ = passes.render(analysis, chunks)
            put_range(segments, kept, part, place)
        for path in (kept / SEGMENTS).iterdir():
            path.unlink()
        return Answer(task=task.name, spent=Spent(timings_s=passes.clock.seconds))

    def _join(self, task: Task, folder: Path, words: dict[str, str]) -> Answer:
        """Join the ranges of a long video under its final name."""
        assert task.cut is not None
        row, cut = task.row, task.cut
        place = work_place(self._out, row.id, cut.key)
        kept = self._analysis(task)
        for part in cut.ranges:
            get_range(part, place, kept)
            self._stall.move()
        with self._passes(task, kept, words) as passes:
            analysis = passes.analyse()
            segments, _ = passes.render(analysis)
            target = folder / output_name(row.output)
            report = passes.publish(analysis, segments, target, cut.key, task.spent.reused)
        whole = task.spent + Spent(timings_s=report.timings_s)
        warnings = [told(text, words) for text in report.warnings]
        report = replace(report, timings_s=_rounded(whole.timings_s), warnings=warnings)
        outcome = put_output(target, report, _made_of(row, cut), row)
        remove(place)
        self._close_analysis()
        return Answer(task=task.name, outcome=outcome, spent=Spent(timings_s=passes.clock.seconds))

    @contextmanager
    def _inputs(
        self, row: DubRow, stamps: Mapping[str, str], words: dict[str, str]
    ) -> Iterator[dict[str, Path]]:
        """Kind -> file on this machine. words: is told how a person calls each of them."""
        with ExitStack() as held:
            files = {}
            for kind, uri in row.inputs.items():
                files[kind] = held.enter_context(self._cache.file(uri, stamps[kind]))
                self._stall.move()
                words[str(files[kind])] = uri
            yield files

    @contextmanager
    def _passes(self, task: Task, kept: Path, words: dict[str, str]) -> Iterator[Passes]:
        """The passes of a long video over the work folder `kept`; its inputs must be as they were."""
        assert task.cut is not None
        row = task.row
        for kind, uri in row.inputs.items():
            if stamp_file(uri) != task.cut.stamps[kind]:
                raise DataError(f"{uri}: was changed while it was dubbed. Run the batch again.")
        with self._inputs(row, task.cut.stamps, words) as files:
            talker = self._talkers.of(with_inputs(row_config(self._cfg, row), row, files))
            work, info = Workspace(kept, stays=True), probe(files["video"])
            yield Passes(talker.config, talker.stages, info, files["speech"], work, self._stall)

    def _analysis(self, task: Task) -> Path:
        """The work folder of a long video; that of the latest one is kept for its next range."""
        assert task.cut is not None
        place = work_place(self._out, task.row.id, task.cut.key)
        packed = join(place, ANALYSIS)
        if self._opened is not None and self._opened[0] == place:
            return self._opened[1]
        self._close_analysis()
        folder = self._room.folder / "analysis"
        remove(folder)  # of one that could not be unpacked whole
        with self._cache.file(packed, stamp_file(packed)) as local:
            unpack_analysis(local, folder, place)
        self._opened = place, folder
        return folder

    def _close_analysis(self) -> None:
        if self._opened is not None:
            remove(self._opened[1])
        self._opened = None


def open_room(batch: BatchConfig) -> Workroom:
    """A worker's folder on this machine's disk; removes those that killed workers left."""
    return Workroom(batch.scratch, "segtalker-batch", "worker", _REMEDY)


def _made_of(row: DubRow, cut: Cut) -> MadeOf:
    inputs = {
        kind: {"uri": uri, "stamp": cut.stamps[kind], "sha256": cut.hashes[kind]}
        for kind, uri in row.inputs.items()
    }
    return MadeOf(cut.settings, inputs)


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(value, 3) for stage, value in seconds.items()}
