"""The render pass: any run of output frames is a pure function of (source, analysis, speech).

Frames stream through in small batches on a fixed grid, so memory does not depend on the length of the clip,
and a segment comes out the same alone, after an interruption, or on another machine. Frames that the plan
passes through are the decoded source, untouched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segtalker.analysis import Analysis
from segtalker.audio.source import SampleSource
from segtalker.compositing.matte import Mattes
from segtalker.compositing.paste import PasteConfig, Uncovered, compose, paste
from segtalker.compositing.plan import Chunk, PlannedFrame
from segtalker.compositing.surroundings import keep_surroundings
from segtalker.editing.backgrounds import Backgrounds
from segtalker.editing.frame import FrameEdits, Own, edit_frame
from segtalker.extract import FaceReader, ParsedCrop, aligned, neighbours
from segtalker.faces.align import scale_affine
from segtalker.frames import FrameWindow
from segtalker.panels import dubbed_panels, passed_panels
from segtalker.person import Person
from segtalker.progress import StageClock
from segtalker.regions import merge_raw
from segtalker.source import FrameSource
from segtalker.stages import Paints, SpeechWindows, Talks
from segtalker.training.adapt import Adapted
from segtalker.types import FaceMap, Frame, Image, RegionMap


@dataclass(frozen=True)
class RenderConfig:
    """How the render pass runs."""

    batch: int = 8
    """Frames that travel through the networks together; part of the result, in its last bits."""
    reference: Literal["fixed", "same_frame"] = "fixed"
    """Identity reference: one quiet frame of the track, or the frame itself (old speech leaks through)."""
    mouth: Literal["speech", "keep"] = "speech"
    """`keep` leaves the mouth as the source has it: edits alone change the face."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch = {self.batch} is not positive")


@dataclass(frozen=True)
class RenderedFrame:
    """One frame of the output."""

    image: Image
    panels: Image | None
    """source | map | talking map | result, where that is saved."""
    face: FaceMap | None = None
    """With speech and edits; where panels are saved and a face was rendered."""


@dataclass(frozen=True)
class Painted:
    """Pictures [S, S, 3] of one frame by the network; None where the frame does not need it."""

    new: Image | None
    """Of the new map."""
    own: Image | None
    """Of the source's own map."""
    textured: Image | None
    """Of the new map with the codes of edits."""


class Painters:
    """The painter of each track: the general one, or one with the track's own adaptation."""

    def __init__(self, general: Paints, people: Mapping[int, Person]) -> None:
        self._general = general
        self._people = people
        self._latest: tuple[int, Paints] | None = None

    def another(self) -> Painters:
        """The same, for another thread."""
        return Painters(self._general, self._people)

    def of(self, track_id: int) -> Paints:
        """The painter of a track; only the latest adaptation is held."""
        adapted = self._people[track_id].adapted
        if adapted is None:
            return self._general
        if self._latest is None or self._latest[0] != track_id:
            self._latest = track_id, self._general.adapted(Adapted.load(adapted))
        return self._latest[1]


@dataclass(frozen=True)
class Renderer:
    """Renders chunks of the output; holds one batch of frames at a time."""

    source: FrameSource
    analysis: Analysis
    speech: SampleSource
    reader: FaceReader
    talker: Talks
    painters: Painters
    cfg: RenderConfig
    paste: PasteConfig
    clock: StageClock
    save_panels: bool = False
    """Also make the side-by-side picture of every frame."""

    def another(self) -> Renderer:
        """The same, for another chunk that may be on its way at the same time."""
        return replace(self, reader=self.reader.another(), painters=self.painters.another())

    def frames(self, chunk: Chunk) -> Iterator[RenderedFrame]:
        """Output frames of a chunk; equal whatever was rendered before."""
        window, plan = FrameWindow(self.source), self.analysis.plan
        mattes = Mattes(self.reader.mattes, self.source.info.num_frames, [*self.analysis.tracks.values()])
        backgrounds = Backgrounds(self.analysis.edits, mattes)
        for first in range(chunk.start, chunk.stop, self.cfg.batch):
            planned = [plan[index] for index in range(first, min(first + self.cfg.batch, chunk.stop))]
            with self.clock("decode"):
                frames = window.get(self._needed(planned) | backgrounds.needed(planned))
            with self.clock("background"):
                backgrounds.prepare(planned, frames)
            dubbed: dict[int, RenderedFrame] = {}
            for track_id in sorted({item.track_id for item in planned if item.track_id is not None}):
                items = [item for item in planned if item.track_id == track_id]
                dubbed.update(self._dub(track_id, items, frames, backgrounds))
            for item in planned:
                yield dubbed.get(item.index) or self._pass(item, frames, backgrounds)

    def _needed(self, planned: Sequence[PlannedFrame]) -> set[int]:
        """Source frames of a batch, with the neighbours that its maps depend on."""
        needed = {item.source_index for item in planned}
        for item in planned:
            if item.track_id is not None:
                needed.update(neighbours(self.analysis.tracks[item.track_id], [item.source_index]))
        return needed

    def _dub(
        self,
        track_id: int,
        items: Sequence[PlannedFrame],
        frames: Mapping[int, Frame],
        backgrounds: Backgrounds,
    ) -> dict[int, RenderedFrame]:
        """Output index -> finished frame, for frames of one track."""
        person, track = self.analysis.people[track_id], self.analysis.tracks[track_id]
        by_index = self.reader.read(track, person.colours, frames, [item.source_index for item in items])
        faces = [by_index[item.source_index] for item in items]
        maps = np.stack([face.parsed.region_map for face in faces])
        edits = [FrameEdits.at(self.analysis.edits.recipe, float(item.time)) for item in items]
        talking = maps if self.cfg.mouth == "keep" else self._talk(items, maps, person)
        talking = np.stack([edit.shape_mouth(one) for edit, one in zip(edits, talking, strict=True)])
        with self.clock("sgi"):
            painted = self._paint(self.painters.of(track_id), person, talking, maps, edits)
        rendered = {}
        for i, item in enumerate(items):
            source = frames[item.source_index].image
            with self.clock("paste"):
                image = self._finish(source, faces[i], person, talking[i], painted[i], edits[i])
            with self.clock("background"):
                image = backgrounds.put(image, item)
            with self.clock("paste"):
                panels = face = None
                if self.save_panels:
                    shown = edits[i].shape_face(talking[i], faces[i].crop.landmarks)
                    panels = self._panels(source, image, faces[i], shown)
                    face = FaceMap(shown, scale_affine(faces[i].crop.crop_from_frame, len(shown)))
            rendered[item.index] = RenderedFrame(image, panels, face)
        return rendered

    def _talk(
        self, items: Sequence[PlannedFrame], maps: NDArray[np.uint8], person: Person
    ) -> NDArray[np.uint8]:
        """Talking maps [N, S, S] of the frames with maps [N, S, S]."""
        references = maps
        if self.cfg.reference == "fixed":
            references = np.repeat(person.reference_map[None], len(maps), axis=0)
        with self.clock("tsg"):
            heard = SpeechWindows.read(self.speech, [item.time for item in items])
            talking = self.talker.talk(maps, references, heard)
            return np.stack([keep_surroundings(*pair) for pair in zip(talking, maps, strict=True)])

    def _paint(
        self,
        painter: Paints,
        person: Person,
        talking: NDArray[np.uint8],
        maps: NDArray[np.uint8],
        edits: Sequence[FrameEdits],
    ) -> list[Painted]:
        """The pictures that each frame needs; frames that need none cost nothing."""
        count = range(len(maps))
        mouths = [i for i in count if self._new_mouth(edits[i])]
        textured = [i for i in count if edits[i].textures]
        plain = sorted({*mouths, *textured})
        new: dict[int, Image] = {}
        own: dict[int, Image] = {}
        other: dict[int, Image] = {}
        if plain:
            pictures = painter.paint(np.concatenate([talking[plain], maps[mouths]]), person.codes)
            new = dict(zip(plain, pictures, strict=False))
            own = dict(zip(mouths, pictures[len(plain) :], strict=True))
        if textured:
            codes = np.stack([edits[i].codes(person.codes, self.analysis.edits.codes) for i in textured])
            other = dict(zip(textured, painter.paint(talking[textured], codes), strict=True))
        return [Painted(new.get(i), own.get(i), other.get(i)) for i in count]

    def _new_mouth(self, edits: FrameEdits) -> bool:
        return self.cfg.mouth == "speech" or edits.mouth

    def _finish(
        self,
        image: Image,
        face: ParsedCrop,
        person: Person,
        talking_map: RegionMap,
        painted: Painted,
        edits: FrameEdits,
    ) -> Image:
        """The source frame with its new mouth and its edits."""
        if painted.new is not None and painted.own is not None:
            image = self._paste(image, face, person, talking_map, painted.new, painted.own)
        if not (edits.looks or edits.moving):
            return image
        textures = None
        if painted.new is not None and painted.textured is not None:
            textures = (painted.textured, painted.new)
        quiet = Own(person.reference_crop, merge_raw(person.reference_raw))
        affine, points = face.crop.crop_from_frame, face.crop.landmarks
        return edit_frame(image, affine, talking_map, points, edits, quiet, textures)

    def _paste(
        self,
        source: Image,
        face: ParsedCrop,
        person: Person,
        talking_map: RegionMap,
        painted: Image,
        repainted: Image,
    ) -> Image:
        """The frame with its new mouth. painted, repainted: pictures [S, S, 3] of new and own map."""
        affine = face.crop.crop_from_frame
        source_crop = aligned(source, affine, person.reference_crop.shape[0])
        uncovered = Uncovered(person.reference_crop, person.reference_raw)
        crop, alpha = compose(
            source_crop, face.parsed.raw, talking_map, painted, repainted, self.paste, uncovered
        )
        return paste(source, crop, alpha, affine)

    def _panels(self, source: Image, result: Image, face: ParsedCrop, talking_map: RegionMap) -> Image:
        return dubbed_panels(source, result, face.crop.crop_from_frame, face.parsed.region_map, talking_map)

    def _pass(
        self, item: PlannedFrame, frames: Mapping[int, Frame], backgrounds: Backgrounds
    ) -> RenderedFrame:
        with self.clock("background"):
            image = backgrounds.put(frames[item.source_index].image, item)
        return RenderedFrame(image, passed_panels(image) if self.save_panels else None)
