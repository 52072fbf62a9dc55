"""Figures of all videos of a method together (FID, FVD, frechet_mini), as moments that merge."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtalker.metrics.frechet import Moments, frechet_distance


@dataclass(frozen=True)
class SetFigures:
    """Moments of features of outputs and of true videos; `SetFigures() + a + b` are those of both sets."""

    pictures: Moments = field(default_factory=Moments)
    """Of Inception: FID."""
    true_pictures: Moments = field(default_factory=Moments)
    clips: Moments = field(default_factory=Moments)
    """Of I3D: FVD."""
    true_clips: Moments = field(default_factory=Moments)
    mini: Moments = field(default_factory=Moments)
    """Of the random network: frechet_mini."""
    true_mini: Moments = field(default_factory=Moments)

    def __add__(self, other: SetFigures) -> SetFigures:
        return SetFigures(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def figures(self) -> dict[str, float | None]:
        """`fid`, `fvd` and `frechet_mini` where their networks saw anything; None of too little to tell."""
        values = dict(self._distances())
        return {name: value if math.isfinite(value) else None for name, value in values.items()}

    def _distances(self) -> Iterator[tuple[str, float]]:
        for name, made, true in (
            ("fid", self.pictures, self.true_pictures),
            ("fvd", self.clips, self.true_clips),
            ("frechet_mini", self.mini, self.true_mini),
        ):
            if made.count:
                yield name, frechet_distance(made, true)

    def to_bytes(self) -> bytes:
        """An .npz of arrays that `from_bytes` reads back exactly; of Inception about 34 MB a side."""
        arrays: dict[str, NDArray[Any]] = {}
        for name in (f.name for f in fields(self)):
            moments: Moments = getattr(self, name)
            if moments.count:
                arrays |= {f"{name}.{key}": np.asarray(value) for key, value in vars(moments).items()}
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> SetFigures:
        """The record of an .npz."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            names = {name.partition(".")[0] for name in arrays.files}
            return cls(
                **{
                    name: Moments(
                        int(arrays[f"{name}.count"]), arrays[f"{name}.mean"], arrays[f"{name}.scatter"]
                    )
                    for name in names
                }
            )
