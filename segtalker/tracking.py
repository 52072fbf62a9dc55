"""Face tracks of a clip of any length: found in blocks, joined without a seam, kept on disk.

A track of ten hours holds gigabytes of landmarks. Blocks of a minute are tracked with a margin on
either side, so that smoothing and gaps do not notice the borders; where a face crosses a border, its two
versions (they differ by the noise of the mesh) are cross-faded. Arrays grow in files and are mapped, not
loaded, by whoever reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.align import compose
from segtalker.faces.blaze import iou
from segtalker.faces.detect import FaceBackend
from segtalker.faces.track import TrackConfig, track_faces
from segtalker.progress import StageClock
from segtalker.source import FrameSource
from segtalker.types import FaceTrack
from segtalker.workspace import write_atomically

BLOCK = 1500
"""Frames of a block."""
MARGIN = 50
"""Frames of its margin: more than a gap that is bridged and than the smoothing reaches."""
_FADE = 12
_SAME_FACE = 0.5  # overlap of the boxes of one face in two blocks
_ARRAYS: dict[str, tuple[str, tuple[int, ...]]] = {
    "bboxes": ("<f4", (4,)),
    "scores": ("<f4", ()),
    "landmarks": ("<f4", (468, 2)),
    "crop_from_frame": ("<f8", (2, 3)),
    "yaw": ("<f4", ()),
}
_INDEX = "tracks.json"


def find_tracks(
    source: FrameSource,
    backend: FaceBackend,
    cfg: TrackConfig,
    folder: Path,
    stop: int,
    max_side: int,
    on_frame: Callable[[int], None],
    clock: StageClock | None = None,
) -> list[FaceTrack]:
    """Every face of frames 0..`stop`, tracked on frames shrunk to `max_side`, in pixels of the full frame.

    The result is stored in `folder` and read from there the next time. on_frame: told how many frames are
    done.
    """
    if (folder / _INDEX).is_file():
        return load_tracks(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shrink = min(1.0, max_side / max(source.info.width, source.info.height))
    store = _Store(folder)
    for first in range(0, stop, BLOCK):
        last = min(first + BLOCK, stop)
        frames = source.read(max(0, first - MARGIN), min(stop, last + MARGIN), max_side)
        if clock is not None:
            frames = clock.iterate("decode", frames)

        def report(index: int, first: int = first, last: int = last) -> None:
            on_frame(min(max(index + 1, first), last))

        found = track_faces(frames, backend, cfg, report)
        store.add_block([_scale(track, 1.0 / shrink) for track in found], first, last)
    store.finish()
    return load_tracks(folder)


def load_tracks(folder: Path) -> list[FaceTrack]:
    """Tracks that `find_tracks` or `save_tracks` stored, mapped from disk."""
    rows = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    return [
        FaceTrack(
            track_id=track_id,
            start=row["start"],
            **{
                name: np.memmap(folder / f"{row['files']}.{name}", dtype, "r", 0, (row["num_frames"], *shape))
                for name, (dtype, shape) in _ARRAYS.items()
            },
        )
        for track_id, row in enumerate(rows)
    ]


def save_tracks(tracks: list[FaceTrack], folder: Path) -> list[FaceTrack]:
    """Store tracks that were not found by `find_tracks`; returns them mapped from disk."""
    folder.mkdir(parents=True, exist_ok=True)
    store = _Store(folder)
    store.add_block(tracks, 0, max((track.stop for track in tracks), default=0))
    store.finish()
    return load_tracks(folder)


@dataclass
class _Growing:
    """A stored track that the next block may go on with."""

    files: int
    start: int
    left: float
    """Left edge of the first box: tracks of one start are counted from the left."""
    num_frames: int
    latest: FaceTrack
    """Its version in the latest block, margin included."""


class _Store:
    """Appends tracks block by block; the index is written last, so what has an index is whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[_Growing] = []
        self._open: list[_Growing] = []
        for leftover in folder.iterdir():
            leftover.unlink()

    def add_block(self, tracks: list[FaceTrack], first: int, last: int) -> None:
        """Add what the tracks of one block say about frames `first`..`last`."""
        before, self._open = self._open, []
        for track in tracks:
            begin, end = max(track.start, first), min(track.stop, last)
            if begin >= end:
                continue
            growing = None
            if begin == first:
                growing = next((item for item in before if _joins(item.latest, track, first)), None)
            if growing is None:
                left = float(track.bboxes[begin - track.start, 0])
                growing = _Growing(len(self._all), begin, left, 0, track)
                self._all.append(growing)
            else:
                before.remove(growing)
            self._append(growing, _part(track, begin, end, growing.latest))
            growing.latest = track
            growing.num_frames += end - begin
            self._open.append(growing)

    def finish(self) -> None:
        """Write the index."""
        ordered = sorted(self._all, key=lambda item: (item.start, item.left))
        rows = [{"start": item.start, "num_frames": item.num_frames, "files": item.files} for item in ordered]
        write_atomically(self._folder / _INDEX, json.dumps(rows))

    def _append(self, growing: _Growing, arrays: dict[str, NDArray]) -> None:
        for name, (dtype, _) in _ARRAYS.items():
            with open(self._folder / f"{growing.files}.{name}", "ab") as file:
                file.write(arrays[name].astype(dtype).tobytes())


def _joins(left: FaceTrack, right: FaceTrack, frame: int) -> bool:
    """Whether two versions overlap at `frame`, the first of a block."""
    if not (left.start <= frame < left.stop and right.start <= frame < right.stop):
        return False
    boxes = left.bboxes[frame - left.start], right.bboxes[frame - right.start]
    return bool(iou(boxes[0], boxes[1][None])[0] > _SAME_FACE)


def _part(track: FaceTrack, begin: int, end: int, left: FaceTrack) -> dict[str, NDArray]:
    """Arrays of frames `begin`..`end`, faded in from the version of the block before where there is one."""
    arrays = {name: getattr(track, name)[begin - track.start : end - track.start].copy() for name in _ARRAYS}
    count = min(_FADE, left.stop - begin, end - begin) if left is not track and left.start <= begin else 0
    for name in _ARRAYS if count > 0 else ():
        weight = (np.arange(1, count + 1) / (count + 1)).reshape(-1, *[1] * (arrays[name].ndim - 1))
        old = getattr(left, name)[begin - left.start :][:count]
        arrays[name][:count] = (1.0 - weight) * old + weight * arrays[name][:count]
    return arrays


def _scale(track: FaceTrack, scale: float) -> FaceTrack:
    """The track in frames that are `scale` times as large."""
    if scale == 1.0:
        return track
    small_from_frame = np.array([[1.0 / scale, 0.0, 0.0], [0.0, 1.0 / scale, 0.0]])
    return replace(
        track,
        bboxes=track.bboxes * np.float32(scale),
        landmarks=track.landmarks * np.float32(scale),
        crop_from_frame=compose(track.crop_from_frame, small_from_frame),
    )
