"""How far generated pictures and videos are from real ones as sets: FID (arXiv 1706.08500), FVD (1812.01717).

Both are the Fréchet distance of two Gaussians, fitted to features of a network. The Gaussians are kept as
moments that merge: parts of a set are seen anywhere, and together give the figure of the whole set.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from segtalker.models.frozen.i3d import I3D, scale_videos
from segtalker.models.frozen.inception import Inception, scale_pictures

CLIP_FRAMES = 16
"""Consecutive frames that FVD looks at."""
_PICTURES, _CLIPS = 8, 2
"""That pass a network at once."""


def _nothing() -> NDArray[np.float64]:
    return np.zeros(0)


def _no_scatter() -> NDArray[np.float64]:
    return np.zeros((0, 0))


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of vectors, in double precision; `Moments() + a + b` are those of both parts.

    Parts merge around their common mean (Chan, Golub and LeVeque 1983), so that nothing cancels where the
    mean is large; in whatever order, the result differs by rounding only.
    """

    count: int = 0
    mean: NDArray[np.float64] = field(default_factory=_nothing)
    """[D]."""
    scatter: NDArray[np.float64] = field(default_factory=_no_scatter)
    """[D, D] sum of the products of deviations from the mean."""

    @classmethod
    def of(cls, vectors: NDArray[np.floating]) -> Moments:
        """Of vectors [N, D]."""
        if not len(vectors):
            return cls()
        values = np.asarray(vectors, np.float64)
        mean = values.mean(axis=0)
        deviations = values - mean
        return cls(len(values), mean, deviations.T @ deviations)

    def __add__(self, other: Moments) -> Moments:
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        apart = other.mean - self.mean
        between = np.outer(apart, apart) * (self.count * other.count / count)
        mean = self.mean + apart * (other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """[D, D], of a sample (over N - 1), as the published tools take it; NaN of fewer than two."""
        return self.scatter / (self.count - 1) if self.count > 1 else np.full_like(self.scatter, np.nan)


def frechet_distance(first: Moments, second: Moments) -> float:
    """Squared Fréchet distance of two Gaussians, >= 0; NaN where either has fewer than two vectors.

    It is |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)). With C = R R', R of as many columns as C has
    rank, the last trace is the sum of the singular values of R1' R2: no root of a product that is not
    symmetric, and nothing to add to covariances of fewer vectors than dimensions.
    """
    if first.count < 2 or second.count < 2:
        return float("nan")
    if len(first.mean) != len(second.mean):
        raise ValueError(f"Fréchet distance: features of {len(first.mean)} and {len(second.mean)} numbers")
    shift = float(((first.mean - second.mean) ** 2).sum())
    one, other = first.covariance, second.covariance
    common = float(np.linalg.svd(_root(one).T @ _root(other), compute_uv=False).sum())
    return max(shift + float(one.trace() + other.trace()) - 2 * common, 0.0)


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """R [D, rank] with R R' = covariance; eigenvalues that are rounding alone are none."""
    values, vectors = np.linalg.eigh(covariance)
    known = values > max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    return vectors[:, known] * np.sqrt(values[known])


@torch.inference_mode()
def picture_features(net: Inception, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Inception's features [N, 2048] of pictures [N, H, W, 3]; FID is `frechet_distance` of two sets'."""
    device = next(net.parameters()).device
    found = []
    for part in torch.from_numpy(pictures).split(_PICTURES):
        scaled = scale_pictures(part.to(device).permute(0, 3, 1, 2).float() / 255)
        found.append(net(scaled).cpu().numpy())
    return np.concatenate(found)


@torch.inference_mode()
def video_features(net: I3D, frames: NDArray[np.uint8], every: int = CLIP_FRAMES) -> NDArray[np.float32]:
    """I3D's logits [C, 400] of a video's clips of 16 frames; FVD is `frechet_distance` of two sets'.

    frames: [T, H, W, 3] at one rate; a clip begins at frames 0, `every`, ...; what remains at the end is left
    out. Figures compare only where rate, `every` and the number of clips are the same.
    """
    device = next(net.parameters()).device
    starts = range(0, len(frames) - CLIP_FRAMES + 1, every)
    found = [np.zeros((0, net.cfg.num_classes), np.float32)]
    for first in range(0, len(starts), _CLIPS):
        part = starts[first : first + _CLIPS]
        videos = np.stack([frames[start : start + CLIP_FRAMES] for start in part])
        moved = torch.from_numpy(videos).to(device).permute(0, 4, 1, 2, 3)
        found.append(net(scale_videos(moved)).cpu().numpy())
    return np.concatenate(found)
