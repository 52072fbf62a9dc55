"""A small pass of each stage: a first one is slow, and any one tells whether the device works."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.source import SAMPLE_RATE, ArraySource
from segtalker.regions import NUM_REGIONS, Region
from segtalker.stages import SpeechWindows, Stages


def warm_up_faces(stages: Stages) -> None:
    """One pass of what finds faces."""
    grey = np.full((64, 64, 3), 128, np.uint8)
    stages.backend.detect(grey, False)
    stages.parser.mattes(grey[None])


def warm_up_talker(stages: Stages) -> None:
    """One frame that hears silence."""
    size = stages.networks.painter.size
    stages.networks.talker.talk(_blank(1, size), _blank(1, size), _silence())


def warm_up_encoder(stages: Stages) -> NDArray[np.float32]:
    """Style codes of one crop."""
    size = stages.networks.painter.size
    return stages.networks.painter.encode(np.zeros((1, size, size, 3), np.uint8), _blank(1, size))


def warm_up_painter(stages: Stages) -> None:
    """Codes of one crop, and one crop of them."""
    painter = stages.networks.painter
    painter.paint(_blank(1, painter.size), warm_up_encoder(stages))


def _silence() -> SpeechWindows:
    """What one frame hears of a silent second."""
    return SpeechWindows.read(ArraySource(np.zeros(SAMPLE_RATE, np.float32)), [Fraction(0)])


def _blank(count: int, size: int) -> NDArray[np.uint8]:
    """Maps [N, S, S] with a border in the middle: a map of one region would take another path."""
    maps = np.full((count, size, size), Region.SKIN, np.uint8)
    maps[:, size // 2 :, : size // 2] = NUM_REGIONS - 1
    return maps
