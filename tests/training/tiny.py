"""A corpus of moving blobs: the mouth follows a signal, and so does the loudness of some mel bands."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from segtalker.data.shards import Sample, ShardWriter
from segtalker.regions import Region
from segtalker.types import Phone


def make_tiny_corpus(
    folder: Path, clips: int = 6, frames: int = 60, size: int = 32, phones: bool = True
) -> Path:
    """`clips` clips of `frames` frames at `size` px, the last two held out as `val`; the same every time."""
    with ShardWriter(folder) as writer:
        for number in range(clips):
            clip = tiny_clip(number, frames, size, "val" if number >= clips - 2 else "train")
            writer.add(clip if phones else dataclasses.replace(clip, phones=()))
    return folder


def tiny_clip(number: int, frames: int, size: int, split: str) -> Sample:
    """One clip; every 12 frames begin with four of silence and two of lip closure."""
    rng = np.random.default_rng(number)
    phase = np.arange(frames) % 12
    raw = np.convolve(rng.uniform(0, 1, frames + 4), np.ones(5) / 5, "valid")
    opening = np.where(phase < 6, 0.0, np.clip((raw - 0.25) * 2, 0.1, 1)).astype(np.float32)
    steps = frames * 16 // 5
    at = np.minimum(np.arange(steps) * 5 // 16, frames - 1)
    mel = np.full((steps, 80), -4.0, np.float32)
    loud = (phase >= 4)[at]
    mel[loud] = -2.0
    mel[:, 20:40] += (4 * opening[at])[:, None]
    tokens = np.zeros((frames, 104), np.float32)
    tokens[:, ::2] = opening[:, None]
    phones = []
    for start in range(0, frames, 12):
        for label, first, last in (("sil", 0, 4), ("b", 4, 6), ("aa", 6, 12)):
            phones.append(Phone(label, (start + first) / 25, (start + last) / 25))
    return Sample(
        key=f"clip{number}",
        maps=np.stack([_face(value, size, rng) for value in opening]),
        mel=np.clip(mel, -4, 4),
        tokens=tokens,
        identity=f"person{number}",
        voice=f"voice{number % 2}",
        engine="blobs",
        split=split,
        opening=opening,
        mouth=np.stack([opening, 0 * opening, 0 * opening, (phase >= 4) & (phase < 6)], axis=1),
        energy=mel.mean(axis=1)[np.minimum(np.arange(frames) * 16 // 5, steps - 1)],
        phones=phones,
    )


def _face(opening: float, size: int, rng: np.random.Generator) -> np.ndarray:
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    x = x + rng.normal(0, 0.01)
    labels = np.full((size, size), Region.BACKGROUND, np.uint8)
    labels[((x - 0.5) / 0.38) ** 2 + ((y - 0.55) / 0.45) ** 2 < 1] = Region.SKIN
    for centre in (0.36, 0.64):
        labels[((x - centre) / 0.08) ** 2 + ((y - 0.4) / 0.04) ** 2 < 1] = Region.EYES
    height = 0.04 + 0.14 * opening
    lips = ((x - 0.5) / 0.2) ** 2 + ((y - 0.74) / (height + 0.03)) ** 2
    labels[lips < 1] = Region.LIP
    if opening > 0:
        labels[((x - 0.5) / 0.16) ** 2 + ((y - 0.74) / height) ** 2 < 1] = Region.MOUTH
    return labels
