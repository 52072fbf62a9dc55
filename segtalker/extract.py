"""Faces out of frames: aligned crops and their region maps, free of flicker.

Preparation of training data and dubbing both come here, so that a network sees in use what it saw in training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.align import apply_affine, scale_affine, warp_image
from segtalker.faces.detect import FaceBackend
from segtalker.parsing.colours import ColourModel
from segtalker.parsing.parse import HALO, Parser, clean_maps
from segtalker.progress import StageClock
from segtalker.regions import merge_raw
from segtalker.types import Affine, FaceTrack, Frame, Image, ParsedFace, Points


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
    """Frame pixels -> crop pixels."""


@dataclass(frozen=True)
class ParsedCrop:
    """A crop and what it shows."""

    crop: FaceCrop
    parsed: ParsedFace


class FaceReader:
    """Cuts and parses the faces of tracks, batch by batch; keeps the neighbours of the latest batch."""

    def __init__(self, backend: FaceBackend, parser: Parser, size: int, clock: StageClock) -> None:
        self.size = size
        self._backend = backend
        self._parser = parser
        self._clock = clock
        self._kept: dict[tuple[int, int], ParsedCrop] = {}

    def cut(self, frame: Frame, track: FaceTrack) -> FaceCrop:
        """The track's face in one frame."""
        at = frame.index - track.start
        crop_from_frame = scale_affine(np.asarray(track.crop_from_frame[at]), self.size)
        with self._clock("faces"):
            image = warp_image(frame.image, crop_from_frame, (self.size, self.size))
            landmarks = apply_affine(crop_from_frame, track.landmarks[at]).astype(np.float32)
            return FaceCrop(image, landmarks, self._backend.matte(image), crop_from_frame)

    def fit(self, crops: list[FaceCrop]) -> ColourModel | None:
        """What the parser wants to know of a track."""
        with self._clock("parse"):
            return self._parser.fit(
                [crop.image for crop in crops],
                [crop.landmarks for crop in crops],
                [crop.matte for crop in crops],
            )

    def parse(self, crop: FaceCrop, colours: ColourModel | None) -> ParsedCrop:
        """The map of one crop by itself."""
        with self._clock("parse"):
            return ParsedCrop(crop, self._parser.parse(crop.image, crop.landmarks, crop.matte, colours))

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
        for index in needed:
            if (track.track_id, index) not in kept:
                kept[track.track_id, index] = self.parse(self.cut(frames[index], track), colours)
        self._kept = kept
        return {index: self._clean(track, index) for index in wanted}

    def _clean(self, track: FaceTrack, index: int) -> ParsedCrop:
        around = neighbours(track, [index])
        with self._clock("parse"):
            raws = clean_maps(np.stack([self._kept[track.track_id, i].parsed.raw for i in around]))
            raw = raws[around.index(index)]
        own = self._kept[track.track_id, index]
        return ParsedCrop(own.crop, replace(own.parsed, raw=raw, region_map=merge_raw(raw)))


def neighbours(track: FaceTrack, indices: Iterable[int]) -> list[int]:
    """Source indices that the cleaned maps of `indices` depend on, ascending."""
    around = {near for index in indices for near in range(index - HALO, index + HALO + 1)}
    return sorted(index for index in around if track.start <= index < track.stop)
