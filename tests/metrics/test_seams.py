"""The seam of a paste that nobody told of."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segtalker.metrics.seams import change_seam, changed_area

SIDE = 96


def smooth_picture() -> np.ndarray:
    ramp = np.linspace(60, 160, SIDE)
    return np.broadcast_to(ramp[:, None, None], (SIDE, SIDE, 3)).astype(np.uint8).copy()


def pasted(step: int, softness: float = 0.0) -> np.ndarray:
    """A square that is brighter by `step` levels, with a hard edge or one of so many pixels."""
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[40:80, 30:66] = 1
    if softness:
        mask = cv2.GaussianBlur(mask, (0, 0), softness)
    return np.clip(smooth_picture() + step * mask[..., None], 0, 255).round().astype(np.uint8)


def test_nothing_pasted_has_no_seam():
    assert change_seam(smooth_picture(), smooth_picture()) == 0
    assert not changed_area(smooth_picture(), smooth_picture()).any()


def test_the_area_is_what_was_painted_over_with_its_holes_filled():
    picture = pasted(30)
    picture[55:60, 45:50] = smooth_picture()[55:60, 45:50]
    area = changed_area(smooth_picture(), picture)
    true = np.zeros((SIDE, SIDE), bool)
    true[40:80, 30:66] = True
    assert (area != true).mean() < 0.005


def test_spots_of_the_codec_are_no_paste():
    picture = smooth_picture()
    picture[10:13, 10:13] += 40
    assert not changed_area(smooth_picture(), picture).any()


def test_a_hard_edge_reads_a_quarter_of_its_step_and_a_soft_one_less():
    hard = change_seam(smooth_picture(), pasted(40))
    assert hard == pytest.approx(10, rel=0.15)
    assert change_seam(smooth_picture(), pasted(20)) == pytest.approx(hard / 2, rel=0.1)
    assert change_seam(smooth_picture(), pasted(40, softness=6)) < 0.4 * hard
