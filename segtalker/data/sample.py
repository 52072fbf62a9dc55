"""What a prepared clip holds: its fields, their shapes and types. Needs only numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtalker.errors import DataError
from segtalker.types import Phone

FPS = 25

FIELDS: Mapping[str, tuple[type[np.generic], int, bool]] = {
    "maps": (np.uint8, 3, False),
    "mel": (np.float16, 2, True),
    "tokens": (np.float16, 2, True),
    "crops": (np.uint8, 4, False),
    "raw": (np.uint8, 3, False),
    "landmarks": (np.float16, 3, False),
    "opening": (np.float32, 1, False),
    "energy": (np.float32, 1, False),
    "mouth": (np.float16, 2, False),
}
"""Field -> (type on disk, dimensions, required). Shapes are those of `Sample`."""
MOUTH = ("opening", "width", "protrusion", "press")
"""Columns of the field `mouth`."""
_AUDIO = ("mel", "tokens")
"""Fields with a row count of their own; all others have a row a frame."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One clip of one person, ready for training."""

    key: str
    """Unique in its corpus; no slash."""
    mel: NDArray[np.floating[Any]]
    """[M, 80] mel spectrogram, 80 steps a second, step 0 at time 0."""
    tokens: NDArray[np.floating[Any]]
    """[T25, 104] stacked log-filterbank, 25 tokens a second."""
    identity: str
    voice: str
    engine: str
    """The synthesiser (or `human`) that spoke."""
    split: str
    """`train`, `val`, `test`, ... ; splits never share an identity."""
    phones: Sequence[Phone] = ()
    maps: NDArray[np.uint8] | None = None
    """[T, S, S] region maps of the aligned crop; absent where only the speech is prepared."""
    crops: NDArray[np.uint8] | None = None
    """[T, S, S, 3] RGB."""
    raw: NDArray[np.uint8] | None = None
    """[T, S, S] raw 19-label maps."""
    landmarks: NDArray[np.floating[Any]] | None = None
    """[T, 468, 2] in the unit crop."""
    opening: NDArray[np.float32] | None = None
    """[T] true inner-mouth opening, in any one unit."""
    energy: NDArray[np.float32] | None = None
    """[T] loudness of the speech around each frame."""
    mouth: NDArray[np.floating[Any]] | None = None
    """[T, 4] what the mouth does (`MOUTH`), the same scale for all people."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where it came from: JSON values."""

    @property
    def num_frames(self) -> int:
        """Frames of the first field that has a row a frame; maps come first."""
        for name in FIELDS:
            value = None if name in _AUDIO else getattr(self, name)
            if value is not None:
                return len(value)
        raise DataError(f"clip '{self.key}': holds nothing that has frames.")


def checked_arrays(sample: Sample) -> dict[str, NDArray[Any]]:
    """The fields of a sample as they are stored; `DataError` names one that does not fit."""
    arrays = {}
    for name, (kind, ndim, required) in FIELDS.items():
        value = getattr(sample, name)
        if value is None and not required:
            continue
        if value is None or value.ndim != ndim or len(value) == 0:
            shape = None if value is None else value.shape
            raise DataError(f"clip '{sample.key}': '{name}' needs {ndim} dimensions, found {shape}.")
        if name not in _AUDIO and len(value) != sample.num_frames:
            raise DataError(
                f"clip '{sample.key}': '{name}' has {len(value)} frames, the clip has {sample.num_frames}."
            )
        arrays[name] = np.ascontiguousarray(value, dtype=kind)
    return arrays
