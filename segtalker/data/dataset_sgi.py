"""Training batches of SGI out of prepared shards with crops: prior learning (arXiv 2409.03605, Sec. 3.3).

The look comes from one frame, the map from another within 15 frames of it, and that other frame is the
truth: so the network learns what a region looks like that the source does not show, teeth above all. Each
batch is a pure function of the step. Needs only numpy, torch and safetensors.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segtalker.data.dataset import Batch, ClipsConfig, open_clips, stack
from segtalker.data.sampler import Draw, IndexedSampler
from segtalker.errors import DataError

_FRAMES_A_TURN = 25
"""A long clip comes once an epoch for each second, so that every frame counts alike."""


@dataclass(frozen=True, kw_only=True)
class ColourConfig:
    """Another camera and light, the same for source and target; all zero switches it off."""

    brightness: float = 0.15
    """Gain of all channels, plus or minus."""
    balance: float = 0.08
    """Gain of each channel for itself, plus or minus."""
    gamma: float = 0.2
    """Exponent's logarithm, plus or minus."""


@dataclass(frozen=True, kw_only=True)
class SGIDataConfig:
    """Batches of SGI."""

    items: int = 8
    """Per step, over all workers."""
    max_gap: int = 15
    """Frames between source and target at most."""
    flip_share: float = 0.5
    """Share of samples that are mirrored; the 12 regions do not tell left from right."""
    colour: ColourConfig = field(default_factory=ColourConfig)


class SGIBatches:
    """`batch(step)` gives B pairs of frames of one clip each.

    source_image, target_image: uint8 [B, S, S, 3] RGB. source_map, target_map: uint8 [B, S, S] region maps.
    identity: int64 [B], equal for pictures of one person.
    """

    def __init__(self, clips: ClipsConfig, cfg: SGIDataConfig, seed: int, train: bool = True) -> None:
        self.reader, found = open_clips(clips, train)
        rows = self.reader.rows
        self.clips = [i for i in found if "crops" in rows[i].fields]
        if not self.clips:
            raise DataError(f"{clips.folder}: no clip has crops, only maps. Prepare a corpus with pictures.")
        self._turns = [i for i in self.clips for _ in range(max(1, rows[i].num_frames // _FRAMES_A_TURN))]
        self._cfg, self._train = cfg, train
        self.sampler = IndexedSampler(len(self._turns), cfg.items, seed)

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> Batch:
        """This rank's share of the batch of a step."""
        return stack([self._item(draw) for draw in self.sampler.batch(step, rank, world_size)])

    def _item(self, draw: Draw) -> dict[str, NDArray]:
        rng, clip = draw.generator(), self._turns[draw.index]
        length = self.reader.rows[clip].num_frames
        source = int(rng.integers(length))
        low, high = max(0, source - self._cfg.max_gap), min(length, source + self._cfg.max_gap + 1)
        frames = (source, int(rng.integers(low, high)))
        images = self.reader.take(clip, "crops", frames)
        maps = self.reader.take(clip, "maps", frames)
        if self._train:
            images = _recoloured(images, self._cfg.colour, rng)
            if rng.random() < self._cfg.flip_share:
                images, maps = images[:, :, ::-1], maps[:, :, ::-1]
        return {
            "source_image": images[0],
            "source_map": maps[0],
            "target_image": images[1],
            "target_map": maps[1],
            "identity": np.array(zlib.crc32(self.reader.rows[clip].identity.encode()), np.int64),
        }


def _recoloured(images: NDArray, cfg: ColourConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Images uint8 [..., 3] through one random tone curve a channel."""
    gain = (1 + rng.uniform(-cfg.brightness, cfg.brightness)) * np.ones(3)
    gain = gain * (1 + rng.uniform(-cfg.balance, cfg.balance, 3))
    exponent = np.exp(rng.uniform(-cfg.gamma, cfg.gamma))
    levels = (np.arange(256) / 255) ** exponent
    curves = np.clip(np.rint(255 * levels[:, None] * gain), 0, 255).astype(np.uint8)
    return np.stack([curves[images[..., channel], channel] for channel in range(3)], axis=-1)
