"""The render pass: any run of output frames is a pure function of (source, analysis, speech).

Frames stream through in small batches on a fixed grid, so memory does not depend on the length of the clip, and a
segment comes out the same alone, after an interruption, or on another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from segtalker.compositing.plan import Chunk, FramePlan
from segtalker.frames import FrameWindow
from segtalker.media.write import EncodeConfig, write_segment
from segtalker.progress import StageClock
from segtalker.source import FrameSource
from segtalker.types import Image


class Renderer:
    """Renders chunks of the output; holds one batch of frames at a time."""

    def __init__(self, source: FrameSource, plan: FramePlan, batch: int, clock: StageClock) -> None:
        self._source = source
        self._plan = plan
        self._batch = batch
        self._clock = clock

    def frames(self, chunk: Chunk) -> Iterator[Image]:
        """Output frames of a chunk; equal whatever was rendered before."""
        window = FrameWindow(self._source)
        for first in range(chunk.start, chunk.stop, self._batch):
            planned = [self._plan[i] for i in range(first, min(first + self._batch, chunk.stop))]
            with self._clock("decode"):
                sources = window.get(item.source_index for item in planned)
            for item in planned:
                yield sources[item.source_index].image


def render_segments(
    renderer: Renderer,
    plan: FramePlan,
    folder: Path,
    cfg: EncodeConfig,
    clock: StageClock,
    on_frames: Callable[[int], None],
) -> tuple[list[Path], int]:
    """Render and encode every chunk that `folder` does not hold yet.

    on_frames: told how many output frames are done. Returns all segments in order, and how many were there before.
    """
    segments, reused = [], 0
    for chunk in plan.chunks():
        path = folder / f"{chunk.index:06d}.mp4"
        segments.append(path)
        if path.is_file():
            reused += 1
        else:
            with clock("encode"):
                write_segment(
                    _counted(renderer.frames(chunk), chunk.start, on_frames), path, plan.frame_rate, cfg
                )
        on_frames(chunk.stop)
    return segments, reused


def _counted(frames: Iterator[Image], start: int, on_frames: Callable[[int], None]) -> Iterator[Image]:
    for done, image in enumerate(frames, start + 1):
        yield image
        on_frames(done)
