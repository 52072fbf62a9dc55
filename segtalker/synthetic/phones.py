"""One phone set for all engines: the 39 ARPAbet phones without stress, and `sil`.

Each engine speaks its own alphabet; the tables here lead from it to ARPAbet. A schwa becomes `ah`, syllabic
consonants become the consonant, flaps become `t`, and long or nasal vowels their plain neighbour: the mouth
shows no difference, and an aligner with the CMU dictionary would name them so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from segtalker.data.phones import PHONE_NAMES
from segtalker.types import Phone

SILENCE = "sil"
VOWELS = frozenset(["aa", "ae", "ah", "ao", "aw", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw"])
BILABIALS = frozenset(("p", "b", "m"))
PHONES = frozenset(PHONE_NAMES)

_RADIO = {
    "pau": SILENCE, "h#": SILENCE, "brth": SILENCE, "ax": "ah", "axr": "er", "dx": "t", "el": "l", "em": "m",
    "en": "n", "hv": "hh", "nx": "n", "ix": "ih",
}  # fmt: skip

_IPA = {
    "t͡ʃ": "ch", "tʃ": "ch", "d͡ʒ": "jh", "dʒ": "jh", "ʧ": "ch", "ʤ": "jh", "aɪ": "ay", "aʊ": "aw",
    "eɪ": "ey", "oʊ": "ow", "əʊ": "ow", "ɔɪ": "oy", "ɔø": "oy", "ɜː": "er", "iː": "iy", "uː": "uw",
    "ɑː": "aa", "ɔː": "ao", "oː": "ow", "eː": "ey", "ʉː": "uw", "iə": "iy", "ɪə": "iy", "eə": "eh",
    "ɛə": "eh", "ʊə": "uh", "əl": "l", "aɪə": "ay er", "aɪɚ": "ay er", "aʊə": "aw er", "ɛɹ": "eh r",
    "ɑːɹ": "aa r", "ɔːɹ": "ao r", "oːɹ": "ao r", "ɪɹ": "iy r", "ʊɹ": "uh r", "ɜːɹ": "er", "ɜɹ": "er",
    "əɹ": "er", "əɪ": "ey", "ɒɪ": "oy", "æʊ": "aw", "ɐʊ": "aw", "ɑ": "aa", "ɒ": "aa", "a": "ae",
    "æ": "ae", "ʌ": "ah", "ə": "ah", "ɐ": "ah", "ᵊ": "ah", "ɔ": "ao", "ɛ": "eh", "e": "eh", "ɚ": "er",
    "ɝ": "er", "ɜ": "er", "ɪ": "ih", "ᵻ": "ih", "ɨ": "ih", "i": "iy", "o": "ow", "ʊ": "uh", "u": "uw",
    "ʉ": "uw", "A": "ey", "I": "ay", "W": "aw", "Y": "oy", "O": "ow", "Q": "ow", "b": "b", "d": "d",
    "ð": "dh", "f": "f", "ɡ": "g", "g": "g", "h": "hh", "j": "y", "k": "k", "l": "l", "ɫ": "l",
    "ɬ": "l", "m": "m", "n": "n", "ŋ": "ng", "p": "p", "ɹ": "r", "r": "r", "ɾ": "t", "s": "s",
    "ʃ": "sh", "t": "t", "T": "t", "ʔ": "t", "θ": "th", "v": "v", "w": "w", "ʍ": "w", "x": "k",
    "z": "z", "ʒ": "zh", "c": "k", "ç": "hh",
}  # fmt: skip
_LONGEST_IPA = max(len(symbol) for symbol in _IPA)


def from_radio(symbol: str) -> str:
    """Name of the phone that flite and festival call `symbol`; `sil` for what is no sound."""
    label = _RADIO.get(symbol, symbol)
    return label if label in PHONES else SILENCE


def from_ipa(symbols: str) -> list[str]:
    """ARPAbet phones of an IPA (or Kokoro-style) string; marks of stress and length are skipped."""
    labels: list[str] = []
    position = 0
    while position < len(symbols):
        for length in range(_LONGEST_IPA, 0, -1):
            known = _IPA.get(symbols[position : position + length])
            if known and len(symbols[position : position + length]) == length:
                labels += known.split()
                position += length
                break
        else:
            position += 1
    return labels


def split_phone(labels: Sequence[str], start_s: float, end_s: float) -> list[Phone]:
    """Share the time of one symbol among its phones; the first (the vowel of `aɪə`) takes the larger part."""
    if len(labels) < 2:
        return [Phone(label, start_s, end_s) for label in labels]
    middle = start_s + 0.6 * (end_s - start_s)
    return [Phone(labels[0], start_s, middle), *split_phone(labels[1:], middle, end_s)]


def fill_gaps(phones: Iterable[Phone], end_s: float) -> tuple[Phone, ...]:
    """The phones in order, without overlap, with `sil` wherever none sounds in [0, end_s]."""
    filled: list[Phone] = []
    position = 0.0
    for phone in sorted(phones, key=lambda phone: phone.start_s):
        start, end = max(phone.start_s, position), min(phone.end_s, end_s)
        if end - start < 1e-3:
            continue
        if start - position > 5e-3:
            filled.append(Phone(SILENCE, position, start))
        else:
            start = position
        filled.append(Phone(phone.label, start, end))
        position = end
    if end_s - position > 1e-6:
        filled.append(Phone(SILENCE, position, end_s))
    return tuple(_merge_silences(filled))


def _merge_silences(phones: Sequence[Phone]) -> list[Phone]:
    merged: list[Phone] = []
    for phone in phones:
        if merged and phone.label == merged[-1].label == SILENCE:
            merged[-1] = Phone(SILENCE, merged[-1].start_s, phone.end_s)
        else:
            merged.append(phone)
    return merged
