from __future__ import annotations

import dataclasses
import functools
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch

from segtalker.audio.windows import chunk_start, mel_window_start, mel_windows
from segtalker.data.augment import NO_AUGMENT
from segtalker.data.dataset import (
    ClipsConfig,
    SyncBatches,
    SyncDataConfig,
    TSGBatches,
    TSGDataConfig,
    open_clips,
    pick_reference,
    spread_starts,
    sync_mel,
)
from segtalker.data.dataset_speech import SpeechBatches, SpeechDataConfig
from segtalker.errors import DataError
from segtalker.metrics.opening import BILABIALS
from segtalker.regions import Region
from tests.training.tiny import make_tiny_corpus

SYNC = SyncDataConfig(clips=4, windows=4, augment=NO_AUGMENT)
TSG = TSGDataConfig(items=4, silence_share=0.0, augment=NO_AUGMENT)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_tiny_corpus(tmp_path_factory.mktemp("data") / "tiny", clips=6, frames=90)


@pytest.fixture
def clips(corpus):
    return ClipsConfig(folder=corpus)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_sync_windows_hold_the_frames_and_the_speech_of_their_start(clips):
    source = SyncBatches(clips, SYNC, frames=5, seed=1)
    batch = source.batch(3)
    draws = source.sampler.batch(3)
    for row, draw in enumerate(draws):
        maps = source.reader.read(source.clips[draw.index], "maps")
        mel = source.reader.read(source.clips[draw.index], "mel").astype(np.float32)
        for column, start in enumerate(batch["start"][row].tolist()):
            assert np.array_equal(batch["masks"][row, column].numpy(), maps[start : start + 5, 16:])
            first = int(3.2 * start)
            assert np.array_equal(batch["mel"][row, column, 0].numpy(), mel[first : first + 16].T)


def test_a_longer_window_is_centred_on_the_same_speech(clips):
    five = SyncBatches(clips, SYNC, frames=5, seed=1)
    clip = five.clips[0]
    mel = five.reader.read(clip, "mel")
    assert np.array_equal(sync_mel(mel, [9], 7), sync_mel(mel, [10], 5))


def test_batches_are_a_pure_function_of_the_step_and_do_not_know_ranks(clips):
    cfg = dataclasses.replace(SYNC, augment=SyncDataConfig().augment)
    whole = SyncBatches(clips, cfg, 5, seed=1).batch(2)
    halves = [SyncBatches(clips, cfg, 5, seed=1).batch(2, rank, 2) for rank in (0, 1)]
    assert same(whole, {name: torch.cat([h[name] for h in halves]) for name in whole})
    source = TSGBatches(clips, TSGDataConfig(items=4), seed=1)
    assert same(source.batch(5), pickle.loads(pickle.dumps(source)).batch(5))
    assert not same(source.batch(5), source.batch(6))


@pytest.mark.parametrize(
    ("build", "clean"),
    [
        (functools.partial(SyncBatches, frames=5), SYNC),
        (TSGBatches, TSG),
        (SpeechBatches, SpeechDataConfig(items=4, augment=NO_AUGMENT)),
    ],
)
def test_only_training_bends_what_is_seen_and_heard(clips, build, clean):
    bent = dataclasses.replace(clean, augment=SyncDataConfig().augment)
    if isinstance(bent, TSGDataConfig):
        bent = dataclasses.replace(bent, silence_share=0.9)
    for train in (True, False):
        batches = [build(clips, cfg, seed=1, train=train).batch(0) for cfg in (bent, clean)]
        assert same(*batches) == (not train)


def test_windows_of_a_clip_keep_their_distance_and_prefer_speech():
    spoken = np.zeros(100, bool)
    spoken[20:80] = True
    cfg = SyncDataConfig(windows=10, min_gap=5, spoken_share=1.0)
    starts = spread_starts(spoken, cfg, np.random.default_rng(0))
    assert (np.diff(starts) >= 5).all() and spoken[starts].mean() >= 0.8


def test_a_clip_too_short_for_the_distance_still_gives_all_windows():
    starts = spread_starts(np.ones(12, bool), SyncDataConfig(windows=10), np.random.default_rng(0))
    assert len(set(starts.tolist())) == 10


def test_tsg_frames_have_their_own_centred_speech_and_chunk_position(clips):
    source = TSGBatches(clips, TSG, seed=1, windows_from=0)
    batch = source.batch(0)
    reader = source.reader
    for row, draw in enumerate(source.sampler.batch(0)):
        clip = source._turns[draw.index]
        maps = reader.read(clip, "maps")
        first = next(f for f in range(len(maps)) if np.array_equal(maps[f], batch["target"][row, 0]))
        frames = range(first, first + 5)
        assert np.array_equal(batch["target"][row].numpy(), maps[list(frames)])
        starts = [mel_window_start(Fraction(f, 25)) for f in frames]
        assert np.array_equal(batch["mel"][row, :, 0].numpy(), mel_windows(reader.read(clip, "mel"), starts))
        tokens = reader.read(clip, "tokens").astype(np.float32)
        for frame, token in zip(frames, batch["token"][row].tolist(), strict=True):
            assert np.array_equal(batch["tokens"][row, token].numpy(), tokens[frame])
        labels = [next(p.label for p in reader.rows[clip].phones if p.end_s > f / 25) for f in frames]
        assert batch["closure"][row].tolist() == [label in BILABIALS for label in labels]
    assert not batch["padding"].any() and chunk_start(0, 90) == 0


def test_the_reference_is_never_one_of_the_frames_and_mostly_closed():
    area = np.arange(100)[::-1].copy()
    frames = np.array([10, 11, 12, 13, 14])
    cfg = TSGDataConfig(min_reference_gap=15, closed_reference_share=1.0)
    chosen = {pick_reference(area, frames, cfg, np.random.default_rng(s)) for s in range(50)}
    assert min(chosen) >= 29 + 50 and len(chosen) > 5  # the most closed fifth lies at the end
    crowded = pick_reference(np.ones(30, np.int64), np.arange(2, 28, 5), cfg, np.random.default_rng(0))
    assert crowded not in range(2, 28, 5)


def test_silent_items_have_silent_speech_and_closed_mouths(clips):
    cfg = dataclasses.replace(TSG, silence_share=1.0)
    batch = TSGBatches(clips, cfg, seed=1).batch(0)
    assert (batch["mel"] == -4).all() and not batch["tokens"].any() and not batch["closure"].any()
    assert (batch["target"] == Region.MOUTH).sum() == 0


def test_networks_with_separate_identity_ranges_never_share_a_person(corpus):
    def people(low: float, high: float) -> set[str]:
        reader, clips = open_clips(ClipsConfig(folder=corpus, identities=(low, high)), train=True)
        return {reader.rows[clip].identity for clip in clips}

    assert people(0.0, 0.5) and people(0.5, 1.0)
    assert people(0.0, 0.5) | people(0.5, 1.0) == people(0.0, 1.0)
    assert not people(0.0, 0.5) & people(0.5, 1.0)


def test_a_split_without_clips_is_reported(corpus):
    with pytest.raises(DataError, match="no clip of split 'nobody'"):
        SyncBatches(ClipsConfig(folder=corpus, train_split="nobody"), SYNC, 5, seed=1)
