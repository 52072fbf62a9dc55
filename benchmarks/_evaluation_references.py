"""What `evaluation` compares our figures with: scikit-image, SciPy, and plain loops over frames and pixels.

Everything begins at the same aligned crops, meshes and raw maps; nothing of `segtalker.metrics` is called.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.spatial.distance import cosine
from scipy.stats import pearsonr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from segtalker.audio.mel import mel_spectrogram
from segtalker.audio.mfcc import mfcc
from segtalker.evaluation.faces import Look
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.tools import Tools
from segtalker.evaluation.window import Seen
from segtalker.faces.mesh import LIP_IN
from segtalker.metrics.likeness import crop_embeddings
from segtalker.parsing.clean import clean_maps
from segtalker.regions import merge_raw, one_hot

Crops = NDArray[np.uint8]
_EYES = 0.246
"""Distance of the eyes in the crop, in sides."""
_SHIFTS = range(-15, 16)
_VOWELS = {"aa", "ae", "ah", "ao", "aw", "ax", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw"}


@dataclass(frozen=True)
class Material:
    """A pair that shows a face in every frame of one shot."""

    seen: Sequence[Seen]
    labels: Path
    samples: NDArray[np.float32]
    protocol: EvalProtocol
    tools: Tools

    def looks(self, which: str) -> list[Look]:
        """Of `output` or `reference`."""
        return [getattr(seen, which) for seen in self.seen]

    def crops(self, which: str) -> Crops:
        """Pictures [T, S, S, 3]."""
        return np.stack([look.crop for look in self.looks(which) if look.crop is not None])

    def maps(self, which: str) -> NDArray[np.uint8]:
        """Region maps [T, M, M]."""
        return merge_raw(
            clean_maps(np.stack([look.raw for look in self.looks(which) if look.raw is not None]))
        )

    def areas(self, which: str) -> list[float]:
        """Of the inner lips, by OpenCV."""
        meshes = [look.face.landmarks for look in self.looks(which) if look.face is not None]
        unit = (_EYES * self.protocol.size) ** 2
        return [cv2.contourArea(mesh[list(LIP_IN)].astype(np.float32)) / unit for mesh in meshes]


def independent(material: Material) -> Iterator[tuple[str, float, str]]:
    """(figure, value, by what) of every figure that is compared."""
    for part in (_pictures, _landmarks, _maps, _mouths, _motion, _expert, _syncnet, _frechet):
        yield from part(material)


def _pictures(material: Material) -> Iterator[tuple[str, float, str]]:
    pairs = list(zip(material.crops("reference"), material.crops("output"), strict=True))
    yield (
        "psnr",
        float(np.mean([peak_signal_noise_ratio(*pair, data_range=255) for pair in pairs])),
        "scikit-image",
    )
    yield "ssim", float(np.mean([_ssim(*pair) for pair in pairs])), "scikit-image"
    if (embedder := material.tools.published.embedder) is not None:
        seen = [crop_embeddings(embedder, material.crops(name)) for name in ("output", "reference")]
        yield "csim", float(np.mean([1 - cosine(a, b) for a, b in zip(*seen, strict=True)])), "SciPy"


def _ssim(true: NDArray[np.uint8], made: NDArray[np.uint8]) -> float:
    """With the settings of the authors of SSIM."""
    return float(
        structural_similarity(
            true,
            made,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
        )
    )


def _landmarks(material: Material) -> Iterator[tuple[str, float, str]]:
    """Point by point in plain Python."""
    scale = material.protocol.landmark_size / material.protocol.size
    frames = [
        [_points(material, look) for look in pair]
        for pair in zip(material.looks("output"), material.looks("reference"), strict=True)
    ]

    def distance(first: int, centred: bool) -> float:
        per_frame = []
        for made, true in frames:
            made, true = made[first:], true[first:]
            shift = [0.0, 0.0]
            if centred:
                shift = [
                    sum(m[k] - t[k] for m, t in zip(made, true, strict=True)) / len(made) for k in (0, 1)
                ]
            apart = [
                math.hypot(m[0] - t[0] - shift[0], m[1] - t[1] - shift[1])
                for m, t in zip(made, true, strict=True)
            ]
            per_frame.append(scale * sum(apart) / len(apart))
        return sum(per_frame) / len(per_frame)

    for name, first in (("f_lmd", 0), ("m_lmd", 48)):
        yield name, distance(first, False), "plain loops"
        yield f"{name}_centred", distance(first, True), "plain loops"


def _points(material: Material, look: Look) -> list[list[float]]:
    assert look.crop is not None and look.face is not None
    return [list(point) for point in material.tools.backend.landmarks68(look.crop, look.face).tolist()]


def _maps(material: Material) -> Iterator[tuple[str, float, str]]:
    half = material.protocol.map_size // 2
    made, true = (material.maps(name)[:, half:] for name in ("output", "reference"))
    shares = []
    for region in range(12):
        if (true == region).sum() >= max(1e-4 * true.size, 1):
            shares.append(
                ((made == region) & (true == region)).sum() / ((made == region) | (true == region)).sum()
            )
    yield "miou", float(np.mean(shares)), "plain loops"
    flips = [
        float(
            np.mean(
                [
                    a == c != b
                    for a, b, c in zip(
                        *(frame.ravel().tolist() for frame in made[t - 1 : t + 2]), strict=True
                    )
                ]
            )
        )
        for t in range(1, len(made) - 1)
    ]
    yield "jitter", float(np.mean(flips)), "plain loops"


def _mouths(material: Material) -> Iterator[tuple[str, float, str]]:
    made, true = material.areas("output"), material.areas("reference")
    labels = json.loads(material.labels.read_text())
    yield "opening", float(pearsonr(made, true).statistic), "SciPy"
    count = min(len(made), len(labels["opening"]))
    yield "opening_labels", float(pearsonr(made[:count], labels["opening"][:count]).statistic), "SciPy"

    def mean(holds: Callable[[str], bool], margin: float = 0.0) -> float:
        chosen = [
            area
            for t, area in enumerate(made)
            if any(
                holds(label) and start + margin <= t / 25 + 1e-6 < end - margin
                for label, start, end in labels["phones"]
            )
        ]
        return sum(chosen) / len(chosen)

    yield "silence", mean(lambda x: x == "sil", 0.1) / mean(lambda x: x != "sil"), "plain loops"
    yield "closure", mean(lambda x: x in "pbm") / mean(lambda x: x in _VOWELS), "plain loops"


def _motion(material: Material) -> Iterator[tuple[str, float, str]]:
    def bend(name: str) -> float:
        bright = material.crops(name)[:, material.protocol.size // 2 :].astype(float).mean(axis=-1)
        return float(np.abs(np.diff(bright, n=2, axis=0)).mean() / 4)

    yield "flicker_output", bend("output"), "NumPy"
    yield "flicker", bend("output") - bend("reference"), "NumPy"


@torch.inference_mode()
def _expert(material: Material) -> Iterator[tuple[str, float, str]]:
    """One window and one shift at a time, with the spectrogram of the whole speech."""
    net, maps, mel = material.tools.expert, material.maps("output"), mel_spectrogram(material.samples)
    assert net is not None
    length = net.cfg.window
    padded = np.concatenate([np.full((99, 80), -4, np.float32), mel, np.full((99, 80), -4, np.float32)])
    odds: list[list[float]] = [[] for _ in _SHIFTS]
    apart: list[list[float]] = [[] for _ in _SHIFTS]
    for start in range(15, len(maps) - length + 1 - 15):
        masks = net.pool_masks(torch.from_numpy(one_hot(maps[None, start : start + length])))
        seen = net.embed_masks(masks)[0].double()
        for k, shift in enumerate(_SHIFTS):
            step = 99 + math.floor((start + shift + (length - 5) / 2) * 80 / 25)
            heard = net.embed_mel(torch.from_numpy(padded[step : step + 16].T[None, None].copy()))[0].double()
            cosine_ = float(seen @ heard / (seen.norm() * heard.norm()))
            odds[k].append(float(net.scale_cosine(torch.tensor(cosine_))))
            apart[k].append(math.sqrt(max(0.0, 2 - 2 * cosine_)))
    means = [float(np.mean(values)) for values in odds]
    yield "expert_confidence", max(means) - float(np.median(means)), "plain loops"
    yield "expert_distance", min(float(np.mean(values)) for values in apart), "plain loops"


@torch.inference_mode()
def _syncnet(material: Material) -> Iterator[tuple[str, float, str]]:
    """The published procedure: all features first, then the distance at every shift."""
    net, coefficients = material.tools.published.sync, torch.from_numpy(mfcc(material.samples))
    assert net is not None
    faces = [
        torch.from_numpy(look.view[..., ::-1].copy()).float()
        for look in material.looks("output")
        if look.view is not None
    ]
    count = min(len(faces), len(material.samples) // 640) - 5
    seen = [
        net.embed_faces(torch.stack(faces[f : f + 5]).permute(3, 0, 1, 2)[None])[0].double()
        for f in range(count)
    ]
    heard = [
        net.embed_speech(coefficients[4 * f : 4 * f + 20].T[None, None])[0].double() for f in range(count)
    ]
    nothing = [torch.zeros_like(heard[0])] * 15
    padded = [*nothing, *heard, *nothing]
    means = [
        float(np.mean([(seen[f] - padded[f + k] + 1e-6).norm() for f in range(count)])) for k in range(31)
    ]
    yield "sync_d", min(means), "plain loops"
    yield "sync_c", float(np.median(means)) - min(means), "plain loops"


@torch.inference_mode()
def _frechet(material: Material) -> Iterator[tuple[str, float, str]]:
    """With the root of the product of covariances, as the published tools compute FID."""
    net = material.tools.random
    assert net is not None
    means, spreads = [], []
    for name in ("output", "reference"):
        small = [cv2.resize(crop, (128, 128), interpolation=cv2.INTER_AREA) for crop in material.crops(name)]
        pictures = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 127.5 - 1
        features = net(pictures).double().numpy()
        means.append(features.mean(axis=0))
        spreads.append(np.cov(features, rowvar=False))
    root = np.asarray(sqrtm(spreads[0] @ spreads[1])).real
    apart = means[0] - means[1]
    yield "frechet_mini", float(apart @ apart + np.trace(spreads[0] + spreads[1] - 2 * root)), "SciPy"
