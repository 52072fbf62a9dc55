"""A protocol and tools for tests: faces are blobs of skin colour, the expert has random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from segtalker.config import load_yaml, parse_config
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.tools import Tools
from segtalker.faces.mesh import INNER_PAIRS
from segtalker.faces.points68 import from_mesh
from segtalker.metrics.mini import RandomFeatures
from segtalker.models.syncnet import SyncNet, SyncNetConfig
from segtalker.parsing.parse import LandmarkParser
from segtalker.types import Face, Image, Points
from tests.dubbing import BlobFaces

INNER_MOUTH = (60, 20, 25)
"""Colour of an open mouth in `tests.dubbing.draw_face`."""
PROTOCOL = EvalProtocol(size=96, map_size=64)
_SMOKE = Path(__file__).parents[2] / "configs" / "smoke" / "syncnet.yaml"


class Blobs(BlobFaces):
    """`BlobFaces` whose mouths are as open as they were drawn, with the points that scores are made of."""

    def detect(self, image: Image, thorough: bool = True) -> list[Face]:
        return [_opened(face, image) for face in super().detect(image, thorough)]

    def landmarks68(self, image: Image, face: Face) -> Points:
        return from_mesh(face.landmarks)


def _opened(face: Face, image: Image) -> Face:
    """The face with its inner lips apart by the height of the dark mouth that is painted in its box."""
    left, top, right, bottom = face.bbox.round().astype(int)
    inside = image[max(top, 0) : bottom, max(left, 0) : right].astype(int)
    dark = (np.abs(inside - INNER_MOUTH).max(-1) < 30).any(axis=1).sum() if inside.size else 0
    points = face.landmarks.copy()
    for lower, upper in INNER_PAIRS:
        points[lower, 1] += dark / 2
        points[upper, 1] -= dark / 2
    return replace(face, landmarks=points)


def tiny_tools() -> Tools:
    """Everything that needs no file."""
    torch.manual_seed(0)
    expert = SyncNet(parse_config(SyncNetConfig, load_yaml(_SMOKE)["model"])).eval()
    return Tools(backend=Blobs(), parser=LandmarkParser(), expert=expert, random=RandomFeatures())
