"""Neural speech with phone times: forced alignment of its own phone string with pocketsphinx.

pocketsphinx (BSD) and hibari (Apache-2.0) are pip packages. The words are aligned with the very phones that
the synthesiser was given, so that no pronunciation has to be guessed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from segtalker.synthetic.engines import AlignmentFailed, Spoken, SynthesiserMissing
from segtalker.synthetic.phones import PHONES, SILENCE, fill_gaps, from_ipa
from segtalker.types import Phone

_RATE = 16000
_ALIGNER_FRAME_S = 0.01


def speak_aligned(name: str, text: str, speed: float, seed: int) -> Spoken:
    """Speak `text` with hibari's voice `name` and find when each phone sounds."""
    voice = _hibari(name)
    words = [word for part in voice.phonemize(text) for word in part.split()]
    samples = np.asarray(voice(text, speed=speed, seed=seed), np.float32)
    return align_spoken(samples, 24000, words)


def align_spoken(samples: NDArray[np.float32], rate: int, words: list[str]) -> Spoken:
    """16 kHz speech with phone times, of `samples` [N] that say `words` (IPA)."""
    divisor = int(np.gcd(rate, _RATE))
    resampled = resample_poly(samples, _RATE // divisor, rate // divisor).astype(np.float32)
    spoken = [phones for word in words if (phones := from_ipa(word))]
    return Spoken(resampled, _RATE, align(resampled, spoken))


def align(samples: NDArray[np.float32], words: list[list[str]]) -> tuple[Phone, ...]:
    """Times of the ARPAbet phones of `words` in 16 kHz `samples` [N], and of the silences between words."""
    decoder = _decoder()
    names = [f"_{'_'.join(word)}" for word in words]
    for name, word in zip(names, words, strict=True):
        if decoder.lookup_word(name) is None:
            decoder.add_word(name, " ".join(phone.upper() for phone in word), True)
    padding = np.zeros(_RATE // 5, np.float32)
    padded = np.concatenate([padding, samples, padding])
    audio = (np.clip(padded, -1, 1) * 32767).astype("<i2").tobytes()
    decoder.set_align_text(" ".join(names))
    _decode(decoder, audio)
    if decoder.hyp() is None:
        raise AlignmentFailed("pocketsphinx could not align the speech with its phones; take another text.")
    decoder.set_alignment()
    _decode(decoder, audio)
    phones = []
    for word in decoder.get_alignment():
        for phone in word:
            label = phone.name.lower()
            start = phone.start * _ALIGNER_FRAME_S - 0.2
            label = label if label in PHONES else SILENCE
            phones.append(Phone(label, max(0.0, start), start + phone.duration * _ALIGNER_FRAME_S))
    return fill_gaps(phones, len(samples) / _RATE)


def _decode(decoder: Any, audio: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(audio, False, True)
    decoder.end_utt()


@lru_cache(maxsize=2)
def _hibari(name: str) -> Any:
    try:
        from hibari import Hibari
    except ImportError as error:
        raise SynthesiserMissing("hibari-tts is not installed: pip install 'segtalker[synth]'.") from error
    return Hibari(voice=name)


@lru_cache(maxsize=1)
def _decoder() -> Any:
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise SynthesiserMissing("pocketsphinx is not installed: pip install 'segtalker[synth]'.") from error
    return Decoder(lm=None, samprate=_RATE, bestpath=False, loglevel="FATAL")
