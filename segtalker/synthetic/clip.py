"""One talking person: meshes, poses, alignment and region maps of all frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from segtalker.faces.align import apply_affine, crop_from_landmarks
from segtalker.parsing.draw import draw_face, fill_polygon
from segtalker.regions import Raw
from segtalker.synthetic.expression import express, lip_gap
from segtalker.synthetic.figure import FACE, Figure
from segtalker.synthetic.identity import Identity
from segtalker.synthetic.motion import Motion, Style, make_motion
from segtalker.synthetic.pose import project
from segtalker.types import Affine, Phone


@dataclass(frozen=True)
class LabelNoise:
    """Errors that a real tracker and parser make; lengths in unit crops."""

    jitter: float = 0.0012
    """Independent noise of each landmark in each frame."""
    drift: float = 0.0025
    """Smooth error of the landmarks of a clip that changes slowly over it."""
    crop_offset: float = 0.008
    """Constant error of a clip's alignment."""
    lost_ears: float = 0.15
    """Probability that a clip's ears are labelled as hair or skin."""
    lost_neck: float = 0.1
    """Probability that a clip's neck is background."""


EXACT = LabelNoise(jitter=0.0, drift=0.0, crop_offset=0.0, lost_ears=0.0, lost_neck=0.0)
"""No errors."""


@dataclass(frozen=True)
class Performance:
    """A person through a clip, in picture coordinates of about the unit crop."""

    identity: Identity
    motion: Motion
    meshes: NDArray[np.float64]
    """[T, 468, 3] before the head turns."""
    posed: NDArray[np.float64]
    """[T, 468, 3] picture x, y and depth."""
    figure: Figure = field(repr=False)
    opening: NDArray[np.float32]
    """[T] true lip gap, unit crops."""
    crop: NDArray[np.float64]
    """[T, 2, 3] picture -> unit crop, as the aligner would find it from noisy landmarks."""
    landmarks: NDArray[np.float64]
    """[T, 468, 2] in the unit crop, with the tracker's noise."""
    lost: frozenset[Raw]
    """Labels that the parser misses."""

    def __len__(self) -> int:
        return len(self.posed)


def perform(
    identity: Identity,
    phones: Sequence[Phone],
    times_s: NDArray[np.float64],
    seed: int,
    style: Style,
    noise: LabelNoise,
) -> Performance:
    """Let `identity` speak `phones`, seen at `times_s` [T]."""
    rng = np.random.default_rng((seed, 2))
    motion = make_motion(phones, times_s, int(rng.integers(1 << 62)), style)
    meshes = express(identity.mesh, motion, identity.gap)
    posed = project(meshes, motion, identity.camera)
    seen = posed[..., :2] + _tracking_noise(len(posed), noise, rng)
    fitted = np.stack([crop_from_landmarks(frame) for frame in seen])
    crop = _smooth_crop(fitted, _random_offset(noise.crop_offset, rng))
    landmarks = apply_affine(crop, seen)
    lost = {Raw.LEFT_EAR, Raw.RIGHT_EAR, Raw.EAR_RING} if rng.random() < noise.lost_ears else set()
    if rng.random() < noise.lost_neck:
        lost |= {Raw.NECK}
    return Performance(
        identity,
        motion,
        meshes,
        posed,
        Figure(identity, motion),
        lip_gap(meshes),
        crop,
        landmarks,
        frozenset(lost),
    )


def draw_raw_map(performance: Performance, frame: int, size: int) -> NDArray[np.uint8]:
    """Raw 19-label map [size, size] of the aligned crop, painted as the landmark parser does."""
    raw = np.zeros((size, size), np.uint8)
    crop: Affine = performance.crop[frame] * size
    points = performance.landmarks[frame] * size
    person = performance.identity
    for layer in performance.figure.layers(frame, performance.posed[frame, :, :2]):
        if layer.name == FACE:
            draw_face(raw, points)
        elif layer.label not in performance.lost:
            before = raw.copy() if layer.name == "glasses" else raw
            fill_polygon(raw, apply_affine(crop, layer.points), layer.label)
            if layer.name == "glasses" and person.glasses is not None and not person.glasses.dark:
                np.copyto(raw, before, where=(before == Raw.LEFT_EYE) | (before == Raw.RIGHT_EYE))
    return raw


def _tracking_noise(frames: int, noise: LabelNoise, rng: np.random.Generator) -> NDArray[np.float64]:
    """[T, 468, 2]: white jitter, plus six slow error patterns that the points share in random shares."""
    white = rng.normal(0.0, 1.0, (frames, 468, 2)) * noise.jitter
    slow = gaussian_filter1d(rng.standard_normal((frames + 80, 6, 2)), 20.0, axis=0)[40 : 40 + frames] * 8.4
    shares = rng.normal(0.0, 0.41, (6, 468, 1))
    return white + noise.drift * np.einsum("tkc,kpo->tpc", slow, shares)


def _random_offset(spread: float, rng: np.random.Generator) -> Affine:
    angle, scale = rng.normal(0.0, 0.012), 1.0 + rng.normal(0.0, 0.012)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[c, -s], [s, c]])
    centre = np.full(2, 0.5)
    return np.concatenate([linear, (centre - linear @ centre + rng.normal(0.0, spread, 2))[:, None]], axis=1)


def _smooth_crop(fitted: NDArray[np.float64], offset: Affine) -> NDArray[np.float64]:
    """Zero-phase smoothing over about five frames, as on a real track, then a constant misalignment."""
    smooth = gaussian_filter1d(fitted, 1.2, axis=0, mode="nearest")
    linear = offset[:, :2] @ smooth[:, :, :2]
    shift = smooth[:, :, 2] @ offset[:, :2].T + offset[:, 2]
    return np.concatenate([linear, shift[:, :, None]], axis=2)
