"""Backgrounds of a recipe: what stands behind the people of each frame, and their mattes.

A file is found by the time of the output alone, and a matte by its frame and fixed neighbours, so that any
range of a video comes out the same on any worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segtalker.compositing.background import blurred, place, plain, separate
from segtalker.compositing.frame_plan import PlannedFrame
from segtalker.compositing.guided import FloatImage
from segtalker.compositing.matte import Mattes
from segtalker.editing.colours import parse_colour
from segtalker.editing.footage import Footage
from segtalker.editing.frame import FrameEdits
from segtalker.editing.plan import EditPlan
from segtalker.editing.recipe import Edit
from segtalker.types import Frame, Image

LIGHT = 0.4
"""How far the light on the person follows a new background, unless a recipe says otherwise."""
_SHARP = 0.7  # pixels: a blur of less is mixed in, so that it grows out of nothing


class Backgrounds:
    """Puts the backgrounds of a recipe into frames; for one run of them, in one thread."""

    def __init__(self, edits: EditPlan, mattes: Mattes) -> None:
        """mattes: of the source."""
        self._edits = edits
        self._mattes = mattes
        self._footage: dict[Path, Footage] = {}
        self._latest: dict[int, FloatImage] = {}

    def needed(self, planned: Sequence[PlannedFrame]) -> set[int]:
        """Source frames that some frames of the output want for their backgrounds."""
        return self._mattes.needed(self._changed(planned))

    def prepare(self, planned: Sequence[PlannedFrame], frames: Mapping[int, Frame]) -> None:
        """Find the mattes of the next frames of the output; frames: holds what is `needed`."""
        changed = self._changed(planned)
        self._latest = self._mattes.of(frames, changed) if changed else {}

    def put(self, image: Image, item: PlannedFrame) -> Image:
        """A finished frame [H, W, 3] of those prepared with its background; itself if it keeps its own."""
        found = self._at(item)
        if found is None:
            return image
        edit, strength = found
        layers = separate(image, self._latest[item.source_index])
        if edit.blur is not None:
            deviation = strength * edit.blur * image.shape[0] / 1000
            shown = blurred(image, layers, max(deviation, _SHARP))
            return place(image, layers, shown, amount=min(1.0, deviation / _SHARP))
        light = LIGHT if edit.light is None else edit.light
        size = (image.shape[1], image.shape[0])
        if edit.colour is not None:
            return place(image, layers, plain(parse_colour(edit.colour), size), light, strength)
        assert edit.file is not None
        if edit.file not in self._footage:
            self._footage[edit.file] = Footage(self._edits.files[edit.file], size)
        return place(image, layers, self._footage[edit.file].at(item.time), light, strength)

    def _changed(self, planned: Sequence[PlannedFrame]) -> set[int]:
        return {item.source_index for item in planned if self._at(item) is not None}

    def _at(self, item: PlannedFrame) -> tuple[Edit, float] | None:
        return FrameEdits.at(self._edits.recipe, float(item.time)).background
