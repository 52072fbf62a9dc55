"""What a talking clip is worth, as one value that adds up over clips, processes and machines."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from segtalker.metrics.image import psnr_between, ssim
from segtalker.metrics.landmarks import landmark_distance, mouth_landmarks
from segtalker.metrics.mean import Mean
from segtalker.metrics.published import PublishedScores
from segtalker.metrics.segmentation import STRAY_SHARE, confusion, lower_half, mean_iou
from segtalker.metrics.sync import SyncCurve, no_curve
from segtalker.regions import NUM_REGIONS

_NOTHING = Mean()


def _no_pixels() -> NDArray[np.int64]:
    return np.zeros((NUM_REGIONS, NUM_REGIONS), np.int64)


@dataclass(frozen=True)
class TalkingScores:
    """Sums and counts; `TalkingScores() + a + b` are the scores of both clips. All parts are optional."""

    pixels: NDArray[np.int64] = field(default_factory=_no_pixels)
    """`confusion` of the lower halves of talking maps."""
    psnr: Mean = _NOTHING
    ssim: Mean = _NOTHING
    lmd: Mean = _NOTHING
    """Mouth landmarks where they are in the crop."""
    lmd_centred: Mean = _NOTHING
    """The same, each set moved to its own mean."""
    frames: int = 0
    """Whose mouths were looked for; `lmd.count` of them were found."""
    sync: SyncCurve = field(default_factory=no_curve)
    """Of the mouths in maps that were read off pictures."""
    map_sync: SyncCurve = field(default_factory=no_curve)
    """Of the mouths in talking maps, before anything was painted."""
    published: PublishedScores = field(default_factory=PublishedScores)
    """By networks of others."""

    def __add__(self, other: TalkingScores) -> TalkingScores:
        return TalkingScores(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def figures(self) -> dict[str, float | None]:
        """The figures by name; None where nothing was measured, and no entry where a network is wanted."""
        values = {
            "miou": mean_iou(self.pixels, STRAY_SHARE),
            "psnr": self.psnr.value,
            "ssim": self.ssim.value,
            "lmd": self.lmd.value,
            "lmd_centred": self.lmd_centred.value,
            "mouths_found": self.lmd.count / self.frames if self.frames else math.nan,
            "sync_confidence": self.sync.confidence if self.sync.windows else math.nan,
            "sync_distance": self.sync.distance,
            "map_sync_confidence": self.map_sync.confidence if self.map_sync.windows else math.nan,
        }
        values |= dict(self.published.figures())
        return {name: value if math.isfinite(value) else None for name, value in values.items()}


def score_maps(drawn: NDArray[np.uint8], true: NDArray[np.uint8]) -> TalkingScores:
    """Of talking maps [T, S, S] by the true ones."""
    return TalkingScores(pixels=confusion(lower_half(drawn), lower_half(true)))


def score_pictures(pictures: NDArray[np.uint8], true: NDArray[np.uint8]) -> TalkingScores:
    """Of pictures [T, S, S, 3] by the true ones, the whole crop; means over frames."""
    pairs = list(zip(pictures, true, strict=True))
    return TalkingScores(
        psnr=Mean.of([psnr_between(*pair) for pair in pairs]),
        ssim=Mean.of([ssim(*pair) for pair in pairs]),
    )


def score_mouths(read: NDArray[np.uint8], true: NDArray[np.uint8]) -> TalkingScores:
    """Of the mouths in maps [T, s, s] that were read off pictures, by the true maps [T, S, S]."""
    found, wanted = mouth_landmarks(read), mouth_landmarks(true)
    return TalkingScores(
        lmd=landmark_distance(found, wanted),
        lmd_centred=landmark_distance(found, wanted, centred=True),
        frames=int(np.isfinite(wanted).all(axis=(1, 2)).sum()),
    )
