"""Does the mouth do what the speech says? Its opening in region maps, against truth and phones.

The opening of a frame is read from its region map alone. Maps lie in the aligned crop, in which the eye
centres are always `INTER_OCULAR` of the side apart, so that the crop itself is the face scale: nothing has
to be measured on eyes that blink or hide behind glasses.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.mesh import LIP_IN
from segtalker.regions import Region
from segtalker.types import Phone

INTER_OCULAR = 0.246
"""Distance of the eye centres in the aligned crop, in sides of the crop."""

BILABIALS = frozenset({"p", "b", "m"})
"""Phones that are made with closed lips."""
VOWELS = frozenset(
    ["aa", "ae", "ah", "ao", "aw", "ax", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw"]
)
OPEN_VOWELS = frozenset(["aa", "ae", "ah", "ao", "aw", "ay", "eh", "ey", "ow"])
SILENCE = frozenset({"sil"})

_TIME_EPSILON = 1e-6  # seconds; sums of decimal times must not decide on which side of a border a frame lies

Openings = NDArray[np.floating]
Times = NDArray[np.floating]


def mouth_area(maps: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Area of the inner mouth in region maps [T, S, S] over the squared eye distance: [T], about 0..0.3."""
    pixels = (maps == Region.MOUTH).sum(axis=(-2, -1))
    return pixels / (INTER_OCULAR * maps.shape[-1]) ** 2


def mouth_height(maps: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Tallest column of the inner mouth in region maps [T, S, S] over the eye distance: [T], about 0..0.6."""
    tallest = (maps == Region.MOUTH).sum(axis=-2).max(axis=-1)
    return tallest / (INTER_OCULAR * maps.shape[-1])


def lip_area(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Area inside the inner lips of meshes [..., 468, 2] in unit crops, over the squared eye distance: [...].

    What `mouth_area` counts in maps that are drawn from the same meshes, without their pixels.
    """
    x, y = np.moveaxis(landmarks[..., LIP_IN, :].astype(np.float64), -1, 0)
    twice = (x * np.roll(y, -1, axis=-1) - y * np.roll(x, -1, axis=-1)).sum(axis=-1)
    return np.abs(twice) / (2 * INTER_OCULAR**2)


def correlation(first: Openings, second: Openings) -> float:
    """Pearson correlation of two openings [T]; 0 where one of them never moves."""
    if len(first) != len(second):
        raise ValueError(f"openings of {len(first)} and {len(second)} frames")
    x = np.asarray(first, np.float64) - np.mean(first)
    y = np.asarray(second, np.float64) - np.mean(second)
    norm = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / norm) if norm > 1e-12 else 0.0


def source_leak(opening: Openings, source_opening: Openings) -> float:
    """|correlation| of an output's opening [T] with that of the source frames, which had other speech."""
    return abs(correlation(opening, source_opening))


def in_phones(
    times: Times, phones: Sequence[Phone], labels: Collection[str], margin_s: float = 0.0
) -> NDArray[np.bool_]:
    """Which frame times [T] (seconds) lie in a phone of `labels`, shrunk by `margin_s` at both ends: [T]."""
    times = np.asarray(times, np.float64)
    inside = np.zeros(len(times), np.bool_)
    for phone in phones:
        if phone.label in labels:
            start, end = phone.start_s + margin_s - _TIME_EPSILON, phone.end_s - margin_s - _TIME_EPSILON
            inside |= (times >= start) & (times < end)
    return inside


def closure_ratio(opening: Openings, times: Times, phones: Sequence[Phone]) -> float:
    """Mean opening on p, b, m over mean opening on vowels; NaN where either does not occur."""
    return _ratio(opening, in_phones(times, phones, BILABIALS), in_phones(times, phones, VOWELS))


def silence_ratio(opening: Openings, times: Times, phones: Sequence[Phone], margin_s: float = 0.0) -> float:
    """Mean opening on silence over mean opening on all other phones; NaN where either does not occur.

    `margin_s` leaves out the ends of a silence, where a mouth is still closing or already opening.
    """
    speech = {phone.label for phone in phones} - SILENCE
    return _ratio(opening, in_phones(times, phones, SILENCE, margin_s), in_phones(times, phones, speech))


def open_vs_closed_auc(opening: Openings, times: Times, phones: Sequence[Phone]) -> float:
    """Probability that a frame of an open vowel is more open than a frame of p, b, m; ties count half."""
    opened = np.asarray(opening)[in_phones(times, phones, OPEN_VOWELS)]
    closed = np.sort(np.asarray(opening)[in_phones(times, phones, BILABIALS)])
    if not len(opened) or not len(closed):
        return float("nan")
    below = np.searchsorted(closed, opened, side="left")
    not_above = np.searchsorted(closed, opened, side="right")
    return float((below + not_above).mean() / (2 * len(closed)))


def closure_rate(
    opening: Openings, times: Times, phones: Sequence[Phone], threshold: float = 0.15, tolerance: int = 1
) -> float:
    """Share of all p, b, m at which the lips close: opening within `threshold` of the range at some frame.

    The range runs from the 5th to the 95th percentile of the whole opening [T]. Frames of a phone are those
    at its times and `tolerance` frames on either side. Phones outside the times are left out; NaN where
    none remains.
    """
    opening, times = np.asarray(opening, np.float64), np.asarray(times, np.float64)
    if not len(opening):
        return float("nan")
    low, high = np.percentile(opening, [5, 95])
    limit = low + threshold * (high - low)
    closed = []
    for phone in phones:
        if phone.label in BILABIALS and phone.end_s > times[0] and phone.start_s <= times[-1]:
            first = np.searchsorted(times, phone.start_s - _TIME_EPSILON) - tolerance
            stop = np.searchsorted(times, phone.end_s - _TIME_EPSILON) + tolerance
            closed.append(bool((opening[max(first, 0) : stop] <= limit).any()))
    return float(np.mean(closed)) if closed else float("nan")


def _ratio(opening: Openings, above: NDArray[np.bool_], below: NDArray[np.bool_]) -> float:
    """Mean opening where `above` over mean opening where `below`."""
    values = np.asarray(opening, np.float64)
    if not above.any() or not below.any() or values[below].mean() <= 0:
        return float("nan")
    return float(values[above].mean() / values[below].mean())
