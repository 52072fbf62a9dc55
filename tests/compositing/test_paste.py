import cv2
import numpy as np
import pytest

from segtalker.compositing.paste import PasteConfig, Uncovered, compose, crop_size, frame_alpha, paste
from segtalker.compositing.surroundings import keep_surroundings
from segtalker.faces.align import scale_affine, warp_image
from segtalker.regions import Region, merge_raw
from tests.compositing.test_warp import draw

RNG = np.random.default_rng(3)


def affine(side: float, degrees: float, left: float, top: float) -> np.ndarray:
    """crop_from_frame of a turned square of `side` px whose first corner is at (left, top)."""
    angle = np.radians(degrees)
    linear = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / side
    return np.hstack([linear, -linear @ [[left], [top]]])


@pytest.mark.parametrize("degrees", [0.0, 17.0])
def test_pixels_outside_the_alpha_are_bit_identical(degrees: float) -> None:
    frame = RNG.integers(0, 256, (200, 260, 3), dtype=np.uint8)
    crop_from_frame = affine(120, degrees, 70, 40)
    alpha = paste_test_alpha()
    out = paste(frame, np.full((128, 128, 3), 255.0, np.float32), alpha, crop_from_frame)
    reach = frame_alpha(alpha, crop_from_frame, frame.shape[:2])
    assert np.array_equal(out[reach == 0], frame[reach == 0])
    assert (out[reach > 0.9] > 220).all()
    assert (reach > 0.9).sum() > 500


def test_a_face_half_outside_the_frame_is_pasted_where_it_is_seen() -> None:
    frame = np.zeros((100, 100, 3), np.uint8)
    out = paste(frame, np.full((128, 128, 3), 200.0, np.float32), paste_test_alpha(), affine(100, 0, 45, 40))
    assert out.any()
    off = paste(frame, np.full((128, 128, 3), 200.0, np.float32), paste_test_alpha(), affine(100, 0, 500, 40))
    assert not off.any()


def test_pasting_back_an_untouched_crop_returns_a_smooth_frame() -> None:
    frame = cv2.GaussianBlur(RNG.integers(0, 256, (200, 200, 3), dtype=np.uint8), (0, 0), 4)
    crop_from_frame = affine(110, 5, 40, 50)
    size = crop_size(crop_from_frame, 128)
    crop = warp_image(frame, scale_affine(crop_from_frame, size), (size, size))
    raw = draw(3.0, 50, 128)
    render = np.full((128, 128, 3), 99, np.uint8)
    picture, alpha = compose(crop, raw, merge_raw(raw), render, render)
    out = paste(frame, picture, alpha, crop_from_frame)
    assert np.abs(out.astype(int) - frame).max() <= 2


def test_crops_follow_the_size_of_the_face_within_bounds() -> None:
    cfg = PasteConfig(oversampling=1.0, max_size=512)
    assert crop_size(affine(60, 0, 0, 0), 128, cfg) == 128
    assert crop_size(affine(300, 0, 0, 0), 128, cfg) == 320
    assert crop_size(affine(2000, 0, 0, 0), 128, cfg) == 512


def test_without_detail_transfer_the_networks_picture_is_pasted() -> None:
    raw = draw(3.0, 50, 128)
    crop = RNG.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    render = RNG.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    picture, _ = compose(crop, raw, merge_raw(raw), render, render, PasteConfig(detail_transfer=False))
    assert np.abs(picture - render).max() < 1e-3


def test_what_a_rising_jaw_uncovers_comes_from_the_other_frame() -> None:
    raw, other = draw(9.0, 55, 128), draw(0.0, 49, 128)
    crop = np.full((128, 128, 3), 140, np.uint8)
    plate = np.full((128, 128, 3), 140, np.uint8)
    plate[99:109, 60:68] = (20, 20, 200)  # a necklace that only the other frame shows
    new = merge_raw(other)
    picture, _ = compose(crop, raw, new, crop, crop, None, Uncovered(plate, other))
    bare = (merge_raw(raw) == Region.SKIN) & ~np.isin(new, (Region.SKIN, Region.LIP, Region.NOSE))
    seen = bare & (plate[..., 2] == 200)
    assert seen.sum() > 20
    assert picture[seen][:, 2].mean() > 165
    assert np.abs(picture[:96] - 140).max() < 1


def test_a_beard_over_the_edge_of_the_chin_rises_with_the_jaw() -> None:
    size = 256
    source_raw, new_raw = draw(7.0, 54, 128), draw(1.0, 49, 128)
    face = np.isin(merge_raw(source_raw), (Region.SKIN, Region.LIP, Region.MOUTH, Region.NOSE))
    face = cv2.resize(face.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST)
    hairs = cv2.dilate(face, np.ones((9, 9), np.uint8))  # 4 px beyond the outline of the map
    source = np.full((size, size, 3), 200, np.uint8)
    source[hairs > 0] = 40
    neck = np.full((128, 128, 3), 200, np.uint8)
    neck[np.isin(merge_raw(new_raw), (Region.SKIN, Region.LIP, Region.MOUTH, Region.NOSE))] = 40
    own = cv2.resize(source, (128, 128), interpolation=cv2.INTER_AREA)
    picture, alpha = compose(source, source_raw, merge_raw(new_raw), neck, own)
    out = source + alpha[..., None] * (picture - source)
    middle = out[:, 100:156].mean(axis=(1, 2))
    chin = 4 * 49
    assert (middle[chin - 20 : chin - 8] < 60).all()
    assert (middle[chin + 10 :] > 190).all()  # nothing of the old beard, whose edge was at 4 * 54 + 4


def test_only_the_face_of_a_talking_map_is_taken_over() -> None:
    own, talking = (merge_raw(draw(1.0, chin, 128)) for chin in (54, 49))
    talking[:, :8] = Region.HAIR
    talking[90:, 60:68] = Region.EARS
    own[104:, 30:32] = Region.SKIN
    own[66:68, 40:50] = Region.EYES
    kept = keep_surroundings(talking, own)
    assert (kept[:, :8] == own[:, :8]).all()  # not the face of either
    assert (kept[99:106, 62:66] == Region.NECK).all()  # uncovered by the chin: what lies under it
    assert (kept[110:, 62:66] == own[110:, 62:66]).all()
    assert (kept[112:, 30:32] == Region.SKIN).all()  # a sliver
    assert (kept[66:68, 40:50] == Region.EYES).all() and (talking[66:68, 40:50] == Region.SKIN).all()
    assert (kept[70:95, 50:58] == talking[70:95, 50:58]).all()


def test_the_jaw_keeps_its_outline_beside_the_neck() -> None:
    own, talking = (merge_raw(draw(1.0, chin, 128)) for chin in (56, 48))
    rose = (own == Region.SKIN) & (talking != Region.SKIN) & (np.arange(128)[:, None] > 64)
    beside = np.zeros_like(rose)
    beside[:, :36] = beside[:, 92:] = True
    kept = keep_surroundings(talking, own)
    assert (rose & beside).sum() > 20 and (kept[rose & beside] == Region.SKIN).all()
    assert (kept[rose & ~beside] == Region.NECK).mean() > 0.7
    bare = np.where(
        own == Region.NECK, Region.BACKGROUND, own
    )  # a collar follows at once: nothing to hang on
    assert (keep_surroundings(talking, bare)[rose & beside] == Region.BACKGROUND).mean() > 0.5


def paste_test_alpha() -> np.ndarray:
    alpha = np.zeros((128, 128), np.float32)
    alpha[60:110, 30:100] = 1
    return cv2.blur(alpha, (9, 9)) * cv2.dilate(alpha, np.ones((3, 3)))
