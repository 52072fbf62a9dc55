"""Pictures and maps in shards as compressed bytes, each frame for itself: any few are read without the rest.

Maps are compressed without loss; crops become JPEG without chroma subsampling, which the renderer would have
to learn as if the faces had it. A packed field is two tensors: all bytes, and where each frame begins.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segtalker.errors import DataError

OFFSETS = ".offsets"
"""A packed field `NAME` has its bytes in the tensor `NAME` and their places in `NAME` + this."""
_LEVEL = 6  # of zlib: 9 takes four times as long, and most bytes of a frame are those of its crop anyway
Codec = Literal["jpeg", "zlib"]


@dataclass(frozen=True)
class Packing:
    """How a writer stores what has the size of pictures."""

    jpeg: int = 0
    """Quality of crops, 1 to 100; 0: as they are."""
    zlib: bool = False
    """Whether maps are compressed."""

    def __post_init__(self) -> None:
        if not 0 <= self.jpeg <= 100:
            raise ValueError("jpeg is a quality from 1 to 100, or 0 for exact crops")

    def codec(self, field: str) -> Codec | None:
        """What a field is packed with; None: as it is."""
        if field == "crops":
            return "jpeg" if self.jpeg else None
        return "zlib" if self.zlib and field in ("maps", "raw") else None


@dataclass(frozen=True)
class Packed:
    """What the index says about a packed field."""

    codec: Codec
    frame: tuple[int, ...]
    """Shape of one frame; uint8."""


class PackedFrames:
    """A packed field, read like a slice of a safetensors file: `frames[3:5]` decodes two frames."""

    def __init__(self, data: Any, offsets: Any, packed: Packed) -> None:
        """data: all bytes, offsets: where frames begin; both sliced only where frames are asked for."""
        self._data, self._offsets, self._packed = data, offsets, packed

    def get_shape(self) -> list[int]:
        """[T, ...]."""
        return [self._offsets.get_shape()[0] - 1, *self._packed.frame]

    def __getitem__(self, rows: slice) -> NDArray[np.uint8]:
        start, stop, _ = rows.indices(self.get_shape()[0])
        frames = np.empty((max(0, stop - start), *self._packed.frame), np.uint8)
        if len(frames):
            places = self._offsets[start : stop + 1]
            data = self._data[int(places[0]) : int(places[-1])].tobytes()
            for i, (first, last) in enumerate(pairwise(places)):
                part = data[int(first - places[0]) : int(last - places[0])]
                frames[i] = _decode(part, self._packed, start + i)
        return frames


def pack(frames: NDArray[np.uint8], codec: Codec, quality: int) -> tuple[NDArray, NDArray[np.int64]]:
    """uint8 [T, ...] to its bytes uint8 [B] and their places int64 [T + 1]."""
    parts = [zlib.compress(f.tobytes(), _LEVEL) if codec == "zlib" else _jpeg(f, quality) for f in frames]
    places = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    return np.frombuffer(b"".join(parts), np.uint8), places


def _decode(data: bytes, packed: Packed, index: int) -> NDArray[np.uint8]:
    try:
        if packed.codec == "zlib":
            return np.frombuffer(zlib.decompress(data), np.uint8).reshape(packed.frame)
        frame = _unjpeg(data)
    except (zlib.error, ValueError) as error:
        raise DataError(f"frame {index} is damaged ({error})") from error
    if frame is None or frame.shape != packed.frame:
        found = "no JPEG" if frame is None else f"a picture of {frame.shape}"
        raise DataError(f"frame {index} is damaged ({found}, expected {prod(packed.frame)} values)")
    return frame


# OpenCV is imported where a JPEG is met: corpora of maps and speech are trained on without it.
def _jpeg(frame: NDArray[np.uint8], quality: int) -> bytes:
    import cv2

    how = [cv2.IMWRITE_JPEG_QUALITY, quality]
    how += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), how)[1].tobytes()


def _unjpeg(data: bytes) -> NDArray[np.uint8] | None:
    import cv2

    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    return None if picture is None else np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
