import cv2
import numpy as np
import pytest

from segtalker.compositing.curves import measure_curves
from segtalker.compositing.surroundings import keep_surroundings
from segtalker.compositing.warp import face_warp, open_mouth
from segtalker.regions import Raw, Region, merge_raw

SIDE = 64


def draw(opening: float, chin: float = 52.0, size: int = SIDE) -> np.ndarray:
    """Raw map of a simple face: the mouth `opening` px high at 64 px, the chin at row `chin`."""
    scale = size / SIDE
    y, x = (np.mgrid[:size, :size] + 0.5) / scale
    raw = np.full((size, size), int(Raw.BACKGROUND), np.uint8)
    raw[(abs(x - 32) < 12) & (y > 36)] = Raw.NECK
    raw[y > 60] = Raw.CLOTH
    raw[((x - 32) / 18) ** 2 + ((y - 28) / (chin - 28)) ** 2 < 1] = Raw.SKIN
    raw[(abs(x - 32) < 4) & (y > 24) & (y < 36)] = Raw.NOSE
    across = np.clip(1 - ((x - 32) / 9) ** 2, 0, 1)
    seam = 41.0
    inside = abs(x - 32) < 9
    raw[inside & (y > seam - 3 * across) & (y <= seam)] = Raw.UPPER_LIP
    raw[inside & (y > seam) & (y < seam + (3 + opening) * across)] = Raw.LOWER_LIP
    raw[inside & (y > seam) & (y < seam + opening * across)] = Raw.MOUTH
    return raw


def lip_iou(first: np.ndarray, second: np.ndarray, trust: np.ndarray) -> float:
    """Intersection over union of the lips where the warp is trusted."""
    lips = [(one == Region.LIP) & (trust > 0.5) for one in (first, second)]
    return float((lips[0] & lips[1]).sum() / (lips[0] | lips[1]).sum())


def test_curves_find_the_edges_of_lips_mouth_and_chin() -> None:
    curves = measure_curves(merge_raw(draw(8.0, size=256)))
    middle = 128
    assert curves.mouth_top[middle] * 64 == pytest.approx(41.0, abs=0.3)
    assert curves.mouth_bottom[middle] * 64 == pytest.approx(49.0, abs=0.3)
    assert curves.lip_top[middle] * 64 == pytest.approx(38.0, abs=0.3)
    assert curves.opening * 64 == pytest.approx(8.0, abs=0.3)
    assert curves.chin[middle] * 64 == pytest.approx(52.0, abs=0.3)
    assert curves.corners[0] * 64 == pytest.approx(23.0, abs=0.4)


def test_the_same_map_moves_nothing_and_trusts_everything() -> None:
    raw = draw(6.0)
    warp = face_warp(raw, merge_raw(raw), SIDE)
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert np.abs(warp(picture).astype(int) - picture).max() <= 1
    assert warp.trust.min() == 1


@pytest.mark.parametrize(("before", "after"), [(8.0, 2.0), (2.0, 0.0), (0.0, 5.0), (3.0, 9.0)])
def test_the_warped_map_of_the_source_agrees_with_the_new_map(before: float, after: float) -> None:
    source, new = draw(before, 48 + before / 2, 128), merge_raw(draw(after, 48 + after / 2, 128))
    warp = face_warp(source, new, 128)
    moved = merge_raw(warp(source, cv2.INTER_NEAREST))
    assert lip_iou(moved, new, warp.trust) > max(0.75, lip_iou(merge_raw(source), new, warp.trust))
    face = (Region.SKIN, Region.LIP, Region.MOUTH, Region.NOSE)
    below = np.arange(128)[:, None] > 80
    assert np.mean((np.isin(moved, face) != np.isin(new, face))[np.broadcast_to(below, new.shape)]) < 0.03


def test_a_mouth_that_was_closed_is_not_trusted_and_skin_is() -> None:
    new = merge_raw(draw(9.0, 54, 128))
    trust = face_warp(draw(0.0, 50, 128), new, 128).trust
    eroded = cv2.erode((new == Region.MOUTH).astype(np.uint8), np.ones((3, 3))) > 0
    assert trust[eroded].mean() < 0.05
    assert trust[new == Region.SKIN].mean() > 0.98


def test_a_closing_mouth_shows_no_teeth() -> None:
    source = draw(9.0, 54, 128)
    teeth = (source == Raw.MOUTH).astype(np.float32)
    shown = face_warp(source, merge_raw(draw(0.0, 50, 128)), 128)(teeth)
    assert shown.sum() < 0.03 * teeth.sum()


def test_a_patterned_collar_below_bare_neck_stays_where_it_is() -> None:
    source = draw(9.0, 54, 128)
    stripes = np.repeat((np.arange(128) % 6 < 3)[None] * 255, 128, 0).astype(np.uint8)
    collar = np.arange(128)[:, None] * np.ones((1, 128)) > 121
    moved = face_warp(source, merge_raw(draw(0.0, 49, 128)), 128)(stripes)
    assert np.array_equal(moved[collar], stripes[collar])


@pytest.mark.parametrize("rise", [2.0, 5.0, 7.0])
def test_a_rising_chin_uncovers_neck_and_no_collar(rise: float) -> None:
    source = draw(7.0, chin=55.0, size=128)
    new = draw(1.0, chin=55.0 - rise, size=128)
    warped = face_warp(source, merge_raw(new), 256)(draw(7.0, 55.0, 256), cv2.INTER_NEAREST)
    under = warped[int(4 * (55 - rise)) + 4 : 4 * 60 - 4, 112:144]
    assert not np.isin(under, (Raw.CLOTH, Raw.BACKGROUND)).any()
    assert (under == Raw.NECK).mean() > 0.9


def test_a_rising_chin_draws_no_background_into_face_and_neck() -> None:
    source = draw(8.0, 54, 128)
    new = keep_surroundings(merge_raw(draw(0.0, 50, 128)), merge_raw(source))
    light = np.where(source == Raw.BACKGROUND, 255, 0).astype(np.float32)
    person = cv2.erode((light == 0).astype(np.uint8), np.ones((3, 3))) > 0
    assert face_warp(source, new, 128)(light)[person].max() < 128


def test_a_collar_at_the_chin_is_mirrored_and_not_smeared() -> None:
    source = draw(9.0, 54, 128)
    source[(source == Raw.NECK) | (source == Raw.CLOTH)] = Raw.CLOTH
    bands = np.repeat((np.arange(128) % 4 < 2)[:, None] * 255, 128, 1).astype(np.uint8)
    new = merge_raw(draw(0.0, 49, 128))
    moved = face_warp(source, new, 128)(bands)[:, 64].astype(int)
    uncovered = np.flatnonzero((merge_raw(source)[:, 64] == Region.SKIN) & (new[:, 64] != Region.SKIN))
    uncovered = uncovered[uncovered > 98]
    # Bands keep their pitch: about as many edges in the uncovered rows as anywhere else in the collar.
    assert np.count_nonzero(np.abs(np.diff(moved[uncovered])) > 60) >= len(uncovered) // 2 - 3
    assert np.array_equal(moved[112:], bands[112:, 64])


def test_opening_a_map_opens_its_mouth_by_what_was_asked() -> None:
    raw = draw(2.0, 50, 128)
    before = measure_curves(merge_raw(raw)).opening
    wider, warp = open_mouth(raw, 0.08)
    assert measure_curves(wider).opening == pytest.approx(before + 0.08, abs=0.02)
    assert (warp.trust < 0.5).sum() > 20
    closed, _ = open_mouth(raw, -0.2)
    assert not (closed == Region.MOUTH).any()


def test_a_map_without_a_mouth_moves_nothing() -> None:
    raw = draw(4.0)
    bare = merge_raw(raw)
    bare[(bare == Region.LIP) | (bare == Region.MOUTH)] = Region.SKIN
    warp = face_warp(raw, bare, SIDE)
    assert np.allclose(warp.map_y, np.arange(SIDE)[:, None])
