import cv2
import numpy as np
import pytest

from segtalker.compositing.blend import FACE
from segtalker.compositing.detail import DetailConfig, transfer_detail
from segtalker.compositing.warp import face_warp
from segtalker.regions import Region, merge_raw
from tests.compositing.test_warp import draw

RNG = np.random.default_rng(1)


def pictures(opening: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Textured source, its raw map, and a network that knows only the mean of everything."""
    raw = draw(opening, 50, 128)
    source = np.clip(120 + 40 * RNG.standard_normal((128, 128, 3)), 0, 255).astype(np.float32)
    return source, raw, np.full((128, 128, 3), 120, np.float32)


def test_the_source_map_returns_the_source() -> None:
    source, raw, render = pictures(4.0)
    own = merge_raw(raw)
    out = transfer_detail(source, face_warp(raw, own, 128), render, render, own)
    assert np.abs(out - source).max() < 1.0


def test_no_strength_returns_the_network() -> None:
    source, raw, render = pictures(4.0)
    new = merge_raw(draw(8.0, 53, 128))
    other = RNG.uniform(0, 255, (128, 128, 3)).astype(np.float32)
    warp = face_warp(raw, new, 128)
    out = transfer_detail(source, warp, other, render, new, DetailConfig(strength=0.0))
    assert np.abs(out - other).max() < 1e-3


def test_a_mouth_that_the_source_never_showed_is_the_networks() -> None:
    source, raw, render = pictures(0.0)
    source[:] = 120
    new = merge_raw(draw(9.0, 54, 128))
    painted = render.copy()
    painted[new == Region.MOUTH] = (200, 40, 40)
    out = transfer_detail(source, face_warp(raw, new, 128), painted, render, new)
    inside = cv2.erode((new == Region.MOUTH).astype(np.uint8), np.ones((7, 7))) > 0
    assert np.abs(out[inside] - (200, 40, 40)).mean() < 12


def test_what_the_network_gets_wrong_everywhere_is_corrected_in_the_new_mouth_too() -> None:
    source, raw, render = pictures(0.0)
    source[:] = 150  # the network paints this person 30 levels too dark
    new = merge_raw(draw(9.0, 54, 128))
    out = transfer_detail(source, face_warp(raw, new, 128), render, render, new)
    assert out[new == Region.MOUTH].mean() == pytest.approx(150, abs=4)


def test_scenery_that_the_network_does_not_know_leaves_no_light_on_the_face() -> None:
    source, raw, render = pictures(0.0)
    source[:] = 120
    source[~FACE[merge_raw(raw)]] = 250  # painted 130 levels too dark; the face is exact
    new = merge_raw(draw(9.0, 54, 128))
    out = transfer_detail(source, face_warp(raw, new, 128), render, render, new)
    assert np.abs(out[np.isin(new, (Region.LIP, Region.MOUTH))] - 120).mean() < 4
    assert np.abs(out[:12] - 250).max() < 1


def test_skin_keeps_source_resolution_above_a_small_network() -> None:
    raw, new = draw(0.0, 50, 64), merge_raw(draw(6.0, 53, 64))
    source = RNG.uniform(0, 255, (256, 256, 3)).astype(np.float32)
    render = np.full((64, 64, 3), 128, np.float32)
    out = transfer_detail(source, face_warp(raw, new, 256), render, render, new)
    assert np.abs(out[:100] - source[:100]).mean() < 4
