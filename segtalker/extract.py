"""Faces out of frames: aligned crops and their region maps, free of flicker.

Preparation of training data and dubbing both come here, so that a network sees in use what it saw in
training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.align import apply_affine, scale_affine, warp_image
from segtalker.faces.detect import FaceBackend
from segtalker.faces.mesh import mouth_opening
from segtalker.parsing.colours import ColourModel
from segtalker.parsing.parse import HALO, Parser, clean_maps
from segtalker.progress import StageClock
from segtalker.regions import merge_raw
from segtalker.types import Affine, FaceTrack, Frame, Image, ParsedFace, Points

_APART = 5  # frames between two of the widest open mouths


@dataclass(frozen=True)
class FaceCrop:
    """One aligned face, cut out of one frame."""

    image: Image
    """[S, S, 3]"""
    landmarks: Points
    """[468, 2] crop pixels."""
    matte: NDArray[np.float32]
    """Person against background [S, S], 0..1."""
    crop_from_frame: Affine
    """Frame pixels -> unit crop."""


@dataclass(frozen=True)
class ParsedCrop:
    """A crop and what it shows."""

    crop: FaceCrop
    parsed: ParsedFace


class CropParser(Protocol):
    """Mattes and maps of crops, a batch at a call; where its networks run is its own affair."""

    def mattes(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Person against background [N, S, S], 0..1, of crops [N, S, S, 3]."""
        ...

    def fit(
        self, images: NDArray[np.uint8], landmarks: NDArray[np.float32], mattes: NDArray[np.float32]
    ) -> ColourModel | None:
        """What the parser wants to know of a track, from some of its crops; landmarks [N, 468, 2]."""
        ...

    def parse(
        self,
        images: NDArray[np.uint8],
        landmarks: NDArray[np.float32],
        mattes: NDArray[np.float32],
        colours: ColourModel | None,
    ) -> NDArray[np.uint8]:
        """Raw maps [N, S, S], each a pure function of its own crop and `colours`."""
        ...


class LocalCropParser:
    """A `CropParser` that runs a face backend and a parser in this process."""

    def __init__(self, backend: FaceBackend, parser: Parser) -> None:
        self._backend = backend
        self._parser = parser

    def mattes(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `CropParser`."""
        return np.stack([self._backend.matte(image) for image in images])

    def fit(
        self, images: NDArray[np.uint8], landmarks: NDArray[np.float32], mattes: NDArray[np.float32]
    ) -> ColourModel | None:
        """See `CropParser`."""
        return self._parser.fit(list(images), list(landmarks), list(mattes))

    def parse(
        self,
        images: NDArray[np.uint8],
        landmarks: NDArray[np.float32],
        mattes: NDArray[np.float32],
        colours: ColourModel | None,
    ) -> NDArray[np.uint8]:
        """See `CropParser`."""
        crops = zip(images, landmarks, mattes, strict=True)
        return np.stack([self._parser.parse(*crop, colours).raw for crop in crops])


class FaceReader:
    """Cuts and parses the faces of tracks, batch by batch; keeps the neighbours of the latest batch."""

    def __init__(self, parser: CropParser, size: int, clock: StageClock) -> None:
        self.size = size
        self._parser = parser
        self._clock = clock
        self._kept: dict[tuple[int, int], ParsedCrop] = {}

    def another(self) -> FaceReader:
        """A reader of the same kind, for another thread."""
        return FaceReader(self._parser, self.size, self._clock)

    def mattes(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Person against background [N, V, V], 0..1, of any pictures [N, V, V, 3]."""
        with self._clock("matte"):
            return self._parser.mattes(pictures)

    def cut(self, frames: Iterable[Frame], track: FaceTrack) -> list[FaceCrop]:
        """The track's face in each frame; of the frames themselves only one is held at a time."""
        with self._clock("faces"):
            cuts = [self._align(frame, track) for frame in self._clock.iterate("decode", frames)]
            if not cuts:
                return []
            mattes = self._parser.mattes(np.stack([image for image, _, _ in cuts]))
            return [
                FaceCrop(image, landmarks, matte, crop_from_frame)
                for (image, landmarks, crop_from_frame), matte in zip(cuts, mattes, strict=True)
            ]

    def fit(self, crops: Sequence[FaceCrop]) -> ColourModel | None:
        """What the parser wants to know of a track."""
        with self._clock("parse"):
            return self._parser.fit(*_stacked(crops))

    def parse(self, crops: Sequence[FaceCrop], colours: ColourModel | None) -> list[ParsedCrop]:
        """The map of each crop by itself."""
        if not crops:
            return []
        with self._clock("parse"):
            raws = self._parser.parse(*_stacked(crops), colours)
            return [
                ParsedCrop(crop, ParsedFace(raw, merge_raw(raw), crop.matte))
                for crop, raw in zip(crops, raws, strict=True)
            ]

    def read(
        self,
        track: FaceTrack,
        colours: ColourModel | None,
        frames: Mapping[int, Frame],
        indices: Iterable[int],
    ) -> dict[int, ParsedCrop]:
        """Parsed crops of source frames `indices`, their maps cleaned with the neighbours.

        frames: holds `neighbours(track, indices)`. The result does not depend on what was read before.
        """
        wanted = sorted(set(indices))
        needed = neighbours(track, wanted)
        kept = {
            key: value for key, value in self._kept.items() if key[0] == track.track_id and key[1] in needed
        }
        missing = [index for index in needed if (track.track_id, index) not in kept]
        new = self.parse(self.cut([frames[index] for index in missing], track), colours)
        kept.update(((track.track_id, index), item) for index, item in zip(missing, new, strict=True))
        self._kept = kept
        cleaned: dict[int, ParsedCrop] = {}
        with self._clock("parse"):
            for run in _runs(needed):
                own = [kept[track.track_id, index] for index in run]
                raws = clean_maps(np.stack([item.parsed.raw for item in own]))
                for index, item, raw in zip(run, own, raws, strict=True):
                    parsed = replace(item.parsed, raw=raw, region_map=merge_raw(raw))
                    cleaned[index] = ParsedCrop(item.crop, parsed)
        return {index: cleaned[index] for index in wanted}

    def _align(self, frame: Frame, track: FaceTrack) -> tuple[Image, Points, Affine]:
        at = frame.index - track.start
        crop_from_frame = np.array(track.crop_from_frame[at])
        image = aligned(frame.image, crop_from_frame, self.size)
        landmarks = apply_affine(scale_affine(crop_from_frame, self.size), track.landmarks[at])
        return image, landmarks.astype(np.float32), crop_from_frame


def _stacked(
    crops: Sequence[FaceCrop],
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Images [N, S, S, 3], landmarks [N, 468, 2] and mattes [N, S, S]."""
    return (
        np.stack([crop.image for crop in crops]),
        np.stack([crop.landmarks for crop in crops]),
        np.stack([crop.matte for crop in crops]),
    )


def aligned(image: Image, crop_from_frame: Affine, size: int) -> Image:
    """The aligned crop [size, size, 3] of a frame; crop_from_frame: frame pixels -> unit crop."""
    return np.asarray(warp_image(image, scale_affine(crop_from_frame, size), (size, size)), np.uint8)


def neighbours(track: FaceTrack, indices: Iterable[int]) -> list[int]:
    """Source indices that the cleaned maps of `indices` depend on, ascending."""
    around = {near for index in indices for near in range(index - HALO, index + HALO + 1)}
    return sorted(index for index in around if track.start <= index < track.stop)


def style_frames(track: FaceTrack, usable: NDArray[np.bool_], count: int) -> list[int]:
    """Source indices of at most `count` frames that show a person's texture: evenly spaced, and open mouths.

    usable: [T] frames of the track that the plan would dub. A quarter of the frames are those with the most
    open mouth, since teeth are seen in few; frames whose face was only interpolated are taken where there
    are no others.
    """
    good = np.flatnonzero(usable & (track.scores > 0))
    if not len(good):
        good = np.flatnonzero(usable)
    spread = max(1, count - count // 4)
    chosen = set(good[np.linspace(0, len(good) - 1, min(spread, len(good))).round().astype(int)].tolist())
    wide: list[int] = []
    for offset in good[np.argsort(-mouth_opening(track.landmarks[good]), kind="stable")].tolist():
        if len(wide) < count // 4 and all(abs(offset - other) >= _APART for other in wide):
            wide.append(offset)
    chosen.update(wide)
    return [track.start + offset for offset in sorted(chosen)]


def _runs(indices: list[int]) -> list[list[int]]:
    """Ascending indices cut where one is missing."""
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    return [run.tolist() for run in np.split(np.asarray(indices), breaks)] if indices else []
