"""Training batches of the speech encoder: 3 s of tokens with the phone and the mouth of every token.

Needs only numpy, torch, safetensors.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.windows import CHUNK_TOKENS
from segtalker.data.augment import NO_AUGMENT, AugmentConfig, augment_tokens, corrupt_tokens
from segtalker.data.dataset import Batch, ClipsConfig, chunk_of, open_clips, stack
from segtalker.data.phones import UNKNOWN_PHONE, phone_labels
from segtalker.data.sampler import Draw, IndexedSampler


@dataclass(frozen=True, kw_only=True)
class SpeechDataConfig:
    """Batches of the speech encoder."""

    items: int = 32
    """Chunks of 3 s a step, over all workers."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)


class SpeechBatches:
    """`batch(step)` gives B chunks of 75 tokens.

    tokens: [B, 75, 104]; padding: bool [B, 75]; phones: int64 [B, 75], `UNKNOWN_PHONE` on padding; mouth:
    [B, 75, 4] (`shards.MOUTH`).
    """

    def __init__(self, clips: ClipsConfig, cfg: SpeechDataConfig, seed: int, train: bool = True) -> None:
        self.reader, self.clips = open_clips(clips, train)
        self._turns = [
            i for i in self.clips for _ in range(max(1, round(self.reader.rows[i].num_frames / CHUNK_TOKENS)))
        ]
        self._augment = cfg.augment if train else NO_AUGMENT
        self.sampler = IndexedSampler(len(self._turns), cfg.items, seed)

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> Batch:
        """This rank's share of the batch of a step."""
        return stack([self._item(draw) for draw in self.sampler.batch(step, rank, world_size)])

    def _item(self, draw: Draw) -> dict[str, NDArray]:
        rng, clip = draw.generator(), self._turns[draw.index]
        row = self.reader.rows[clip]
        start = int(rng.integers(0, max(1, row.num_frames - CHUNK_TOKENS + 1)))
        tokens, padding = chunk_of(self.reader.read(clip, "tokens", start, start + CHUNK_TOKENS))
        seen = self.reader.read(clip, "mouth", start, start + CHUNK_TOKENS).astype(np.float32)
        length = min(len(seen), int((~padding).sum()))
        mouth = np.zeros((CHUNK_TOKENS, seen.shape[1]), np.float32)
        mouth[:length] = seen[:length]
        phones = np.full(CHUNK_TOKENS, UNKNOWN_PHONE, np.int64)
        phones[:length] = phone_labels(row)[start : start + length]
        padding = padding | (np.arange(CHUNK_TOKENS) >= length)
        bent = augment_tokens(tokens, self._augment, rng)
        return {
            "tokens": corrupt_tokens(bent, self._augment, rng),
            "padding": padding,
            "phones": phones,
            "mouth": mouth,
        }
