"""What the phones of a prepared clip say about its frames (25 fps)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segtalker.data.shards import FPS, Row
from segtalker.metrics.opening import SILENCE, in_phones

PHONE_NAMES = (
    "sil", "aa", "ae", "ah", "ao", "aw", "ay", "b", "ch", "d", "dh", "eh", "er", "ey", "f", "g", "hh", "ih",
    "iy", "jh", "k", "l", "m", "n", "ng", "ow", "oy", "p", "r", "s", "sh", "t", "th", "uh", "uw", "v", "w",
    "y", "z", "zh",
)  # fmt: skip
"""ARPAbet without stress, and silence; the order of all logits of phones."""
UNKNOWN_PHONE = -1
"""Label where nobody knows."""
_PLACES = {name: place for place, name in enumerate(PHONE_NAMES)}
_TIME_EPSILON = 1e-5  # frames; sums of decimal times must not decide on which side of a border a frame lies


def frame_times(row: Row) -> NDArray[np.float64]:
    """[T] seconds."""
    return np.arange(row.num_frames) / FPS


def phone_labels(row: Row) -> NDArray[np.int64]:
    """[T] place in `PHONE_NAMES` of the phone at each frame's time; `UNKNOWN_PHONE` where there is none."""
    labels = np.full(row.num_frames, UNKNOWN_PHONE, np.int64)
    for phone in row.phones:
        first, stop = (int(np.ceil(time * FPS - _TIME_EPSILON)) for time in (phone.start_s, phone.end_s))
        labels[max(first, 0) : max(stop, 0)] = _PLACES.get(phone.label, UNKNOWN_PHONE)
    return labels


def spoken_frames(row: Row) -> NDArray[np.bool_]:
    """[T] whether each frame is spoken; all True where the phones of the clip are not known."""
    if not row.phones:
        return np.ones(row.num_frames, np.bool_)
    return in_phones(frame_times(row), row.phones, {phone.label for phone in row.phones} - SILENCE)


def spoken_windows(row: Row, frames: int) -> NDArray[np.bool_]:
    """[T - frames + 1] whether more than half of the window that starts at each frame is spoken."""
    total = np.concatenate([[0], np.cumsum(spoken_frames(row))])
    return 2 * (total[frames:] - total[:-frames]) > frames
