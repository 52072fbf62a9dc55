"""Draw the invisible mark into a frame.

The same faint pattern lies over every frame, so that nothing flickers and evidence adds up over time; its
strength follows the texture beneath: at most one level of 255 where a surface is flat, up to 3 where it is
busy. All three channels change alike, so colours stay. A marked frame depends on the frame and on the
settings alone: chunks that were rendered anywhere, in any order, are equal.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.provenance.config import ProvenanceConfig
from segtalker.provenance.label import draw_label
from segtalker.provenance.pattern import Plane, drawn, pitch
from segtalker.types import Image

_QUIET, _LOUD = 0.9, 2.65
"""Largest change in flat and in busy parts. At 2.65 everywhere (noise) a mark has a PSNR of 42.3 dB."""
_GAIN = 0.9
"""Change per level of local texture: the mean distance of a pixel from its 5 px neighbourhood."""
_GRAIN_PX = 5.0
"""Cells smaller than this look like film grain; the gain rises there, at most `_GRAIN_GAIN` times."""
_GRAIN_GAIN = 2.0
_STEP = 8
"""Texture is measured in blocks of so many pixels."""


def mark_frame(image: Image, cfg: ProvenanceConfig, face: NDArray[np.uint8] | None = None) -> Image:
    """The frame [H, W, 3] as it may leave the house: with the mark and the label that `cfg` asks for.

    face: [H, W], not 0 inside the face; for `where = face`, which leaves all other pixels bit-exact and marks
    nothing where it is None. With `where = off` and no label the very same array comes back.
    """
    if cfg.where == "frame":
        image = draw_mark(image, cfg.key, cfg.message)
    elif cfg.where == "face" and face is not None:
        image = draw_mark(image, cfg.key, cfg.message, face)
    return draw_label(image, cfg.label) if cfg.label else image


def draw_mark(image: Image, key: str, message: int, area: NDArray[np.uint8] | None = None) -> Image:
    """The frame with the mark, no value changed by more than 3; outside `area` (0 there) bit-exact."""
    height, width = image.shape[:2]
    change = cv2.multiply(_strength(image), drawn(key, message, height, width))
    levels = cv2.convertScaleAbs(change, alpha=1, beta=128)  # rounds; 128 is no change
    if area is not None:
        levels[area == 0] = 128
    shifted = cv2.merge([levels, levels, levels])
    return np.asarray(cv2.addWeighted(image, 1.0, shifted, 1.0, -128.0), np.uint8)


def face_area(points: NDArray[np.floating], height: int, width: int) -> NDArray[np.uint8]:
    """[H, W], 255 inside the hull of a face's landmarks [P, 2] (px of the frame), widened by a tenth."""
    middle = points.mean(0)
    hull = cv2.convexHull((middle + 1.1 * (points - middle)).round().astype(np.int32))
    return np.asarray(cv2.fillConvexPoly(np.zeros((height, width), np.uint8), hull, 255), np.uint8)


def _strength(image: Image) -> Plane:
    """[H, W]: how far a pixel may move, by the texture around it.

    The quietest block nearby decides, so that a flat surface beside an edge counts as flat.
    """
    height, width = image.shape[:2]
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    texture = cv2.absdiff(luma, cv2.blur(luma, (5, 5)))
    blocks = (max(1, width // _STEP), max(1, height // _STEP))
    means = cv2.resize(texture, blocks, interpolation=cv2.INTER_AREA).astype(np.float32)
    busy = cv2.blur(cv2.erode(means, np.ones((3, 3), np.uint8)), (3, 3))
    gain = _GAIN * min(_GRAIN_GAIN, max(1.0, _GRAIN_PX / pitch(height, width)))
    strength = np.clip(_QUIET + gain * busy, _QUIET, _LOUD)
    return np.asarray(cv2.resize(strength, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
