"""How the benchmark of edits measures."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks._mattes import jitter
from benchmarks.editing import EDITS, OFF_INNER_FACE, THREE, flicker, region_area
from segtalker.editing.short import read_edits
from segtalker.regions import Region


def test_an_area_lies_where_its_crop_lies_and_grows_by_its_edge():
    region_map = np.zeros((50, 50), np.uint8)
    region_map[20:30, 10:40] = Region.LIP
    crop_from_frame = np.array([[1 / 100, 0.0, -0.3], [0.0, 1 / 100, -0.1]])
    tight, wide = (
        region_area(region_map, (Region.LIP,), crop_from_frame, (140, 180), edge) for edge in (0.0, 0.04)
    )
    rows, columns = np.flatnonzero(tight.any(1)), np.flatnonzero(tight.any(0))
    assert (rows[0], rows[-1] + 1) == pytest.approx((50, 70), abs=1)
    assert (columns[0], columns[-1] + 1) == pytest.approx((50, 110), abs=1)
    assert wide[tight].all() and np.flatnonzero(wide.any(1))[0] == pytest.approx(46, abs=1)


def test_flicker_counts_what_comes_and_goes_and_not_what_drifts():
    inside = np.zeros((9, 20, 20), np.bool_)
    inside[:, 5:10] = True
    drift = np.broadcast_to(10.0 * np.arange(9)[:, None, None, None], (9, 20, 20, 3)).astype(np.uint8)
    assert flicker(drift, inside) == 0
    waver = drift.copy()
    waver[::2, 5:10] += 4
    waver[::2, 15:] += 90
    assert flicker(waver, inside) == pytest.approx(4)


def test_every_measured_edit_can_be_read_and_stays_on_its_regions():
    for text, regions in EDITS.items():
        (edit,) = read_edits([text.format(reference="ref.png")])
        assert edit.at in regions
    assert set(OFF_INNER_FACE) <= set(EDITS) and len(read_edits([THREE.format(reference="ref.png")])) == 3


def test_jitter_counts_edges_that_come_and_go_and_not_those_that_move_evenly():
    columns = np.arange(40, dtype=np.float32)

    def edge_at(places: list[float]) -> np.ndarray:
        edges = [np.clip((columns - place) / 8 + 0.5, 0, 1) for place in places]
        return np.stack([np.repeat(edge[None], 5, 0) for edge in edges]).astype(np.float32)

    assert jitter(edge_at([20.0] * 6)) == 0
    assert jitter(edge_at([14.0, 16.0, 18.0, 20.0, 22.0])) < 0.05
    assert jitter(edge_at([20.0, 24.0, 20.0, 24.0, 20.0])) > 0.3
    assert jitter(np.ones((5, 4, 4), np.float32)) == 0
