"""What skin, hair and cloth look like on one person: mixtures fitted on a few frames of a track.

Pixels are told apart by the mesh first: the middle of the face is skin, the rim of the person above the
brows is hair, what lies low and aside is cloth. Where a person shows none of a class (a bald head, a close
crop), there is no mixture and the class is not given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtalker.parsing.layout import CLOTH, HAIR, SKIN, Layout, layout
from segtalker.parsing.mixture import Mixture, fit_mixture
from segtalker.types import Image

WORK_SIZE = 128
"""Colours are looked at in crops of this size."""

_SAMPLES = 3000
_COMPONENTS = {SKIN: 3, HAIR: 3, CLOTH: 3}
_FLOOR = -22.0  # log density of a colour that no class knows: place decides


@dataclass(frozen=True)
class ColourModel:
    """Mixtures over Lab colours by class; a class may be absent."""

    mixtures: dict[int, Mixture]

    def log_density(self, lab: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lab picture [H, W, 3] to [3, H, W]; absent classes get the density of an unknown colour."""
        flat = lab.reshape(-1, 3)
        result = np.full((3, len(flat)), _FLOOR, np.float32)
        for label, mixture in self.mixtures.items():
            result[label] = np.maximum(mixture.log_density(flat), _FLOOR)
        return result.reshape(3, *lab.shape[:2])

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Arrays for an .npz file or a shard."""
        return {
            f"{label}.{name}": getattr(mixture, name)
            for label, mixture in self.mixtures.items()
            for name in ("log_weights", "means", "whiten")
        }

    @staticmethod
    def from_arrays(arrays: dict[str, NDArray[np.float32]]) -> ColourModel:
        """Inverse of `to_arrays`."""
        labels = sorted({int(key.split(".")[0]) for key in arrays})
        names = ("log_weights", "means", "whiten")
        return ColourModel(
            {k: Mixture(*(np.asarray(arrays[f"{k}.{name}"]) for name in names)) for k in labels}
        )


def lab_picture(crop: Image) -> NDArray[np.float32]:
    """Lab [W, W, 3], 0..255 a channel, at the working size, a little smoothed against codec noise."""
    import cv2

    shrink = cv2.INTER_AREA if crop.shape[0] > WORK_SIZE else cv2.INTER_LINEAR
    small = cv2.resize(crop, (WORK_SIZE, WORK_SIZE), interpolation=shrink)
    small = cv2.GaussianBlur(small, (0, 0), 0.8)
    return cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)


def fit_colours(
    crops: Sequence[Image],
    landmarks: Sequence[NDArray[np.floating]],
    mattes: Sequence[NDArray[np.float32]],
) -> ColourModel:
    """Fit on some frames of one track; crops [S, S, 3], landmarks [468, 2] crop pixels, mattes [S, S]."""
    samples: dict[int, list[NDArray[np.float32]]] = {SKIN: [], HAIR: [], CLOTH: []}
    necks = []
    for crop, points, matte in zip(crops, landmarks, mattes, strict=True):
        lab = lab_picture(crop)
        face = layout(points / crop.shape[0], WORK_SIZE)
        seeds = _seeds(face, small_matte(matte))
        for label, list_ in samples.items():
            list_.append(lab[seeds[label]])
        necks.append(lab[_below_the_chin(face)])
    found = {label: _thin(np.concatenate(parts)) for label, parts in samples.items()}
    if len(found[SKIN]) < 20:  # a face at the edge of the frame: nothing to learn from
        return ColourModel({})
    skin = _without_outliers(found[SKIN])
    face_only = fit_mixture(skin, 2)
    skin = np.concatenate([skin, _shaded_skin(skin, np.concatenate(necks))])
    mixtures = {SKIN: fit_mixture(skin, _COMPONENTS[SKIN])}
    usual = float(np.percentile(face_only.log_density(skin), 10))
    for label in (HAIR, CLOTH):
        candidates = found[label]
        if len(candidates) < 40:
            continue
        strange = candidates[face_only.log_density(candidates) < usual]
        if len(strange) > 0.25 * len(candidates):  # else it is skin: a bald head, bare shoulders
            mixtures[label] = fit_mixture(strange, _COMPONENTS[label])
    return ColourModel(mixtures)


def small_matte(matte: NDArray[np.float32]) -> NDArray[np.float32]:
    """The matte at the working size."""
    import cv2

    small = cv2.resize(matte, (WORK_SIZE, WORK_SIZE), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32)


def _seeds(face: Layout, matte: NDArray[np.float32]) -> dict[int, NDArray[np.bool_]]:
    person = matte > 0.8
    aside = np.abs(face.x - face.centre_x) > 0.75 * face.half_width
    return {
        SKIN: (face.depth > 0.03) & ~face.features & (face.y > face.brow_y - 0.04),
        HAIR: person & (face.distance > 0.05) & (face.y < face.brow_y),
        CLOTH: person & (face.y > face.chin_y + 0.02) & aside,
    }


def _below_the_chin(face: Layout) -> NDArray[np.bool_]:
    narrow = np.abs(face.x - face.centre_x) < 0.45 * face.half_width
    return narrow & (face.y > face.mouth_y) & (face.distance > 0.008) & (face.distance < 0.05)


def _shaded_skin(skin: NDArray[np.float32], neck: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples under the chin that have the tint of the skin in a shade of it; a collar has another tint.

    A dark patch has little tint whatever it is, so the tint is compared relative to its lightness.
    """
    if not len(neck):
        return skin[:0]

    def tint(lab: NDArray[np.floating]) -> NDArray[np.floating]:
        return (lab[:, 1:] - 128.0) / np.maximum(lab[:, :1], 12.0)

    centre, spread = np.median(tint(skin), axis=0), np.std(tint(skin), axis=0) + 0.015
    lightness = float(np.median(skin[:, 0]))
    alike = (np.abs(tint(neck) - centre) / spread < 2.5).all(axis=1)
    alike &= (neck[:, 0] > 0.35 * lightness) & (neck[:, 0] < 1.15 * lightness)
    return neck[alike] if alike.mean() > 0.25 else skin[:0]


def _without_outliers(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Drop highlights, glasses and stray hair: the tenth of the samples farthest from the median."""
    distance = np.abs(samples - np.median(samples, axis=0)) / (samples.std(axis=0) + 1.0)
    return samples[distance.max(axis=1) <= np.percentile(distance.max(axis=1), 90)]


def _thin(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    return samples[:: max(1, len(samples) // _SAMPLES)]
