from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from segtalker.data.augment import (
    NO_AUGMENT,
    AugmentConfig,
    augment_mel,
    augment_tokens,
    corrupt_tokens,
    jitter_maps,
)


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


def test_without_augmentation_everything_stays_as_it_is():
    mel = generator().uniform(-4, 4, (3, 80, 16)).astype(np.float32)
    tokens = generator().normal(size=(75, 104)).astype(np.float32)
    maps = generator().integers(0, 12, (2, 16, 16), dtype=np.uint8)
    assert np.array_equal(augment_mel(mel, NO_AUGMENT, generator()), mel)
    assert np.array_equal(augment_tokens(tokens, NO_AUGMENT, generator()), tokens)
    assert np.array_equal(jitter_maps(maps, NO_AUGMENT, generator()), maps)


def test_a_new_augmentation_must_be_switched_off_by_name_where_none_is_wanted():
    still_set = {field.name for field in fields(AugmentConfig) if getattr(NO_AUGMENT, field.name) != 0}
    assert still_set == {"noise_db"}  # how loud the noise of a share of samples is, and that share is 0


def test_digital_silence_stays_silent_under_any_equalizer():
    mel = np.full((2, 80, 16), -4, np.float32)
    assert (augment_mel(mel, AugmentConfig(noise_share=0), generator()) == -4).all()
    assert (augment_tokens(np.zeros((5, 104), np.float32), AugmentConfig(), generator()) == 0).all()


def test_a_noise_floor_adds_power_and_hides_only_what_is_softer():
    mel = np.full((1, 80, 16), -4, np.float32)
    mel[:, 40:] = 3.0
    cfg = AugmentConfig(gain_db=0, tilt_db=0, eq_db=0, shift_bins=0, noise_share=1.0, noise_db=(-60.0, -60.0))
    noisy = augment_mel(mel, cfg, generator())
    assert abs(np.median(noisy[:, :40]) - -0.8) < 0.8  # -60 dB is -0.8, give or take the slope
    assert np.allclose(noisy[:, 40:], 3.0, atol=0.02)


def test_maps_move_together_and_keep_their_labels():
    maps = np.repeat(generator().integers(0, 12, (1, 32, 32), dtype=np.uint8), 4, axis=0)
    moved = jitter_maps(maps, AugmentConfig(map_shift=0.2, flip_share=1.0), generator())
    assert (moved == moved[0]).all() and not np.array_equal(moved, maps)
    assert set(np.unique(moved)) <= set(np.unique(maps))


def test_mirroring_twice_gives_the_map_back():
    maps = generator().integers(0, 12, (2, 16, 16), dtype=np.uint8)
    cfg = AugmentConfig(map_shift=0, map_scale=0, flip_share=1.0)
    once = jitter_maps(maps, cfg, generator())
    assert np.array_equal(once, maps[:, :, ::-1])


def test_bent_tokens_keep_silence_and_stay_near_what_was_said() -> None:
    tokens = np.sin(np.arange(20 * 104, dtype=np.float32) / 9).reshape(20, 104)
    tokens[5] = 0.0
    only_warped = replace(NO_AUGMENT, warped_bands=2.0)
    bent = corrupt_tokens(tokens, only_warped, np.random.default_rng(0))
    assert not bent[5].any() and bent.shape == tokens.shape
    assert 0.01 < np.abs(bent - tokens).max() < 1.0
    assert np.array_equal(corrupt_tokens(tokens, NO_AUGMENT, np.random.default_rng(0)), tokens)
    hidden = corrupt_tokens(
        np.ones_like(tokens), replace(NO_AUGMENT, hidden_tokens=6), np.random.default_rng(3)
    )
    assert 0 < (hidden == 0).all(axis=1).sum() <= 6
