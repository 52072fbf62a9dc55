"""The detector: it finds its key's mark after a crop and a change of size, and nothing else."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from segtalker.provenance.detect import FALSE_ALARM, Evidence, find_mark, find_marks
from segtalker.provenance.mark import draw_mark
from tests.provenance.frames import disc, textured


@pytest.fixture(scope="module")
def marked():
    """Eight frames with grain that changes, under one mark."""
    return [draw_mark(frame, "key", 300) for frame in _frames()]


def _frames():
    rng = np.random.default_rng(1)
    still = textured(0, 360, 480).astype(np.int16)
    return [np.clip(still + rng.integers(-3, 4, still.shape), 0, 255).astype(np.uint8) for _ in range(8)]


def _evidence(images):
    evidence = Evidence()
    for image in images:
        evidence.add(image)
    return evidence


def test_a_mark_is_found_with_its_message_and_only_by_its_key(marked):
    ours, other = find_marks(_evidence(marked), ["key", "another key"])
    assert ours.is_marked and ours.message == 300
    assert (ours.scale, ours.moved) == (1.0, (0.0, 0.0))
    assert not other.is_marked and other.chance == 1.0


def test_unmarked_frames_are_not_marked():
    assert not find_mark(_evidence(_frames()), "key").is_marked


def test_a_crop_to_half_size_is_found_where_it_was_cut(marked):
    cut = [frame[30:354, 20:452] for frame in marked]  # 90 % of both sides
    small = [cv2.resize(frame, (216, 162), interpolation=cv2.INTER_AREA) for frame in cut]
    finding = find_mark(_evidence(small), "key")
    assert finding.is_marked and finding.message == 300
    assert finding.scale == pytest.approx(1 / 0.9, abs=0.01)
    cell = (360 * 480) ** 0.5 / 96
    assert finding.moved == pytest.approx((-12 / cell, 4 / cell), abs=0.75)


def test_a_mark_in_the_face_alone_is_found():
    marked = [draw_mark(frame, "key", 9, disc(360, 480, 110)) for frame in _frames()]
    finding = find_mark(_evidence(marked), "key")
    assert finding.is_marked


def test_one_picture_is_enough_where_it_was_not_compressed():
    finding = find_mark(_evidence([draw_mark(textured(3, 480, 640), "key", 1)]), "key")
    assert finding.is_marked and finding.message == 1


@pytest.mark.parametrize("shape", [(40, 2000), (2000, 40), (8, 8), (1, 1)])
def test_frames_of_any_shape_can_be_searched(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert not find_mark(_evidence([image]), "key").is_marked


def test_nothing_at_all_is_no_mark():
    finding = find_mark(_evidence([np.zeros((90, 160, 3), np.uint8)]), "key")
    assert finding.chance == 1.0 and finding.message is None


def test_a_window_wants_frames_of_one_size():
    evidence = _evidence([textured()])
    with pytest.raises(ValueError, match="a frame of shape"):
        evidence.add(textured(0, 100, 100))
    with pytest.raises(ValueError, match="at least one frame"):
        find_mark(Evidence(), "key")


def test_the_bound_on_sums_of_signs_holds_for_many_keys():
    """Hoeffding's bound, which the chance rests on, against the share seen with cells of any kind."""
    rng = np.random.default_rng(2)
    cells = rng.standard_cauchy(400)  # a few cells outweigh all others
    sums = (rng.choice([-1.0, 1.0], (20000, 400)) @ cells) / np.linalg.norm(cells)
    for threshold in (1.0, 1.5, 2.0, 2.5):
        assert (sums > threshold).mean() <= math.exp(-(threshold**2) / 2)


def test_the_search_stays_below_its_bound_on_unmarked_frames():
    findings = find_marks(_evidence(_frames()[:2]), [f"key {number}" for number in range(4)])
    assert min(finding.chance for finding in findings) > 100 * FALSE_ALARM
