"""Utterances of the corpus: sentences spoken by one voice with pauses, and the exact time of every phone.

Loudness is made a poor guide to the mouth: the gain drifts within a clip and differs from phone to phone
(loud nasals, quiet open vowels), so that a network has to hear which phone sounds. The few voices of the
engines become many: in training each clip has a vocal tract of its own length.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from segtalker.synthetic.acoustics import AcousticsConfig, acoustics, normalise_level, scramble_loudness
from segtalker.synthetic.engines import Delivery, Spoken, synthesize
from segtalker.synthetic.phones import SILENCE, fill_gaps
from segtalker.synthetic.text import passage
from segtalker.synthetic.voices import Voice
from segtalker.types import Phone

SAMPLE_RATE = 16000


@dataclass(frozen=True)
class Utterance:
    """Speech with labels."""

    samples: NDArray[np.float32]
    """[N] 16 kHz in [-1, 1]"""
    phones: tuple[Phone, ...]
    """In order, without gaps, from 0 to the end."""
    voice: str
    """`engine:name`"""
    engine: str
    text: str

    @property
    def duration_s(self) -> float:
        """Seconds."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True)
class SpeechConfig:
    """How clips are spoken."""

    min_s: float = 3.0
    max_s: float = 10.0
    speed: tuple[float, float] = (0.85, 1.25)
    pitch: tuple[float, float] = (0.8, 1.25)
    max_pause_s: float = 0.9
    """Longest extra silence between sentences."""
    loudness_scramble: float = 1.0
    """0 leaves the natural loudness; 1 moves phones by up to about +-8 dB and lets the gain drift."""
    acoustics: AcousticsConfig = field(default_factory=AcousticsConfig)


def make_utterance(
    voice: Voice, seed: int, cfg: SpeechConfig = SpeechConfig(), vocal_tract: tuple[float, float] = (1.0, 1.0)
) -> Utterance:
    """A clip of random sentences of `min_s`..`max_s` seconds, with room, noise and loudness by `cfg`.

    vocal_tract: range of a factor on all resonances, and with them the pitch; 1.2 makes a woman of a man.
    """
    rng = np.random.default_rng(seed)
    seconds = rng.uniform(cfg.min_s, cfg.max_s)
    tract = float(np.exp(rng.uniform(*np.log(vocal_tract))))
    delivery = Delivery(
        speed=rng.uniform(*cfg.speed) / tract,
        pitch=rng.uniform(*cfg.pitch),
        liveliness=rng.uniform(0.6, 1.4),
        seed=int(rng.integers(1 << 30)),
    )
    text = passage(rng, seconds * delivery.speed * tract)
    spoken = speak(voice, text, delivery, rng, cfg.max_pause_s, tract)
    spoken = _cut(spoken, seconds, cfg.min_s)
    samples = scramble_loudness(spoken.samples, spoken.phones, cfg.loudness_scramble, rng)
    samples = acoustics(samples, cfg.acoustics, rng)
    return replace(spoken, samples=samples)


def speak(
    voice: Voice,
    sentences: list[str],
    delivery: Delivery,
    rng: np.random.Generator,
    max_pause_s: float = 0.6,
    vocal_tract: float = 1.0,
) -> Utterance:
    """Speak sentences one after the other with pauses of 0..`max_pause_s` around them; level normalised."""
    chunks: list[NDArray[np.float32]] = []
    phones: list[Phone] = []
    position = 0
    for part in synthesize(voice, sentences, delivery):
        pause = np.zeros(int(rng.uniform(0.0, max_pause_s) * SAMPLE_RATE), np.float32)
        part = shorten_tract(part, vocal_tract)
        samples = resample(part)
        offset = (position + len(pause)) / SAMPLE_RATE
        phones += [Phone(p.label, p.start_s + offset, p.end_s + offset) for p in part.phones]
        chunks += [pause, samples]
        position += len(pause) + len(samples)
    samples = normalise_level(np.concatenate(chunks))
    text = " ".join(sentences)
    return Utterance(samples, fill_gaps(phones, len(samples) / SAMPLE_RATE), voice.key, voice.engine, text)


def trim(spoken: Utterance, seconds: float) -> Utterance:
    """The first `seconds`, with silence after the end."""
    length = round(seconds * SAMPLE_RATE)
    samples = np.pad(spoken.samples, (0, max(0, length - len(spoken.samples))))[:length]
    return replace(spoken, samples=samples, phones=fill_gaps(spoken.phones, length / SAMPLE_RATE))


def shorten_tract(spoken: Spoken, factor: float) -> Spoken:
    """Played `factor` times as fast: resonances and pitch rise by it, times shrink by it."""
    if factor == 1.0:
        return spoken
    rate = round(spoken.rate * factor / 100) * 100  # a hundredth keeps the resampling filter short
    shrink = spoken.rate / rate
    phones = tuple(Phone(p.label, p.start_s * shrink, p.end_s * shrink) for p in spoken.phones)
    return Spoken(spoken.samples, rate, phones)


def resample(spoken: Spoken) -> NDArray[np.float32]:
    """Samples at 16 kHz."""
    if spoken.rate == SAMPLE_RATE:
        return spoken.samples
    divisor = int(np.gcd(spoken.rate, SAMPLE_RATE))
    up, down = SAMPLE_RATE // divisor, spoken.rate // divisor
    return resample_poly(spoken.samples, up, down).astype(np.float32)


def _cut(spoken: Utterance, seconds: float, min_s: float) -> Utterance:
    """End near `seconds`, in the nearest silence if one is within 0.6 s, and pad up to `min_s`."""
    if spoken.duration_s > seconds:
        silences = [0.5 * (p.start_s + p.end_s) for p in spoken.phones if p.label == SILENCE]
        nearest = min(silences, key=lambda middle: abs(middle - seconds), default=seconds)
        end = nearest if abs(nearest - seconds) < 0.6 and nearest >= min_s else seconds
        return trim(spoken, end)
    return trim(spoken, max(min_s, spoken.duration_s))
