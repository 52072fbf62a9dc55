"""CSIM: does the face stay the same person's? The mean cosine of a recogniser's embeddings.

Figures of two recognisers do not compare: name `Embedder.row` beside them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.identity import Embedder
from segtalker.faces.mesh import mean_face
from segtalker.metrics.mean import Mean
from segtalker.types import Face, Image

_SIZE = 512
"""Of an embedding, where no frame has one to tell."""


def face_embeddings(embedder: Embedder, frames: Iterable[tuple[Image, Face | None]]) -> NDArray[np.float32]:
    """Unit vectors [T, 512] of frames with the face in them; NaN where none was found."""
    found = [None if face is None else embedder.embed(image, face) for image, face in frames]
    size = next((len(vector) for vector in found if vector is not None), _SIZE)
    lost = np.full(size, np.nan, np.float32)
    return np.array([lost if vector is None else vector for vector in found]).reshape(len(found), size)


def crop_embeddings(embedder: Embedder, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Unit vectors [T, D] of aligned crops [T, S, S, 3], framed like FFHQ.

    The face is taken where the alignment put it, so that no detector decides which frames count.
    """
    size = crops.shape[1]
    mesh = (mean_face() * size).astype(np.float32)
    box = np.array([0, 0, size, size], np.float32)
    face = Face(box, 1.0, mesh[:, :2], mesh[:, 2])
    return face_embeddings(embedder, ((crop, face) for crop in crops))


def csim(found: NDArray[np.floating], wanted: NDArray[np.floating]) -> Mean:
    """Mean cosine, in -1..1, of unit vectors [T, D] with those of the true frames [T, D], or one photo's [D].

    Frames in which either is NaN take no part; `count` says how many did.
    """
    if found.shape[-1:] != wanted.shape[-1:] or wanted.shape not in (found.shape, found.shape[1:]):
        raise ValueError(f"csim: embeddings of {found.shape} and {wanted.shape}")
    return Mean.of((found.astype(np.float64) * wanted).sum(axis=-1))
