"""The voices of the corpus and which of them a training may hear.

Training hears three flite voices, festival's diphone voice, piper's neural voice and espeak-ng in several
accents and variants.
Kept out are another flite and festival speaker (`slt`) and other espeak variants; hibari, a neural
synthesiser, is never trained on: it is the unseen synthesiser of the benchmarks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """A speaker of one synthesiser."""

    engine: str
    """`flite`, `festival`, `espeak`, `piper` or `hibari`."""
    name: str
    """What the engine calls it."""

    @property
    def key(self) -> str:
        """Name in indices: `engine:name`."""
        return f"{self.engine}:{self.name}"


_ACCENTS = ("en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-029")
_TRAIN_VARIANTS = (
    "m1", "m3", "m5", "m7", "f1", "f3", "f5", "klatt2", "klatt4", "Andy", "Annie", "Denis", "Gene", "Hugo",
    "Jacky", "Lee", "Michael", "Mike", "belinda", "ed", "linda", "max", "pablo", "quincy", "steph", "zac",
)  # fmt: skip
_HELD_OUT_VARIANTS = ("m2", "m4", "f2", "f4", "Alicia", "edward", "john", "rob", "sandro", "victor")

_FLITE_TRAIN = tuple(Voice("flite", name) for name in ("kal16", "awb", "rms"))
_FESTIVAL_TRAIN = (Voice("festival", "kal_diphone"),)
_PIPER_TRAIN = (Voice("piper", "joe"),)


def _espeak(variants: tuple[str, ...], accents: tuple[str, ...]) -> tuple[Voice, ...]:
    return tuple(Voice("espeak", f"{accents[i % len(accents)]}+{name}") for i, name in enumerate(variants))


TRAIN_VOICES: tuple[tuple[Voice, ...], ...] = (
    _FLITE_TRAIN[:1], _FLITE_TRAIN[1:2], _FLITE_TRAIN[2:], _FESTIVAL_TRAIN, _PIPER_TRAIN,
    _espeak(_TRAIN_VARIANTS, _ACCENTS), _espeak(_TRAIN_VARIANTS[::-1], _ACCENTS),
)  # fmt: skip
"""Groups take turns and a clip draws a voice of its group: recorded voices speak five of seven clips."""

HELD_OUT_VOICES: tuple[tuple[Voice, ...], ...] = (
    (Voice("flite", "slt"),),
    (Voice("festival", "cmu_us_slt_arctic_hts"),),
    _espeak(_HELD_OUT_VARIANTS, _ACCENTS[:4]),
)
UNSEEN_VOICES: tuple[tuple[Voice, ...], ...] = ((Voice("hibari", "heart"),),)
