"""How steady mattes of whole frames are in time."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.matte import Mattes
from segtalker.extract import LocalCropParser
from segtalker.faces.detect import FaceBackend
from segtalker.faces.track import track_faces
from segtalker.parsing.parse import load_parser
from segtalker.types import Frame, Image

_SOFT = 0.02


def jitter(mattes: NDArray[np.float32]) -> float:
    """Mean of |matte - mean of its neighbours in time| over the pixels [T, H, W] of soft edges, 0..1.

    An edge is what is neither person nor background in the frame or in a neighbour. An edge that moves evenly
    counts a little, as much as it is curved.
    """
    wavering = np.abs(mattes[1:-1] - (mattes[:-2] + mattes[2:]) / 2)
    soft = (mattes > _SOFT) & (mattes < 1 - _SOFT)
    edge = soft[1:-1] | soft[:-2] | soft[2:]
    return float(wavering[edge].mean()) if edge.any() else 0.0


def measure(images: Sequence[Image], backend: FaceBackend) -> tuple[float, float]:
    """Jitter of the mattes of a video at 25 fps, and of the network's own answers for comparison."""
    frames = {i: Frame(i, Fraction(i, 25), image) for i, image in enumerate(images)}
    tracks = track_faces(frames.values(), backend)
    mattes = Mattes(LocalCropParser(backend, load_parser()).mattes, len(frames), tracks)
    ours = [mattes.of(frames, [i])[i] for i in frames]
    return jitter(np.stack(ours)), jitter(np.stack([backend.matte(image) for image in images]))
