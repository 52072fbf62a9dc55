"""Figures of a clip by published networks, where they are here: FID, FVD, LPIPS, CSIM, Sync-C and Sync-D.

What the networks see in true pictures is looked up once (`look`) and compared with any number of methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from segtalker.metrics.frechet import Moments, frechet_distance, picture_features, video_features
from segtalker.metrics.likeness import crop_embeddings, csim
from segtalker.metrics.mean import Mean
from segtalker.metrics.networks import MetricNetworks
from segtalker.metrics.perceptual import lpips_between
from segtalker.metrics.sync_scores import SyncScores, face_sync_curve

_NOTHING = Mean()
_UNSEEN = Moments()
_NO_ROWS = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Looks:
    """What networks see in the pictures of one clip; no rows where a network is not here."""

    pictures: NDArray[np.float32]
    """[N, 2048] by Inception, of the scored frames."""
    faces: NDArray[np.float32]
    """[N, D] by the recogniser, of the scored frames."""
    clips: NDArray[np.float32]
    """[C, 400] by I3D, of every 16 frames."""


def look(networks: MetricNetworks, pictures: NDArray[np.uint8], scored: NDArray[np.int64]) -> Looks:
    """At consecutive aligned crops [T, S, S, 3]; about 10 kB a frame.

    scored: the frames that count; those of FVD are all, since it looks at motion.
    """
    counted = pictures[scored]
    return Looks(
        pictures=_NO_ROWS if networks.fid is None else picture_features(networks.fid, counted),
        faces=_NO_ROWS if networks.embedder is None else crop_embeddings(networks.embedder, counted),
        clips=_NO_ROWS if networks.fvd is None else video_features(networks.fvd, pictures),
    )


@dataclass(frozen=True)
class PublishedScores:
    """Sums and counts that merge; `PublishedScores() + a + b` are the scores of both clips."""

    lpips: Mean = _NOTHING
    csim: Mean = _NOTHING
    sync: SyncScores = field(default_factory=SyncScores)
    pictures: Moments = _UNSEEN
    """Of what Inception sees."""
    true_pictures: Moments = _UNSEEN
    clips: Moments = _UNSEEN
    """Of what I3D sees."""
    true_clips: Moments = _UNSEEN

    def __add__(self, other: PublishedScores) -> PublishedScores:
        return PublishedScores(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def figures(self) -> Iterator[tuple[str, float]]:
        """Name and value of each that was measured; NaN of too little to tell."""
        if self.lpips.count:
            yield "lpips", self.lpips.value
        if self.pictures.count:
            yield "fid", frechet_distance(self.pictures, self.true_pictures)
        if self.clips.count:
            yield "fvd", frechet_distance(self.clips, self.true_clips)
        if self.csim.count:
            yield "csim", self.csim.value
        if self.sync.confidence.count:
            yield "sync_c", self.sync.confidence.value
            yield "sync_d", self.sync.distance.value


def score_looks(looks: Looks, true: Looks) -> PublishedScores:
    """Of a clip's pictures by the true ones: FID, FVD and CSIM."""
    return PublishedScores(
        csim=csim(looks.faces, true.faces),
        pictures=Moments.of(looks.pictures),
        true_pictures=Moments.of(true.pictures),
        clips=Moments.of(looks.clips),
        true_clips=Moments.of(true.clips),
    )


def score_pairs(
    networks: MetricNetworks, pictures: NDArray[np.uint8], true: NDArray[np.uint8]
) -> PublishedScores:
    """Of pictures [T, S, S, 3], each by its true one: LPIPS."""
    if networks.lpips is None:
        return PublishedScores()
    return PublishedScores(lpips=lpips_between(networks.lpips, pictures, true))


def score_speech(
    networks: MetricNetworks, pictures: NDArray[np.uint8], samples: NDArray[np.float32] | None
) -> PublishedScores:
    """Of all pictures of a clip [T, S, S, 3] at 25 fps by its speech [N] at 16 kHz; nothing without either.

    The whole crop is shown to the network, which learned from tighter ones: compare with figures of the same
    crops only.
    """
    if networks.sync is None or samples is None:
        return PublishedScores()
    return PublishedScores(sync=SyncScores.of(face_sync_curve(networks.sync, pictures, samples)))
