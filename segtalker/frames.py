"""A sliding window over the frames of a source, for readers that ask in small batches with neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from segtalker.source import FrameSource
from segtalker.types import Frame

_MAX_SKIP = 48  # frames that are cheaper to decode and drop than to seek over
_NOWHERE = -(_MAX_SKIP + 1)


class FrameWindow:
    """Holds only the frames of the last request.

    Ascending requests (with overlap) are served by one pass over the source; a request further on or back
    starts a new pass, which costs the decoder a seek.
    """

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._held: dict[int, Frame] = {}
        self._stream: Iterator[Frame] = iter(())
        self._next = _NOWHERE
        """Source index that the stream yields next."""

    def get(self, indices: Iterable[int]) -> dict[int, Frame]:
        """The frames of `indices`; all others are let go."""
        wanted = sorted(set(indices))
        held = {index: self._held[index] for index in wanted if index in self._held}
        for index in wanted:
            if index not in held:
                held[index] = self._read(index)
        self._held = held
        return held

    def _read(self, index: int) -> Frame:
        if not self._next <= index <= self._next + _MAX_SKIP:
            self._stream = self._source.read(index)
        for frame in self._stream:
            self._next = frame.index + 1
            if frame.index == index:
                return frame
        raise IndexError(f"{self._source.info.path}: frame {index} is out of range")
