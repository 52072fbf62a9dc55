"""What a person looks like: the identity reference, the style codes and the colours of one track.

They are taken from a few good frames in the first pass and stay fixed in the second, so that nothing flickers
that the speech does not move.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.paste import PasteConfig, crop_size
from segtalker.extract import FaceReader, aligned, style_frames
from segtalker.faces.mesh import mouth_opening
from segtalker.parsing.colours import ColourModel
from segtalker.progress import StageClock
from segtalker.regions import merge_raw
from segtalker.source import FrameSource
from segtalker.stages import Paints
from segtalker.training.adapt import Adapted
from segtalker.types import FaceTrack, Frame, Image, RegionMap
from segtalker.workspace import write_atomically

_YAW_PER_OPENING = 60.0  # a mouth as open as it is wide counts like a head turned by this many degrees


@dataclass(frozen=True)
class AnalysisConfig:
    """How the first pass looks at a source."""

    max_side: int = 960
    """Frames are shrunk to this many pixels before faces are looked for."""
    style_frames: int = 8
    """Frames of a track that lend their texture."""
    adapt_frames: int = 24
    """Frames of a track that adaptation fits."""
    adapt_seconds: float = 1.0
    """Tracks that are dubbed for less are not adapted."""

    def __post_init__(self) -> None:
        if self.style_frames < 1 or self.adapt_frames < 1 or self.max_side < 64:
            raise ValueError("style_frames and adapt_frames must be at least 1, max_side at least 64")


@dataclass(frozen=True)
class Person:
    """What stays fixed for one track during the render pass."""

    reference_map: RegionMap
    """Identity reference [S, S]: nearest in pose, mouth closed or nearly so."""
    reference_raw: NDArray[np.uint8]
    """Its raw map [S, S]."""
    reference_crop: Image
    """The reference [H, H, 3] at the size H at which crops of this track are composed."""
    codes: NDArray[np.float32]
    """Style codes [12, L, D] of the style frames together."""
    reference_index: int
    """Source index of the reference."""
    style_indices: tuple[int, ...]
    """Source indices of the style frames."""
    colours: ColourModel | None
    """What the parser knows of the track."""
    adapted: Path | None = None
    """The generator's fit to this track; it stands beside the stored person."""


def study_person(
    source: FrameSource,
    track: FaceTrack,
    usable: NDArray[np.bool_],
    reader: FaceReader,
    painter: Paints,
    cfg: AnalysisConfig,
    paste: PasteConfig,
    clock: StageClock,
    fit: Callable[[NDArray[np.uint8], NDArray[np.uint8]], tuple[Adapted, Path]] | None = None,
) -> Person:
    """Look at a few frames of a track for what stays fixed.

    usable: [T] frames that the plan dubs. fit: adapts the renderer to crops [K, S, S, 3] and raw maps [K,
    S, S], and says where the result is kept.
    """
    indices = style_frames(track, usable, cfg.adapt_frames if fit is not None else cfg.style_frames)
    crops = reader.cut((_read_one(source, index) for index in indices), track)
    colours = reader.fit(crops)
    parsed = [item.parsed for item in reader.parse(crops, colours)]
    images, raws = np.stack([crop.image for crop in crops]), np.stack([item.raw for item in parsed])
    adapted = None
    if fit is not None:
        with clock("adapt"):
            result, adapted = fit(images, raws)
            codes = result.codes.float().numpy()
    else:
        with clock("sgi"):
            codes = painter.encode(images, merge_raw(raws))
    reference_index = reference_frame(track, indices)
    at = indices.index(reference_index)
    largest = int(np.argmin(np.linalg.det(track.crop_from_frame[usable][:, :, :2])))
    size = crop_size(np.asarray(track.crop_from_frame[usable][largest]), painter.size, paste)
    with clock("decode"):
        reference = _read_one(source, reference_index)
    return Person(
        reference_map=parsed[at].region_map,
        reference_raw=raws[at],
        reference_crop=aligned(reference.image, crops[at].crop_from_frame, size),
        codes=codes,
        reference_index=reference_index,
        style_indices=tuple(indices),
        colours=colours,
        adapted=adapted,
    )


def save_person(person: Person, path: Path) -> None:
    """Write a person as one .npz file, in one move; the fit is found by its name beside it."""
    colours = person.colours.to_arrays() if person.colours is not None else {}
    buffer = io.BytesIO()
    np.savez(
        buffer,
        reference_map=person.reference_map,
        reference_raw=person.reference_raw,
        reference_crop=person.reference_crop,
        codes=person.codes,
        reference_index=np.int64(person.reference_index),
        style_indices=np.asarray(person.style_indices, np.int64),
        adapted=np.str_(person.adapted.name if person.adapted is not None else ""),
        has_colours=np.bool_(person.colours is not None),
        **{f"colours/{name}": values for name, values in colours.items()},  # type: ignore[arg-type]
    )
    write_atomically(path, buffer.getvalue())


def load_person(path: Path) -> Person:
    """The person that `save_person` wrote."""
    with np.load(path) as stored:
        colours = {name.removeprefix("colours/"): stored[name] for name in stored if "/" in name}
        return Person(
            reference_map=stored["reference_map"],
            reference_raw=stored["reference_raw"],
            reference_crop=stored["reference_crop"],
            codes=stored["codes"],
            reference_index=int(stored["reference_index"]),
            style_indices=tuple(stored["style_indices"].tolist()),
            colours=ColourModel.from_arrays(colours) if bool(stored["has_colours"]) else None,
            adapted=path.with_name(str(stored["adapted"])) if str(stored["adapted"]) else None,
        )


def reference_frame(track: FaceTrack, candidates: Sequence[int]) -> int:
    """The candidate nearest to the usual pose of the track, with a closed mouth counting as well."""
    offsets = np.asarray(candidates) - track.start
    turn = np.abs(track.yaw[offsets] - np.median(track.yaw))
    cost = turn + _YAW_PER_OPENING * mouth_opening(track.landmarks[offsets])
    return int(candidates[int(np.argmin(cost))])


def _read_one(source: FrameSource, index: int) -> Frame:
    return next(iter(source.read(index, index + 1)))
