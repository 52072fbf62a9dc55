"""Training batches of SyncNet and TSG out of prepared shards, each a pure function of the step.

SyncNet sees a grid of clips x windows, because its lesson lies in the many wrong pairs *within* a clip: with
one negative a window it hardly learns. TSG sees frames of a clip under one 3 s chunk of speech tokens, a
reference map from another time, and never the mouth that it must draw. Needs only numpy, torch, safetensors.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segtalker.audio.mel import MEL_SILENCE
from segtalker.audio.windows import (
    CHUNK_TOKENS,
    SYNC_FRAMES,
    mel_window_start,
    mel_windows,
    sync_window_start,
)
from segtalker.data.augment import NO_AUGMENT, AugmentConfig, augment_mel, augment_tokens, jitter_maps
from segtalker.data.phones import UNKNOWN_PHONE, frame_times, phone_labels, spoken_windows
from segtalker.data.sampler import Draw, IndexedSampler
from segtalker.data.shards import FPS, ShardReader
from segtalker.errors import DataError
from segtalker.metrics.opening import BILABIALS, in_phones
from segtalker.regions import NUM_REGIONS, Region
from segtalker.storage import Uri

Batch = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class ClipsConfig:
    """Which clips of a corpus take part."""

    folder: Uri
    """Prepared shards: a folder, or a bucket that is read through this machine's cache (`shard_cache`)."""
    train_split: str = "train"
    val_split: str = "val"
    identities: tuple[float, float] = (0.0, 1.0)
    """Share of the training identities, by a hash of their names: networks with ranges that do not overlap
    never meet the same person."""
    exclude_engines: tuple[str, ...] = ()
    """Synthesisers that are left out of the training split."""


@dataclass(frozen=True, kw_only=True)
class SyncDataConfig:
    """Batches of SyncNet."""

    clips: int = 12
    """Per step, over all workers."""
    windows: int = 10
    """Of each clip; every pair of them with other times is a negative."""
    min_gap: int = 5
    """Frames between the windows of a clip, where it is long enough."""
    spoken_share: float = 0.9
    """Share of windows that are chosen among those that are more than half spoken."""
    voices: Uri | None = None
    """A corpus of speech alone (`segtalker synth voices`), in a folder or a bucket: each clip brings as many
    windows of it, by whose phones the speech branch learns to hear more voices."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass(frozen=True, kw_only=True)
class TSGDataConfig:
    """Batches of TSG."""

    items: int = 8
    """Per step, over all workers; an item is `frames` frames of one clip."""
    frames: int = 5
    min_reference_gap: int = 15
    """Frames between the reference and every frame that is drawn."""
    closed_reference_share: float = 0.8
    """Share of items whose reference is among the clip's most closed mouths; else any frame."""
    silence_share: float = 0.05
    """Share of items with digital silence or bare noise as speech and closed mouths as the target."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)


def open_clips(cfg: ClipsConfig, train: bool) -> tuple[ShardReader, list[int]]:
    """The corpus, and the positions of the clips that take part in training or validation."""
    reader = ShardReader(cfg.folder)
    clips = reader.select(cfg.train_split if train else cfg.val_split)
    if train:
        low, high = cfg.identities
        clips = [i for i in clips if low <= identity_place(reader.rows[i].identity) < high]
        clips = [i for i in clips if reader.rows[i].engine not in cfg.exclude_engines]
    if not clips:
        split = cfg.train_split if train else cfg.val_split
        raise DataError(
            f"{cfg.folder}: no clip of split '{split}' is left. Check the split and `identities`."
        )
    return reader, clips


def _open_long_clips(cfg: ClipsConfig, train: bool, frames: int) -> tuple[ShardReader, list[int]]:
    """`open_clips` without the clips that are shorter than `frames`."""
    reader, found = open_clips(cfg, train)
    clips = [i for i in found if reader.rows[i].num_frames >= frames]
    if not clips:
        raise DataError(f"{cfg.folder}: every clip is shorter than {frames} frames.")
    return reader, clips


def identity_place(identity: str) -> float:
    """Where an identity lies in [0, 1), the same on every machine."""
    return zlib.crc32(identity.encode()) / 2**32


class SyncBatches:
    """`batch(step)` gives C clips x W windows of T frames.

    masks: uint8 [C, W, T, S/2, S] region maps, lower half. mel: [C, W, 1, 80, 16]. start: int64 [C, W],
    first frames. spoken: bool [C, W]. phones: int64 [C, W, T], see `phone_labels`. With `voices` also
    voices_mel and voices_phones, of the same shapes, for training.
    """

    def __init__(
        self, clips: ClipsConfig, cfg: SyncDataConfig, frames: int, seed: int, train: bool = True
    ) -> None:
        self.reader, self.clips = _open_long_clips(clips, train, frames + cfg.windows)
        self._cfg, self._frames = cfg, frames
        self._augment = cfg.augment if train else NO_AUGMENT
        self.voices: tuple[ShardReader, list[int]] | None = None
        if cfg.voices is not None and train:
            # Without pictures nobody is seen in it: `identities` does not matter, what is heard does.
            heard = ClipsConfig(folder=cfg.voices, exclude_engines=clips.exclude_engines)
            self.voices = _open_long_clips(heard, train, frames + cfg.windows)
        self.sampler = IndexedSampler(len(self.clips), cfg.clips, seed)

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> Batch:
        """This rank's share of the batch of a step."""
        return stack([self._clip(draw) for draw in self.sampler.batch(step, rank, world_size)])

    def _clip(self, draw: Draw) -> dict[str, NDArray]:
        rng, clip, frames = draw.generator(), self.clips[draw.index], self._frames
        spoken = spoken_windows(self.reader.rows[clip], frames)
        starts = spread_starts(spoken, self._cfg, rng)
        maps = self.reader.take(clip, "maps", (starts[:, None] + np.arange(frames)).ravel())
        maps = jitter_maps(maps, self._augment, rng).reshape(len(starts), frames, *maps.shape[1:])
        sample: dict[str, NDArray] = {
            "masks": maps[..., maps.shape[-1] // 2 :, :],
            "start": starts,
            "spoken": spoken[starts],
            **self._hear(self.reader, clip, starts, rng),
        }
        if self.voices is not None:
            reader, clips = self.voices
            other = clips[int(rng.integers(len(clips)))]
            starts = spread_starts(spoken_windows(reader.rows[other], frames), self._cfg, rng)
            heard = self._hear(reader, other, starts, rng)
            sample |= {f"voices_{name}": value for name, value in heard.items()}
        return sample

    def _hear(
        self, reader: ShardReader, clip: int, starts: NDArray[np.int64], rng: np.random.Generator
    ) -> dict[str, NDArray]:
        """`mel` and `phones` of windows of a clip."""
        mel = sync_mel(reader.read(clip, "mel"), starts, self._frames)
        phones = phone_labels(reader.rows[clip])[starts[:, None] + np.arange(self._frames)]
        unheard = max(0, self._frames - SYNC_FRAMES) // 2  # frames at either end of a longer window
        phones[:, :unheard] = phones[:, self._frames - unheard :] = UNKNOWN_PHONE
        return {"mel": augment_mel(mel, self._augment, rng)[:, None], "phones": phones}


def spread_starts(
    spoken: NDArray[np.bool_], cfg: SyncDataConfig, rng: np.random.Generator
) -> NDArray[np.int64]:
    """[W] first frames of windows, ascending: mostly spoken ones, `min_gap` apart where the clip allows."""
    order = rng.permutation(len(spoken))
    preferred = rng.random(len(spoken)) < np.where(spoken[order], 1.0, 1 - cfg.spoken_share)
    order = np.concatenate([order[preferred], order[~preferred]])
    for gap in range(min(cfg.min_gap, len(spoken) // cfg.windows), 0, -1):
        chosen: list[int] = []
        for start in order:
            if all(abs(start - other) >= gap for other in chosen):
                chosen.append(int(start))
            if len(chosen) == cfg.windows:
                return np.sort(np.array(chosen, np.int64))
    return np.sort(order[: cfg.windows])


def sync_mel(mel: NDArray, starts: Sequence[int] | NDArray[np.int64], frames: int) -> NDArray[np.float32]:
    """Mel windows [N, 80, 16] under `frames` frames from each of `starts` on: of the middle five of them."""
    lead = Fraction(frames - SYNC_FRAMES, 2 * FPS)
    return mel_windows(mel, [sync_window_start(Fraction(int(f), FPS) + lead) for f in starts])


class TSGBatches:
    """`batch(step)` gives B items of F frames of one clip each.

    target: uint8 [B, F, S, S] (its upper half is the pose). reference: uint8 [B, S, S], another time.
    mel: [B, F, 1, 80, 16] centred. tokens: [B, 75, 104]; padding: bool [B, 75]; token: int64 [B, F] inside
    the chunk. closure: bool [B, F], lips pressed together. sync_mel: [B, 1, 80, 16] of the F frames, where
    they are consecutive: from step `windows_from` on. Before, they are scattered over the chunk.
    """

    def __init__(
        self, clips: ClipsConfig, cfg: TSGDataConfig, seed: int, windows_from: int = 0, train: bool = True
    ) -> None:
        self.reader, self.clips = _open_long_clips(clips, train, 2 * cfg.min_reference_gap + cfg.frames)
        # A long clip comes once for each 3 s, so that every second of speech counts alike.
        self._turns = [
            i for i in self.clips for _ in range(max(1, round(self.reader.rows[i].num_frames / CHUNK_TOKENS)))
        ]
        self._cfg, self._windows_from = cfg, windows_from
        self._augment = cfg.augment if train else NO_AUGMENT
        self._silence_share = cfg.silence_share if train else 0.0
        self.sampler = IndexedSampler(len(self._turns), cfg.items, seed)
        self._mouth_area = lru_cache(maxsize=None)(self._count_mouth)

    def __getstate__(self) -> dict:
        return {k: v for k, v in self.__dict__.items() if k != "_mouth_area"}

    def __setstate__(self, values: dict) -> None:
        self.__dict__.update(values)
        self._mouth_area = lru_cache(maxsize=None)(self._count_mouth)

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> Batch:
        """This rank's share of the batch of a step."""
        consecutive = step >= self._windows_from
        return stack([self._item(d, consecutive) for d in self.sampler.batch(step, rank, world_size)])

    def region_areas(self, most: int = 64) -> NDArray[np.int64]:
        """Pixels [12] of each region in three frames of each of the first `most` clips."""
        counts = np.zeros(NUM_REGIONS, np.int64)
        for clip in self.clips[:most]:
            last = self.reader.rows[clip].num_frames - 1
            maps = self.reader.take(clip, "maps", (0, last // 2, last))
            counts += np.bincount(maps.ravel(), minlength=NUM_REGIONS)
        return counts

    def _item(self, draw: Draw, consecutive: bool) -> dict[str, NDArray]:
        rng, clip, cfg = draw.generator(), self._turns[draw.index], self._cfg
        row = self.reader.rows[clip]
        length = row.num_frames
        area = self._mouth_area(clip)
        chunk = int(rng.integers(0, max(1, length - CHUNK_TOKENS + 1)))
        silent = bool(rng.random() < self._silence_share)
        frames = self._pick_frames(chunk, length, area, consecutive, silent, rng)
        reference = pick_reference(area, frames, cfg, rng)
        maps = self.reader.take(clip, "maps", np.append(frames, reference))
        together = jitter_maps(maps, self._augment, rng)
        mel = self.reader.read(clip, "mel")
        times = [Fraction(int(f), FPS) for f in frames]
        starts = [mel_window_start(time) for time in times] + [sync_window_start(times[0])]
        windows = mel_windows(mel, starts)
        tokens, padding = chunk_of(self.reader.read(clip, "tokens", chunk, chunk + CHUNK_TOKENS))
        if silent:
            windows, tokens = np.full_like(windows, MEL_SILENCE), np.zeros_like(tokens)
        windows = augment_mel(windows, self._augment, rng)
        return {
            "target": together[:-1],
            "reference": together[-1],
            "mel": windows[:-1, None],
            "tokens": augment_tokens(tokens, self._augment, rng),
            "padding": padding,
            "token": np.minimum(frames - chunk, int((~padding).sum()) - 1),
            "closure": in_phones(frame_times(row)[frames], row.phones, BILABIALS) & (not silent),
            "sync_mel": windows[-1:],
        }

    def _pick_frames(
        self,
        chunk: int,
        length: int,
        area: NDArray[np.int64],
        consecutive: bool,
        silent: bool,
        rng: np.random.Generator,
    ) -> NDArray[np.int64]:
        stop, count = min(chunk + CHUNK_TOKENS, length), self._cfg.frames
        inside = np.arange(chunk, stop)
        if silent:  # the most closed mouths of the chunk
            return np.sort(inside[np.argsort(area[inside], kind="stable")[:count]])
        if consecutive:
            return np.arange(count) + int(rng.integers(chunk, stop - count + 1))
        return np.sort(rng.choice(inside, count, replace=False))

    def _count_mouth(self, clip: int) -> NDArray[np.int64]:
        return (self.reader.read(clip, "maps") == Region.MOUTH).sum(axis=(1, 2))


def pick_reference(
    area: NDArray[np.int64], frames: NDArray[np.int64], cfg: TSGDataConfig, rng: np.random.Generator
) -> int:
    """A frame of the clip away from all of `frames`, mostly one with a closed mouth (small `area` [T])."""
    away = np.abs(np.arange(len(area))[:, None] - frames[None]).min(axis=1)
    # In a short clip with scattered frames nothing may be far enough: then take what is farthest.
    allowed = np.flatnonzero(away >= min(cfg.min_reference_gap, int(away.max())))
    if rng.random() < cfg.closed_reference_share:
        shuffled = rng.permutation(allowed)
        closed = shuffled[np.argsort(area[shuffled], kind="stable")]
        allowed = closed[: max(1, len(closed) // 5)]
    return int(rng.choice(allowed))


def chunk_of(tokens: NDArray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Up to 75 tokens [n, 104] padded with zeros to [75, 104], and what is padding [75]."""
    chunk = np.zeros((CHUNK_TOKENS, tokens.shape[1]), np.float32)
    chunk[: len(tokens)] = tokens[:CHUNK_TOKENS]
    return chunk, np.arange(CHUNK_TOKENS) >= len(tokens)


def stack(samples: Sequence[dict[str, NDArray]]) -> Batch:
    """Samples of equal shapes to one batch of tensors."""
    return {name: torch.from_numpy(np.stack([s[name] for s in samples])) for name in samples[0]}
