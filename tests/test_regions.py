"""The two published label orders merge to the same 12 regions."""

from __future__ import annotations

import numpy as np

from segtalker.regions import (
    NUM_RAW_LABELS,
    NUM_REGIONS,
    RAW_FROM_CELEBA,
    REGION_FROM_RAW,
    Raw,
    Region,
    colourize,
    merge_raw,
    one_hot,
)  # fmt: skip


def test_merge_table_of_bisenet_order_is_the_published_one():
    assert REGION_FROM_RAW.tolist() == [0, 6, 2, 2, 3, 3, 10, 7, 7, 11, 5, 9, 1, 1, 8, 0, 0, 4, 0]


def test_merge_table_of_celebamask_order_is_the_published_one():
    assert REGION_FROM_RAW[RAW_FROM_CELEBA].tolist() == [
        0,
        6,
        5,
        10,
        3,
        3,
        2,
        2,
        7,
        7,
        9,
        1,
        1,
        4,
        0,
        11,
        0,
        8,
        0,
    ]


def test_celebamask_labels_are_a_permutation():
    assert sorted(RAW_FROM_CELEBA.tolist()) == list(range(NUM_RAW_LABELS))


def test_clothes_hat_and_necklace_fall_to_the_background():
    raw = np.array([[Raw.CLOTH, Raw.HAT, Raw.NECKLACE, Raw.NECK]], np.uint8)
    assert merge_raw(raw).tolist() == [[0, 0, 0, Region.NECK]]


def test_one_hot_has_one_channel_per_region_and_sums_to_one():
    region_map = np.arange(NUM_REGIONS, dtype=np.uint8).reshape(1, 3, 4)
    encoded = one_hot(region_map)
    assert encoded.shape == (1, NUM_REGIONS, 3, 4)
    assert (encoded.sum(axis=1) == 1).all()
    assert (encoded.argmax(axis=1) == region_map).all()


def test_every_region_has_its_own_colour():
    colours = colourize(np.arange(NUM_REGIONS, dtype=np.uint8)[None])
    assert len({tuple(colour) for colour in colours[0].tolist()}) == NUM_REGIONS
