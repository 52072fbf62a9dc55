"""References: pictures and videos of a face that lend the texture of a region."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtalker.editing.fitted import check_fitted
from segtalker.editing.recipe import TEXTURES, Lender, Recipe, backgrounds, references
from segtalker.editing.texture import Codes
from segtalker.errors import ConfigError, FaceNotFound
from segtalker.extract import FaceReader, style_frames
from segtalker.faces.detect import FaceBackend
from segtalker.faces.track import track_faces
from segtalker.media.read import probe, read_frames
from segtalker.regions import NUM_REGIONS, Region, merge_raw
from segtalker.types import Frame

Encode = Callable[[NDArray[np.uint8], NDArray[np.uint8]], Codes]
"""Crops [K, S, S, 3] of one person with their region maps [K, S, S] to style codes [R, L, D]."""

_LOOKS = 8  # frames of a clip that are averaged
_LONGEST = 100  # frames of a clip that are looked through
_MAX_SIDE = 960
_LEAST = 0.0005  # share of the crop below which a region counts as not shown


def read_references(
    recipe: Recipe, backend: FaceBackend, reader: FaceReader, encode: Encode
) -> dict[Lender, Codes]:
    """Style codes of every reference of a recipe, averaged over the frames of a clip.

    Raises `FaceNotFound` for a reference without a face, or without a region that is wanted of it.
    """
    wanted = {path: [edit.at for edit in recipe if edit.reference == path] for path in references(recipe)}
    return {(path, 0): _read(path, regions, backend, reader, encode) for path, regions in wanted.items()}


def check_references(recipe: Recipe) -> None:
    """Raise `ConfigError` or `MediaError` where a reference or background cannot be read."""
    wanted = dict.fromkeys(references(recipe), ("reference", "a picture or a video of a face"))
    wanted |= dict.fromkeys(backgrounds(recipe), ("background", "a picture or a video"))
    for path, (what, remedy) in wanted.items():
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such {what}; name {remedy}.")
        probe(path)
    for edit in recipe:
        if edit.edit in TEXTURES and edit.file is not None:
            check_fitted(edit.file, edit.edit)


def _read(
    path: Path, regions: Collection[Region], backend: FaceBackend, reader: FaceReader, encode: Encode
) -> Codes:
    crops, maps = read_face(path, backend, reader)
    shown = shown_regions(maps)
    for region in regions:
        if not shown[region]:
            name = region.name.lower()
            raise FaceNotFound(
                f"{path}: the reference shows no {name}, so it cannot lend its {name}. Take another picture."
            )
    return encode(crops, maps)


def read_face(
    path: Path, backend: FaceBackend, reader: FaceReader
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Crops [K, S, S, 3] and region maps [K, S, S] of the largest face in a picture or a video."""
    frames = {frame.index: frame for frame in _some_frames(path)}
    tracks = track_faces(frames.values(), backend)
    if not tracks:
        raise FaceNotFound(f"{path}: no face in the reference. Take one that shows a face from the front.")
    track = max(tracks, key=lambda track: float(np.ptp(track.landmarks[..., 0], axis=-1).sum()))
    indices = style_frames(track, np.ones(track.num_frames, np.bool_), _LOOKS)
    crops = reader.cut((frames[index] for index in indices), track)
    parsed = reader.parse(crops, reader.fit(crops))
    maps = merge_raw(np.stack([item.parsed.raw for item in parsed]))
    return np.stack([crop.image for crop in crops]), maps


def shown_regions(maps: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """[R] whether region maps [K, S, S] of one person show enough of each region to know its look."""
    return np.bincount(maps.ravel(), minlength=NUM_REGIONS) >= _LEAST * maps.size


def _some_frames(path: Path) -> Iterable[Frame]:
    return read_frames(path, 0, _LONGEST, _MAX_SIDE)
