"""Runners over small networks, and stages that do what a test says in the middle of a job."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from segtalker import storage
from segtalker.compositing.plan import PlanConfig
from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.local_stages import LocalStages
from segtalker.media.read import read_frames
from segtalker.media.write import EncodeConfig
from segtalker.pipeline import SegTalker
from segtalker.portrait import PortraitConfig
from segtalker.report import DubReport
from segtalker.stages import Networks, SpeechWindows, Talks
from serve.config import ApiConfig, DriverConfig, JobsConfig, ServiceConfig
from serve.jobs import Claim, JobRequest, JobStore, JobView, random_job_id
from serve.local import open_store
from serve.runner import JobRunner
from tests.dubbing import BlobFaces

CHUNK = 3
"""Frames of a segment, each made by one call of the talker."""


def small_service(root: Path, weights: Mapping[str, Path], **jobs: Any) -> ServiceConfig:
    """Everything under `root`, chunks of `CHUNK` frames one by one; `jobs`: knobs of `JobsConfig`."""
    dub = DubConfig(
        tsg=NetworkConfig(weights=str(weights["tsg"])),
        sgi=NetworkConfig(weights=str(weights["sgi"])),
        plan=PlanConfig(chunk_frames=CHUNK),
        encode=EncodeConfig(preset="ultrafast", encoder_threads=1),
        portrait=PortraitConfig(motion=0, blink=False),
        threads=1,
    )
    return ServiceConfig(
        dub=dub,
        driver=DriverConfig(chunks=1),
        api=ApiConfig(scratch=str(root / "scratch")),
        jobs=JobsConfig(
            **{"storage": str(root / "jobs"), "poll_s": 0.02, "lease_s": 1.0, "away_s": 0.05, **jobs}
        ),
    )


def submit(store: JobStore, files: Mapping[str, Path], **options: Any) -> str:
    """Accept a job with files `video`, `speech` and perhaps `photo`; returns its id."""
    inputs = {
        name: {"file_name": path.name, **storage.fingerprint(str(path))} for name, path in files.items()
    }
    request = JobRequest(id=random_job_id(), owner="ann", created=time.time(), options=options, inputs=inputs)
    return store.create(request, files)[0].id


def wait_for(condition: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """What `condition` gives once it is true."""
    until = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
    return found


def end_of(store: JobStore, job: str, timeout_s: float = 120.0) -> JobView:
    """The job once it has ended."""

    def ended() -> JobView | None:
        view = store.view(job)
        assert view is not None
        return None if view.is_open else view

    return wait_for(ended, timeout_s)


def frames_of(store: JobStore, job: str, folder: Path, kind: str = "video") -> np.ndarray:
    """Decoded frames [N, H, W, 3] of a published result."""
    found = store.open_result(job, kind)
    assert found is not None, f"no {kind} was published"
    local = folder / f"{job}.{kind}.mp4"
    storage.get_file(found[0], local)
    return decoded(local)


def decoded(path: Path) -> np.ndarray:
    """Frames [N, H, W, 3] of a file."""
    return np.stack([frame.image for frame in read_frames(path)])


def dub_locally(cfg: DubConfig, files: Mapping[str, Path], output: Path) -> DubReport:
    """The same with the code of the command line, without store or runner."""
    segtalker = SegTalker(cfg, LocalStages(cfg, BlobFaces()))
    return segtalker.dub(files["video"], files["speech"], output, quiet=True)


@dataclass
class HookedStages:
    """Stages of this process that call `hook` with 1, 2, ... before each chunk talks."""

    inner: LocalStages
    hook: Callable[[int], None] = lambda call: None
    calls: int = 0

    @property
    def backend(self):
        return self.inner.backend

    @property
    def parser(self):
        return self.inner.parser

    @cached_property
    def networks(self) -> Networks:
        return replace(self.inner.networks, talker=_HookedTalker(self, self.inner.networks.talker))


@dataclass
class _HookedTalker:
    stages: HookedStages
    inner: Talks

    def talk(self, maps: np.ndarray, references: np.ndarray, heard: SpeechWindows) -> np.ndarray:
        self.stages.calls += 1
        self.stages.hook(self.stages.calls)
        return self.inner.talk(maps, references, heard)


class FrozenStore(JobStore):
    """Of a process that stands still: its claims give no signs of life, and it does not notice."""

    def claim(self, job: str, holder: str) -> Claim | None:
        claim = super().claim(job, holder)
        if claim is not None:
            claim.beat = lambda progress=None: True  # type: ignore[method-assign]
        return claim


@dataclass
class Runners:
    """Makes runners, and stops them at the end of a test."""

    cfg: ServiceConfig
    store: JobStore = field(init=False)
    _made: list[JobRunner] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = open_store(self.cfg)

    def start(
        self, hook: Callable[[int], None] = lambda call: None, store: JobStore | None = None
    ) -> tuple[JobRunner, HookedStages]:
        """One more runner with stages of its own, as in another process."""
        stages = HookedStages(LocalStages(self.cfg.dub, BlobFaces()), hook)
        runner = JobRunner(store or open_store(self.cfg), self.cfg, stages, f"runner {len(self._made)}")
        self._made.append(runner)
        return runner, stages

    def stop(self) -> None:
        for runner in self._made:
            with suppress(OSError):  # a test may have stopped it
                runner.stop(2.0)
