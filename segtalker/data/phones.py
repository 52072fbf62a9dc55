"""What the phones of a clip say about each of its frames (25 fps)."""

from __future__ import annotations

from collections.abc import Container

import numpy as np
from numpy.typing import NDArray

from segtalker.data.shards import FPS, Row

SILENCE = frozenset({"sil", "pau", "sp", ""})
CLOSURES = frozenset({"p", "b", "m"})
"""Phones with the lips pressed together."""
VOWELS = frozenset(
    ["aa", "ae", "ah", "ao", "aw", "ax", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw"]
)


def frames_of(row: Row, labels: Container[str]) -> NDArray[np.bool_]:
    """[T] whether the phone at the time of each frame is one of `labels`."""
    times = np.arange(row.num_frames) / FPS
    inside = np.zeros(row.num_frames, bool)
    for phone in row.phones:
        if phone.label in labels:
            inside |= (times >= phone.start_s) & (times < phone.end_s)
    return inside


def speech_frames(row: Row) -> NDArray[np.bool_]:
    """[T] whether each frame is spoken; all True where the phones of the clip are not known."""
    if not row.phones:
        return np.ones(row.num_frames, bool)
    spoken = np.zeros(row.num_frames, bool)
    times = np.arange(row.num_frames) / FPS
    for phone in row.phones:
        if phone.label not in SILENCE:
            spoken |= (times >= phone.start_s) & (times < phone.end_s)
    return spoken


def spoken_windows(row: Row, frames: int) -> NDArray[np.bool_]:
    """[T - frames + 1] whether more than half of the window that starts at each frame is spoken."""
    total = np.concatenate([[0], np.cumsum(speech_frames(row))])
    return 2 * (total[frames:] - total[:-frames]) > frames
