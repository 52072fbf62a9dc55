"""What is heard at every frame of the grid: the speech of a pair, and when it is silent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from segtalker.audio.loudness import frame_energy
from segtalker.audio.source import SAMPLE_RATE
from segtalker.errors import DataError
from segtalker.evaluation.protocol import RATE, EvalProtocol
from segtalker.media.audio import Speech, decode_speech
from segtalker.metrics.opening import BILABIALS, SILENCE, VOWELS, in_phones
from segtalker.types import Phone

_QUIETEST_DB = -60.0
"""Loudness under which speech is silent whatever the rest is like."""
_MARGIN_S = 0.1
"""Either end of a silence, where a mouth still closes or already opens."""
_BLOCK = 1500
_SAMPLES = SAMPLE_RATE // RATE

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Voice:
    """By frame of the grid, [T]; None where nobody knows."""

    speech: Speech | None
    silent: Flags | None = None
    """Silence, without its ends."""
    spoken: Flags | None = None
    closed: Flags | None = None
    """p, b, m."""
    vowel: Flags | None = None
    opening: NDArray[np.float64] | None = None
    """The true opening, of labels."""


def hear(sound: Path | None, labels: Path | None, frames: int, protocol: EvalProtocol, work: Path) -> Voice:
    """Decode the speech of a pair out of any file with sound (None: there is none), and read its labels.

    frames: of the grid. Without labels, silence is told from the loudness.
    """
    speech = None if sound is None else decode_speech(sound, work / "speech.npy")
    if labels is not None:
        return _labelled(speech, labels, frames)
    if speech is None:
        return Voice(None)
    loud = np.concatenate(
        [_loudness(speech, first, min(first + _BLOCK, frames)) for first in range(0, frames, _BLOCK)]
    )
    limit = max(float(np.percentile(loud, 95)) + protocol.silence_db, _QUIETEST_DB)
    quiet = loud < limit
    inner = round(_MARGIN_S * RATE)
    return Voice(speech, binary_erosion(quiet, iterations=inner, border_value=1), ~quiet)


def _loudness(speech: Speech, first: int, stop: int) -> NDArray[np.float32]:
    """Of frames `first`..`stop`, dB; a frame of speech on either side, since it is heard around the time."""
    samples = speech.samples((first - 1) * _SAMPLES, (stop + 1) * _SAMPLES)
    return frame_energy(samples, stop - first + 2)[1:-1]


def _labelled(speech: Speech | None, path: Path, frames: int) -> Voice:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        phones = [Phone(str(label), float(start), float(end)) for label, start, end in told["phones"]]
        opening = np.asarray(told.get("opening", []), np.float64)
        rate = float(told.get("fps", RATE))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: not labels with phones [[label, start, end]] ({error}). Mend or omit it."
        ) from error
    times = np.arange(frames) / RATE
    known = {phone.label for phone in phones}
    true = None
    if len(opening):
        at = np.round(times * rate).astype(int)
        true = np.where(at < len(opening), opening[np.minimum(at, len(opening) - 1)], np.nan)
    return Voice(
        speech,
        silent=in_phones(times, phones, SILENCE, _MARGIN_S),
        spoken=in_phones(times, phones, known - SILENCE),
        closed=in_phones(times, phones, BILABIALS),
        vowel=in_phones(times, phones, VOWELS),
        opening=true,
    )
