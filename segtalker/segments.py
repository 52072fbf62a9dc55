"""Segments of the output: chunks that are rendered, encoded, and named once they are whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

from segtalker.compositing.plan import Chunk
from segtalker.media.write import EncodeConfig, write_segment
from segtalker.render import RenderedFrame, Renderer
from segtalker.types import Image


def render_segments(
    renderer: Renderer,
    chunks: Sequence[Chunk],
    folder: Path,
    cfg: EncodeConfig,
    on_frames: Callable[[int], None],
    on_segment: Callable[[Path], None] = lambda path: None,
    at_once: int = 1,
) -> tuple[list[Path], int]:
    """Render and encode those of `chunks` that `folder` does not hold yet.

    Beside `NUMBER.mp4` stands `NUMBER.maps.mp4` where panels are made. on_frames: told how many of their
    frames are done. on_segment: told of every new file. at_once: chunks on their way at a time, each in a
    thread of its own; the frames are the same. The first goes alone, so that who watches sees it soon.
    Returns their segments in order, and how many of them were there before.
    """
    paths = {chunk: folder / f"{chunk.index:06d}.mp4" for chunk in chunks}
    folder.mkdir(parents=True, exist_ok=True)
    missing = [chunk for chunk in chunks if not paths[chunk].is_file()]
    count = _Count(sum(c.stop - c.start for c in chunks) - sum(c.stop - c.start for c in missing), on_frames)

    own = threading.local()

    def render(chunk: Chunk) -> None:
        if not count.stopped:
            mine: Renderer = own.__dict__.setdefault("renderer", renderer.another())
            _render_segment(mine, chunk, paths[chunk], cfg, count.add, on_segment)

    with ThreadPoolExecutor(at_once, "chunk") as pool, count:
        for together in (missing[:1], missing[1:]):
            for future in [pool.submit(render, chunk) for chunk in together]:
                future.result()
    return list(paths.values()), len(chunks) - len(missing)


class _Count:
    """Frames done by all threads; after an error in one, the others stop at their next frame."""

    def __init__(self, done: int, on_frames: Callable[[int], None]) -> None:
        self._done, self._on_frames = done, on_frames
        self._lock = threading.Lock()
        self.stopped = False
        on_frames(done)

    def add(self) -> None:
        if self.stopped:
            raise CancelledError
        with self._lock:
            self._done += 1
            self._on_frames(self._done)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self.stopped = kind is not None


def _render_segment(
    renderer: Renderer,
    chunk: Chunk,
    path: Path,
    cfg: EncodeConfig,
    on_frame: Callable[[], None],
    on_segment: Callable[[Path], None],
) -> None:
    """Make one segment; its panels stand there before it does."""
    panels: list[Image] = []
    rate = renderer.analysis.plan.frame_rate
    with renderer.clock("encode"):
        unfinished = path.with_suffix(".unfinished.mp4")
        write_segment(_images(renderer.frames(chunk), panels, on_frame), unfinished, rate, cfg)
        if panels:
            write_segment(panels, panels_path(path), rate, cfg)
            on_segment(panels_path(path))
        unfinished.rename(path)
    on_segment(path)


def panels_path(segment: Path) -> Path:
    """Where the side-by-side frames of a segment are."""
    return segment.with_suffix(".maps.mp4")


def _images(
    frames: Iterator[RenderedFrame], panels: list[Image], on_frame: Callable[[], None]
) -> Iterator[Image]:
    """The pictures of `frames`, their panels put aside."""
    for frame in frames:
        yield frame.image
        if frame.panels is not None:
            panels.append(frame.panels)
        on_frame()
