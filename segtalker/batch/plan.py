"""How a long video is cut into ranges that are rendered anywhere: arithmetic on frame numbers alone.

A frame plan is cut into chunks (one video segment each); a range is a run of chunks that one worker renders.
Ranges lie on the grid of chunks, so segments are those of a dub in one piece.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class ChunkRange:
    """Chunks `first` .. `stop` - 1."""

    first: int
    stop: int

    @property
    def name(self) -> str:
        """Of the file that holds its segments."""
        return f"segments-{self.first:06d}-{self.stop:06d}.tar"


def is_long(num_frames: int, most_frames: int) -> bool:
    """Whether a video of so many output frames is cut; 0 never cuts."""
    return 0 < most_frames < num_frames


def cut_ranges(num_frames: int, chunk_frames: int, most_frames: int) -> list[ChunkRange]:
    """The ranges of a video, in order: as few as hold at most `most_frames` each, and of nearly one length.

    A chunk is never cut, so a range holds at least one, however long that is.
    """
    chunks = math.ceil(num_frames / chunk_frames)
    at_most = max(1, most_frames // chunk_frames)
    count = math.ceil(chunks / at_most)
    bounds = [chunks * i // count for i in range(count + 1)] if count else []
    return [ChunkRange(first, stop) for first, stop in itertools.pairwise(bounds)]
