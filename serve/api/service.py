"""What the HTTP side needs from whatever runs the jobs: on Ray, or in one process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segtalker.dub_config import DubConfig
from segtalker.errors import SegTalkerError
from segtalker.types import Affine, Image, RegionMap
from serve.config import ServiceConfig
from serve.jobs import JobStore

if TYPE_CHECKING:
    from segtalker.retouch import Retouched  # brings the networks along, which HTTP does not need


class Busy(SegTalkerError):
    """All places are taken; the caller is told to come back."""

    def __init__(self, message: str, retry_after_s: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class PictureFace:
    """One face of a single picture."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom in picture pixels."""
    score: float
    """0..1."""
    yaw_deg: float
    """0 is frontal."""
    crop_from_frame: Affine
    """[2, 3] picture pixels -> pixels of the S x S crop."""
    region_map: RegionMap
    """[S, S], values 0..11."""


class Pictures(Protocol):
    """Single pictures. Each call raises `Busy` when too many wait, and `SegTalkerError` on a bad picture."""

    async def parse(self, image: Image) -> list[PictureFace]:
        """The faces of a picture, from left to right; none is an empty list."""
        ...

    async def encode(self, image: Image, face: int) -> NDArray[np.float32]:
        """Style codes [12, L, D] of one of these faces."""
        ...

    async def render(self, region_map: RegionMap, codes: NDArray[np.float32]) -> Image:
        """The crop [S, S, 3] that shows `region_map` [S, S] in the style of `codes` [12, L, D]."""
        ...

    async def edit(self, cfg: DubConfig, picture: Path) -> Retouched:
        """A picture file with `cfg.edits` at their full, and the map of the face that they changed."""
        ...


class Service(Protocol):
    """Storage of jobs, the networks for single pictures, and what is known about both."""

    config: ServiceConfig
    store: JobStore
    pictures: Pictures

    def describe(self) -> Mapping[str, Any]:
        """The answer of `/v1/models`."""
        ...

    async def ready(self) -> Mapping[str, str]:
        """Part of the service -> "ready", or why it is not."""
        ...

    async def nudge(self) -> None:
        """There is a new job; drivers that sleep may look at once."""
        ...
