"""Single pictures through the same stages as a dub: faces and their maps, style codes, crops, edits."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from segtalker.dub_config import DubConfig
from segtalker.errors import FaceNotFound, MediaError
from segtalker.extract import FaceReader, ParsedCrop
from segtalker.faces.align import scale_affine
from segtalker.faces.track import track_faces
from segtalker.media.read import probe
from segtalker.progress import StageClock
from segtalker.retouch import Retouched, edit_picture
from segtalker.stages import Stages
from segtalker.types import FaceTrack, Frame, Image, RegionMap
from serve.api.service import Busy, PictureFace
from serve.api.threads import Pool, in_thread
from serve.runner import Unavailable

T = TypeVar("T")


class StagePictures:
    """`Pictures` over the stages; only so many at once, in threads that nothing else waits for."""

    def __init__(self, stages: Stages, at_once: int = 8) -> None:
        self._stages = stages
        self._places = at_once
        self._pool = Pool(at_once, "picture")

    async def parse(self, image: Image) -> list[PictureFace]:
        """See `Pictures.parse`."""
        return await self._in_thread(lambda: [face for face, _ in self._look(image)])

    async def encode(self, image: Image, face: int) -> NDArray[np.float32]:
        """See `Pictures.encode`."""
        return await self._in_thread(lambda: self._encode(image, face))

    async def render(self, region_map: RegionMap, codes: NDArray[np.float32]) -> Image:
        """See `Pictures.render`."""
        return await self._in_thread(lambda: self._render(region_map, codes))

    async def edit(self, cfg: DubConfig, picture: Path) -> Retouched:
        """See `Pictures.edit`."""
        return await self._in_thread(lambda: edit_picture(cfg, probe(picture), self._stages))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        if self._places == 0:
            raise Busy("Too many pictures are being worked on. Send this one again in a moment.")
        self._places -= 1
        try:
            return await in_thread(call, pool=self._pool)
        except Unavailable as error:
            raise Busy(f"{error} Send the picture again in a moment.", retry_after_s=5.0) from error
        finally:
            self._places += 1

    def _look(self, image: Image) -> list[tuple[PictureFace, ParsedCrop]]:
        frame = Frame(0, Fraction(0), image)
        tracks = track_faces([frame], self._stages.backend)
        size = self._stages.networks.painter.size
        reader = FaceReader(self._stages.parser, size, StageClock())
        found = []
        for track in sorted(tracks, key=lambda track: float(track.bboxes[0, 0])):
            crops = reader.cut([frame], track)
            (parsed,) = reader.parse(crops, reader.fit(crops))
            found.append((_describe(track, parsed, size), parsed))
        return found

    @cached_property
    def _codes_shape(self) -> tuple[int, ...]:
        """[R, L, D], as a blank crop tells."""
        size = self._stages.networks.painter.size
        crop, region_map = np.zeros((1, size, size, 3), np.uint8), np.zeros((1, size, size), np.uint8)
        return self._stages.networks.painter.encode(crop, region_map).shape

    def _encode(self, image: Image, face: int) -> NDArray[np.float32]:
        faces = self._look(image)
        if face >= len(faces):
            raise FaceNotFound(f"There is no face {face} in the picture, which shows {len(faces)}.")
        parsed = faces[face][1]
        return self._stages.networks.painter.encode(parsed.crop.image[None], parsed.parsed.region_map[None])

    def _render(self, region_map: RegionMap, codes: NDArray[np.float32]) -> Image:
        size = self._stages.networks.painter.size
        if region_map.shape != (size, size):
            height, width = region_map.shape
            raise MediaError(f"The map is {width} x {height}; this service renders {size} x {size}.")
        if codes.shape != self._codes_shape:
            raise MediaError(
                f"The codes are {_times(codes.shape)}; this service renders {_times(self._codes_shape)}. "
                "Send what it made of a picture."
            )
        return self._stages.networks.painter.paint(np.array(region_map[None]), np.array(codes))[0]


def _describe(track: FaceTrack, parsed: ParsedCrop, size: int) -> PictureFace:
    left, top, right, bottom = (float(value) for value in track.bboxes[0])
    return PictureFace(
        box=(left, top, right, bottom),
        score=float(track.scores[0]),
        yaw_deg=float(track.yaw[0]),
        crop_from_frame=scale_affine(parsed.crop.crop_from_frame, size),
        region_map=parsed.parsed.region_map,
    )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
