"""A service without networks: a real job store, and pictures that answer with what a test can check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtalker.dub_config import DubConfig
from segtalker.editing.files import files_of
from segtalker.errors import FaceNotFound
from segtalker.media.read import read_frames
from segtalker.progress import Progress
from segtalker.retouch import Retouched
from segtalker.types import Image, RegionMap
from serve.api.service import Busy, PictureFace
from serve.config import ApiConfig, JobsConfig, LimitsConfig, ServiceConfig
from serve.jobs import Claim, JobStore

SIDE = 16


@dataclass
class PlainPictures:
    """One face in every picture; codes tell the mean, a render shows the labels, an edit is the negative."""

    busy: bool = False
    asked: DubConfig | None = None
    """With which a picture was edited."""

    async def parse(self, image: Image) -> list[PictureFace]:
        if self.busy:
            raise Busy("all replicas are taken; try again", 3.0)
        labels = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE) % 12
        return [PictureFace((1.0, 2.0, 3.0, 4.0), 0.9, -5.0, np.eye(2, 3), labels)]

    async def encode(self, image: Image, face: int) -> NDArray[np.float32]:
        if face > 0:
            raise FaceNotFound(f"there is no face {face}; the picture has 1")
        return np.full((12, 2, 4), image.mean(), np.float32)

    async def edit(self, cfg: DubConfig, picture: Path) -> Retouched:
        if self.busy:
            raise Busy("all replicas are taken; try again", 3.0)
        frame = next(read_frames(picture, 0, 1)).image
        self.asked = cfg
        for path in files_of(cfg.edits):
            assert next(read_frames(path, 0, 1)).image.size
        if not frame.any():
            raise FaceNotFound(f"{picture}: no face was found. Take another one.")
        labels = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE) % 12
        return Retouched(255 - frame, labels, np.eye(2, 3))

    async def render(self, region_map: RegionMap, codes: NDArray[np.float32]) -> Image:
        return np.repeat(region_map[..., None] * 20, 3, axis=2)


@dataclass
class PlainService:
    """As `serve.api.service.Service`."""

    config: ServiceConfig
    store: JobStore
    pictures: PlainPictures = field(default_factory=PlainPictures)
    parts: dict[str, str] = field(default_factory=lambda: {"generator": "ready"})
    nudges: int = 0

    def describe(self) -> Mapping[str, Any]:
        return {"networks": {"tsg": {"weights": "mini"}}}

    async def ready(self) -> Mapping[str, str]:
        return self.parts

    async def nudge(self) -> None:
        self.nudges += 1


def make_service(root: Path, **parts: Any) -> PlainService:
    """Everything under `root`; `parts` replace sections of the configuration."""
    config = replace(
        ServiceConfig(
            api=ApiConfig(scratch=str(root / "scratch"), audit_file=str(root / "audit.jsonl")),
            jobs=JobsConfig(storage=str(root / "jobs"), poll_s=0.05),
            limits=LimitsConfig(probe_s=20.0),
        ),
        **parts,
    )
    return PlainService(config, JobStore(config.jobs.storage, config.jobs))


def take(service: PlainService, job: str) -> Claim:
    """Be the driver of a job."""
    claim = service.store.claim(job, "a test")
    assert claim is not None
    claim.beat(Progress("rendering", 1, 2))
    return claim


def finish(service: PlainService, job: str, folder: Path, video: bytes = b"0123456789") -> None:
    """Be its driver to the end."""
    film = folder / "film"
    film.write_bytes(video)
    report = {"frames": {"synthesized": 2}}
    assert take(service, job).finish("done", files={"video": film}, report=report)
