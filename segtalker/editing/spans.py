"""How strong an edit is at a time: spans that ease in and out, keyframes, and blinks.

All times are seconds of the output, all functions pure, so that any frame can be made alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Span = tuple[float, float]
"""Seconds [start, end)."""
Keyframe = tuple[float, float]
"""Seconds, strength."""

RESTING_RATE = 0.25
"""Blinks a second of a person at rest."""
CLOSING_S, CLOSED_S, OPENING_S = 0.10, 0.05, 0.20
BLINK_S = CLOSING_S + CLOSED_S + OPENING_S
MAX_RATE = 1.0
"""Blinks a second that can be told apart."""
_QUIET = 0.1  # part of a slot before its blink may begin


def smooth_step(x: float) -> float:
    """0 up to 0, 1 from 1 on, with level ends between."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


def envelope(time_s: float, span: Span | None, ease_s: float) -> float:
    """0 outside `span`, 1 inside, with `ease_s` seconds of rise and of fall within it; 1 without a span.

    A span that is too short for both rises and falls in its halves.
    """
    if span is None:
        return 1.0
    start, end = span
    if not start <= time_s < end:
        return 0.0
    ease = min(ease_s, (end - start) / 2)
    if ease <= 0:
        return 1.0
    return smooth_step((time_s - start) / ease) * smooth_step((end - time_s) / ease)


def interpolate(time_s: float, keyframes: Sequence[Keyframe]) -> float:
    """The strength between keyframes of ascending times, eased; the first and the last are held."""
    if time_s <= keyframes[0][0]:
        return keyframes[0][1]
    for (t0, before), (t1, after) in pairwise(keyframes):
        if time_s < t1:
            return before + smooth_step((time_s - t0) / (t1 - t0)) * (after - before)
    return keyframes[-1][1]


def natural_closure(time_s: float, seed: int, rate: float = RESTING_RATE) -> float:
    """How far the eyes are closed, 0 open to 1 closed; one blink at a random moment of each 1 / `rate` s."""
    slot_s = 1.0 / rate
    slot = int(time_s // slot_s)
    latest = max(slot_s - BLINK_S, _QUIET * slot_s)
    start = slot * slot_s + np.random.default_rng([seed, slot]).uniform(_QUIET * slot_s, latest)
    return blink_closure(time_s - start)


def timed_closure(time_s: float, starts: Sequence[float]) -> float:
    """The same for blinks that begin at `starts`."""
    return max((blink_closure(time_s - start) for start in starts), default=0.0)


def blink_closure(since_s: float) -> float:
    """How far the eyes are closed `since_s` seconds after a blink began."""
    if since_s <= 0 or since_s >= BLINK_S:
        return 0.0
    if since_s < CLOSING_S:
        return smooth_step(since_s / CLOSING_S)
    return 1.0 - smooth_step((since_s - CLOSING_S - CLOSED_S) / OPENING_S)
