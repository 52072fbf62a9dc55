"""What one video of a method is worth, as sums that merge: parts of a video are scored anywhere.

`VideoFigures() + a + b` are those of both parts, in whatever grouping; `figures` turns the sums into numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtalker.metrics.frechet import Moments
from segtalker.metrics.mean import Mean
from segtalker.metrics.segmentation import STRAY_SHARE, mean_iou
from segtalker.metrics.sync import SyncCurve, no_curve
from segtalker.regions import NUM_REGIONS

MEANS = (
    "psnr", "ssim", "lpips", "csim", "perceptual_mini", "id_mini",
    "f_lmd", "m_lmd", "f_lmd_centred", "m_lmd_centred",
    "seam", "flicker_output", "flicker_reference", "jitter", "coverage",
    "opening_silent", "opening_spoken", "source_opening_silent", "opening_closed", "opening_vowel",
)  # fmt: skip
"""Means over frames (of flicker and jitter, over triples of frames) that figures are made of."""
OPENINGS = ("source", "reference", "labels")
"""With whose mouth the output's is compared."""


def _no_pixels() -> NDArray[np.int64]:
    return np.zeros((NUM_REGIONS, NUM_REGIONS), np.int64)


@dataclass(frozen=True)
class VideoFigures:
    """Sums and counts of (a part of) one video."""

    measured: frozenset[str] = frozenset()
    """Names of the figures that the protocol asks for and that this machine can measure."""
    frames: int = 0
    """Frames of the grid that were looked at."""
    means: Mapping[str, Mean] = field(default_factory=dict)
    """By the names of `MEANS`."""
    pixels: NDArray[np.int64] = field(default_factory=_no_pixels)
    """`segmentation.confusion` of lower halves of region maps, output by reference."""
    sync: SyncCurve = field(default_factory=no_curve)
    """Of SyncNet v2."""
    expert: SyncCurve = field(default_factory=no_curve)
    """Of our evaluation expert."""
    openings: Mapping[str, Moments] = field(default_factory=dict)
    """By the names of `OPENINGS`: moments of the vectors (opening of the output, opening of the other)."""

    def __add__(self, other: VideoFigures) -> VideoFigures:
        return VideoFigures(
            self.measured | other.measured,
            self.frames + other.frames,
            _merged(self.means, other.means, Mean()),
            self.pixels + other.pixels,
            self.sync + other.sync,
            self.expert + other.expert,
            _merged(self.openings, other.openings, Moments()),
        )

    def figures(self) -> dict[str, float | None]:
        """Every measured figure by name; None where the video shows nothing to measure it on.

        What each is: `definitions.DEFINITIONS`. A figure that has no network here,
        or that the protocol leaves out, has no entry.
        """
        values = {name: _FIGURES[name](self) for name in _FIGURES if name in self.measured}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}

    def mean(self, name: str) -> float:
        """One of `MEANS`; NaN of nothing."""
        return self.means.get(name, Mean()).value

    def correlation(self, name: str) -> float:
        """Pearson correlation of the output's opening with another one; NaN where either never moves."""
        moments = self.openings.get(name, Moments())
        if moments.count < 2:
            return math.nan
        (xx, xy), (_, yy) = moments.scatter
        return float(xy / math.sqrt(xx * yy)) if min(xx, yy) > 1e-12 * moments.count else math.nan

    def to_json(self) -> dict[str, Any]:
        """Plain values that `from_json` reads back to the same record, bit for bit."""
        return {
            "measured": sorted(self.measured),
            "frames": self.frames,
            "means": {name: [mean.total, mean.count] for name, mean in sorted(self.means.items())},
            "pixels": self.pixels.tolist(),
            "sync": _curve_to_json(self.sync),
            "expert": _curve_to_json(self.expert),
            "openings": {
                name: [found.count, found.mean.tolist(), found.scatter.tolist()]
                for name, found in sorted(self.openings.items())
            },
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> VideoFigures:
        """The record of plain values."""
        return cls(
            frozenset(values["measured"]),
            int(values["frames"]),
            {name: Mean(float(total), int(count)) for name, (total, count) in values["means"].items()},
            np.array(values["pixels"], np.int64),
            _curve_from_json(values["sync"]),
            _curve_from_json(values["expert"]),
            {
                name: Moments(int(count), np.array(mean, np.float64), np.array(scatter, np.float64))
                for name, (count, mean, scatter) in values["openings"].items()
            },
        )


def _ratio(above: str, below: str) -> Callable[[VideoFigures], float]:
    def value(found: VideoFigures) -> float:
        divisor = found.mean(below)
        return found.mean(above) / divisor if divisor > 0 else math.nan

    return value


def _mean(name: str) -> Callable[[VideoFigures], float]:
    return lambda found: found.mean(name)


def _confidence(curve: SyncCurve) -> float:
    return curve.confidence if curve.windows else math.nan


def _offset(curve: SyncCurve) -> float:
    return float(curve.offset) if curve.windows else math.nan


_PLAIN = (
    "f_lmd", "m_lmd", "f_lmd_centred", "m_lmd_centred", "psnr", "ssim", "lpips", "csim", "perceptual_mini",
    "id_mini", "seam", "flicker_output", "jitter", "coverage",
)  # fmt: skip
_FIGURES: dict[str, Callable[[VideoFigures], float]] = {
    "sync_c": lambda found: _confidence(found.sync),
    "sync_d": lambda found: found.sync.distance,
    "sync_offset": lambda found: _offset(found.sync),
    "expert_confidence": lambda found: _confidence(found.expert),
    "expert_distance": lambda found: found.expert.distance,
    "expert_offset": lambda found: _offset(found.expert),
    **{name: _mean(name) for name in _PLAIN},
    "miou": lambda found: mean_iou(found.pixels, STRAY_SHARE),
    "opening": lambda found: found.correlation("reference"),
    "opening_labels": lambda found: found.correlation("labels"),
    "leak": lambda found: abs(found.correlation("source")),
    "silence": _ratio("opening_silent", "opening_spoken"),
    "silence_leak": _ratio("opening_silent", "source_opening_silent"),
    "closure": _ratio("opening_closed", "opening_vowel"),
    "flicker": lambda found: found.mean("flicker_output") - found.mean("flicker_reference"),
}


def _merged(first: Mapping[str, Any], second: Mapping[str, Any], nothing: Any) -> dict[str, Any]:
    names = sorted(first.keys() | second.keys())
    return {name: first.get(name, nothing) + second.get(name, nothing) for name in names}


def _curve_to_json(curve: SyncCurve) -> dict[str, Any]:
    return {"sums": curve.sums.tolist(), "windows": curve.windows, "distances": curve.distances.tolist()}


def _curve_from_json(values: Mapping[str, Any]) -> SyncCurve:
    sums, distances = (np.array(values[name], np.float64) for name in ("sums", "distances"))
    return SyncCurve(sums, int(values["windows"]), distances)
