"""Following faces where each question takes its time: several frames go with one.

A face is followed from frame to frame, so each answer waits for the one before. The tracker still asks frame
by frame; what it would ask next about an undisturbed track has been answered already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.detect import FaceBackend
from segtalker.types import Face, Frame, Image, Points


@runtime_checkable
class FollowsThrough(Protocol):
    """A backend to which a question takes its time, as to another machine: several frames go with each."""

    frames_ahead: int
    """Frames that a question may have; all of them are held."""

    def follow_through(self, images: Sequence[Image], previous: Face) -> list[Face]:
        """The face of `follow` in each of consecutive images, until it is gone."""
        ...


def follow_through(backend: FaceBackend, images: Iterable[Image], previous: Face) -> Iterator[Face]:
    """The face of `backend.follow` in each of consecutive images, until it is gone."""
    for image in images:
        face = backend.follow(image, previous)
        if face is None:
            return
        yield face
        previous = face


def look_ahead(backend: FaceBackend, frames: Iterable[Frame]) -> tuple[FaceBackend, Iterator[Frame]]:
    """A backend that knows of coming frames, and the frames that it follows."""
    assert isinstance(backend, FollowsThrough)
    most = backend.frames_ahead
    window: deque[Frame] = deque()
    ahead = _Ahead(backend, window)

    def windowed() -> Iterator[Frame]:
        for frame in frames:
            window.append(frame)
            if len(window) == most:
                yield from step()
        while window:
            yield from step()

    def step() -> Iterator[Frame]:
        yield window[0]
        ahead.forget(window.popleft().index)

    return ahead, windowed()


class _Ahead:
    """A backend that has answers about the next frames too, where a track goes on undisturbed."""

    def __init__(self, backend: FaceBackend, window: deque[Frame]) -> None:
        assert isinstance(backend, FollowsThrough)
        self._backend, self._follows, self._window = backend, backend, window
        self._known: dict[tuple[int, int], tuple[Face, Face | None]] = {}

    def detect(self, image: Image, thorough: bool = True) -> list[Face]:
        return self._backend.detect(image, thorough)

    def matte(self, image: Image) -> NDArray[np.float32]:
        return self._backend.matte(image)

    def landmarks68(self, image: Image, face: Face) -> Points:
        return self._backend.landmarks68(image, face)

    def follow(self, image: Image, previous: Face) -> Face | None:
        key = self._window[0].index, id(previous)
        if key not in self._known:
            self._ask(previous)
        return self._known[key][1]

    def forget(self, index: int) -> None:
        """A frame is done."""
        self._known = {key: value for key, value in self._known.items() if key[0] > index}

    def _ask(self, previous: Face) -> None:
        """Follow one face through all frames of the window."""
        faces = self._follows.follow_through([frame.image for frame in self._window], previous)
        found: list[Face | None] = [*faces, None]
        for frame, face in zip(self._window, found, strict=False):
            self._known[frame.index, id(previous)] = previous, face  # held, so that its id stays its own
            if face is None:
                break
            previous = face
