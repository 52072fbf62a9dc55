import numpy as np
import pytest

from segtalker.compositing.blend import paste_alpha, seam
from segtalker.regions import Raw, Region, merge_raw
from tests.compositing.test_warp import draw


def test_alpha_is_full_on_lips_and_zero_on_clothes_and_the_upper_face() -> None:
    raw = draw(4.0, 52, 128)
    alpha = paste_alpha(raw, merge_raw(draw(8.0, 54, 128)))
    region = merge_raw(raw)
    assert alpha[region == Region.LIP].min() > 0.95
    assert alpha[raw == Raw.CLOTH].max() == 0
    assert alpha[:48].max() == 0


def test_alpha_rises_softly() -> None:
    raw = draw(4.0, 52, 128)
    alpha = paste_alpha(raw, merge_raw(raw))
    assert np.abs(np.diff(alpha, axis=0)).max() < 0.6
    assert np.abs(np.diff(alpha, axis=1)).max() < 0.6


def test_the_whole_face_reaches_the_forehead() -> None:
    raw = draw(4.0, 52, 128)
    alpha = paste_alpha(raw, merge_raw(raw), mode="face")
    assert alpha[30, 64] == 1
    assert alpha[127].max() == 0


def test_a_falling_chin_hangs_in_front_of_the_collar_but_a_hand_at_the_mouth_stays() -> None:
    raw = draw(0.0, 50, 128)
    raw[100:] = Raw.CLOTH
    raw[76:82, 42:52] = Raw.CLOTH  # something held before the cheek
    new = merge_raw(draw(10.0, 58, 128))
    alpha = paste_alpha(raw, new)
    assert alpha[108, 64] > 0.5
    assert alpha[76:82, 42:52].max() == 0
    assert alpha[124:].max() == 0


def test_seam_sees_a_hard_edge_and_not_a_soft_one() -> None:
    before = np.full((64, 64, 3), 100, np.uint8)
    raw = draw(2.0)
    alpha = paste_alpha(raw, merge_raw(raw), feather=0.1)
    soft = before + (alpha * 30)[..., None]
    hard = before + ((alpha > 0.2) * 30)[..., None]
    assert seam(before, before, alpha) == 0
    assert seam(before, hard.astype(np.uint8), alpha) > 1.5 * seam(before, soft.astype(np.uint8), alpha)
    assert seam(before, before, np.zeros((64, 64), np.float32)) == pytest.approx(0)
