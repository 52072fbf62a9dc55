"""Talking blobs as video files with sound, and tools that see them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from segtalker.data.manifest import ClipRow
from segtalker.data.prepare import PrepareConfig, Tools
from segtalker.data.quality import QualityConfig
from segtalker.parsing.parse import LandmarkParser
from tests.conftest import write_tiny_video
from tests.dubbing import BlobFaces, talking_frame

CONFIG = PrepareConfig(
    size=32,
    piece_s=0.4,
    quality=QualityConfig(min_s=0.2, min_face_px=30.0, silence_db=-70.0),
    syncnet=None,
)


def blob_tools() -> Tools:
    return Tools(BlobFaces(), LandmarkParser(), None)


def blob_video(
    path: Path,
    frames: int = 12,
    frame: Callable[[int], np.ndarray] = talking_frame,
    rate: Fraction = Fraction(25),
    sound: bool = True,
) -> Path:
    """A video with a click every 0.1 s; `frame(i)` draws its frames."""
    size = frame(0).shape[1], frame(0).shape[0]
    clicks = [0.1 * i for i in range(int(10 * frames / rate))] if sound else None
    return write_tiny_video(path, frames, rate, size, clicks_s=clicks, images=frame)


def row_of(path: Path, **changed: object) -> ClipRow:
    values = {"clip": path.stem, "source": str(path), "identity": "ann", "split": "train"}
    return ClipRow(**{**values, **changed})  # type: ignore[arg-type]
