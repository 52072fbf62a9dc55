"""The tiny corpus with pictures: every region of every person has a colour of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from segtalker.data.shards import ShardWriter
from tests.training.tiny import tiny_clip


def make_picture_corpus(folder: Path, clips: int = 5, one_palette: bool = False) -> Path:
    """`clips` people of 30 frames at 32 px, one in four held out as `val`; `one_palette`: all look alike."""
    with ShardWriter(folder) as writer:
        for number in range(clips):
            clip = tiny_clip(number, 30, 32, "val" if number % 4 == 3 else "train")
            draw = np.random.default_rng(100 if one_palette else 100 + number)
            palette = draw.integers(40, 216, (12, 3)).astype(np.uint8)
            writer.add(dataclasses.replace(clip, crops=palette[clip.maps]))
    return folder
