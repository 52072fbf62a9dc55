from __future__ import annotations

import numpy as np

from segtalker.parsing.clean import HALO, OUTER, clean_maps
from segtalker.regions import Raw


def _slow(raws: np.ndarray) -> np.ndarray:
    """One pixel at a time."""
    result = raws.copy()
    for t, y, x in np.ndindex(raws.shape):
        radius = min(HALO, t, len(raws) - 1 - t)
        window = raws[t - radius : t + radius + 1, y, x]
        votes = {label: int((window == label).sum()) for label in OUTER}
        own = raws[t, y, x]
        if own in OUTER and max(votes.values()) > votes[Raw(own)]:
            result[t, y, x] = max(votes, key=lambda label: votes[label])
    return result


def _random_maps() -> np.ndarray:
    labels = np.array([0, 1, 14, 16, 17, 13, 11], np.uint8)
    return labels[np.random.default_rng(0).integers(0, len(labels), (15, 9, 9))]


def test_cleaning_agrees_with_the_vote_of_every_pixel():
    raws = _random_maps()
    np.testing.assert_array_equal(clean_maps(raws), _slow(raws))


def test_a_chunk_with_its_halo_gets_the_maps_of_the_whole():
    raws = _random_maps()
    whole = clean_maps(raws)
    np.testing.assert_array_equal(clean_maps(raws[5 - HALO : 9 + HALO])[HALO:-HALO], whole[5:9])
    np.testing.assert_array_equal(clean_maps(raws[: 4 + HALO])[:-HALO], whole[:4])


def test_the_inner_face_is_never_changed():
    raws = _random_maps()
    cleaned = clean_maps(raws)
    for label in (Raw.LOWER_LIP, Raw.MOUTH):
        np.testing.assert_array_equal(cleaned == label, raws == label)


def test_flicker_goes_and_a_moving_border_stays():
    raws = np.full((20, 8, 20), Raw.NECK, np.uint8)
    for t in range(20):
        raws[t, :, :t] = Raw.SKIN  # a jaw that moves one pixel a frame
    np.testing.assert_array_equal(clean_maps(raws), raws)
    flickering = raws.copy()
    flickering[7, 2, 15] = Raw.HAIR
    flickering[11:13, 5, 3] = Raw.CLOTH
    np.testing.assert_array_equal(clean_maps(flickering), raws)
    np.testing.assert_array_equal(clean_maps(raws[:1]), raws[:1])
