from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segtalker.errors import WeightsError
from segtalker.faces.align import apply_affine, crop_from_landmarks, scale_affine, warp_image
from segtalker.faces.detect import LiteRTFaces
from segtalker.faces.mesh import LIP_IN, OVAL, mean_face
from segtalker.parsing.colours import ColourModel
from segtalker.parsing.draw import draw_face, fill_polygon
from segtalker.parsing.mixture import fit_mixture
from segtalker.parsing.parse import LandmarkParser, ParserConfig, clean_maps, load_parser
from segtalker.regions import Raw, Region, merge_raw

SKIN, HAIR, COAT = (205, 160, 140), (70, 45, 30), (30, 40, 120)


def _drawn_person(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A crop of flat colours with noise, its mesh and matte, and the raw map that it was made from."""
    points = mean_face()[:, :2].astype(np.float64) * size
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    raw = np.zeros((size, size), np.uint8)
    head = ((x - 0.5) / 0.33) ** 2 + ((y - 0.45) / 0.38) ** 2 < 1
    raw[head & (y < 0.52)] = Raw.HAIR
    raw[(y > 0.75) & (np.abs(x - 0.5) < 0.16)] = Raw.NECK
    raw[y > 0.93 - 0.35 * np.maximum(0, np.abs(x - 0.5) - 0.2) + 0.02] = Raw.CLOTH
    draw_face(raw, points)
    colours = np.full((19, 3), 140.0)
    colours[[Raw.SKIN, Raw.NOSE, Raw.NECK]] = SKIN
    colours[[Raw.HAIR, Raw.LEFT_BROW, Raw.RIGHT_BROW]] = HAIR
    colours[Raw.CLOTH] = COAT
    noise = np.random.default_rng(seed).normal(0, 6, (size, size, 3))
    crop = np.clip(colours[raw] + noise, 0, 255).astype(np.uint8)
    return crop, points.astype(np.float32), (raw != 0).astype(np.float32), raw


@pytest.mark.parametrize("size", [128, 200])
def test_a_drawn_person_is_parsed_back(size):
    crop, points, matte, truth = _drawn_person(size)
    parsed = LandmarkParser().parse(crop, points, matte)
    assert parsed.raw.shape == parsed.region_map.shape == parsed.matte.shape == (size, size)
    np.testing.assert_array_equal(parsed.region_map, merge_raw(parsed.raw))
    for label in (Raw.SKIN, Raw.HAIR, Raw.CLOTH, Raw.NECK, Raw.NOSE, Raw.UPPER_LIP, Raw.LOWER_LIP):
        found, wanted = parsed.raw == label, truth == label
        assert (found & wanted).sum() / (found | wanted).sum() > 0.8, label
    np.testing.assert_array_equal(parsed.raw == 0, truth == 0)


def test_parsing_is_pure_once_the_colours_are_fitted():
    people = [_drawn_person(128, seed) for seed in range(3)]
    parser = LandmarkParser()
    colours = parser.fit(*([p[k] for p in people] for k in range(3)))
    crop, points, matte, _ = people[1]
    first = parser.parse(crop, points, matte, colours).raw
    parser.parse(*people[0][:3], colours)
    restored = ColourModel.from_arrays(colours.to_arrays())
    np.testing.assert_array_equal(parser.parse(crop, points, matte, restored).raw, first)


def test_a_bald_person_without_a_visible_coat_gets_neither_hair_nor_cloth():
    crop, points, matte, truth = _drawn_person(128)
    bald = crop.copy()
    bald[(truth == Raw.HAIR) | (truth == Raw.CLOTH)] = SKIN
    parsed = LandmarkParser().parse(bald, points, matte)
    assert (parsed.raw == Raw.HAIR).mean() < 0.01 and (parsed.raw == Raw.CLOTH).mean() < 0.03


@pytest.mark.parametrize("shift", [(0, 0), (500, 0), (0, -90)])
def test_flat_pictures_and_faces_off_the_crop_do_not_crash(shift):
    points = (mean_face()[:, :2] * 128 + shift).astype(np.float32)
    black = np.zeros((128, 128, 3), np.uint8)
    for matte in (None, np.zeros((128, 128), np.float32)):
        assert LandmarkParser().parse(black, points, matte).raw.shape == (128, 128)


def test_a_mixture_finds_two_colours_and_their_weights():
    rng = np.random.default_rng(0)
    samples = np.concatenate([rng.normal(60, 8, (3000, 3)), rng.normal(180, 12, (1000, 3))])
    mixture = fit_mixture(samples, 2)
    order = mixture.means[:, 0].argsort()
    np.testing.assert_allclose(mixture.means[order], [[60] * 3, [180] * 3], atol=2)
    grid = np.stack(np.meshgrid(*[np.arange(0, 256, 8.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    assert np.exp(mixture.log_density(grid)).sum() * 8**3 == pytest.approx(1, abs=0.02)
    assert (
        mixture.log_density(np.array([[60.0] * 3]))[0] > mixture.log_density(np.array([[120.0] * 3]))[0] + 5
    )


def test_a_mixture_of_hardly_any_samples_is_one_gaussian():
    assert fit_mixture(np.full((1, 3), 9.0), 3).means.shape == (1, 3)


def test_the_bisenet_parser_without_its_weights_says_where_they_are(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path))
    with pytest.raises(
        WeightsError,
        match=r"bisenet\.safetensors is missing.*non-commercial.*segtalker weights (fetch|import)",
    ):
        load_parser(ParserConfig(backend="bisenet"))
    assert isinstance(load_parser(ParserConfig(backend="auto")), LandmarkParser)
    assert isinstance(load_parser(), LandmarkParser)


@pytest.fixture(scope="module")
def backend() -> LiteRTFaces:
    try:
        return LiteRTFaces()
    except WeightsError as error:
        pytest.skip(str(error))


def _cut(backend: LiteRTFaces, image: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    face = backend.detect(image)[0]
    crop_from_frame = scale_affine(crop_from_landmarks(face.landmarks), size)
    crop = warp_image(image, crop_from_frame, (size, size))
    landmarks = apply_affine(crop_from_frame, face.landmarks).astype(np.float32)
    return crop, landmarks, backend.matte(crop)


def _share(region_map: np.ndarray, region: Region, rows: slice, columns: slice) -> float:
    return float((region_map[rows, columns] == region).mean())


@pytest.mark.weights
def test_a_real_portrait_has_its_regions_where_they_are(backend):
    portrait = pytest.importorskip("skimage.data").astronaut()
    crop, landmarks, matte = _cut(backend, portrait, 128)
    region_map = LandmarkParser().parse(crop, landmarks, matte).region_map
    present = {Region.HAIR, Region.SKIN, Region.NECK, Region.LIP, Region.MOUTH, Region.EYES, Region.NOSE}
    assert present <= set(np.unique(region_map))
    assert _share(region_map, Region.HAIR, slice(8, 30), slice(40, 88)) > 0.95
    assert _share(region_map, Region.SKIN, slice(45, 52), slice(50, 78)) > 0.5  # forehead: no islands of hair
    assert _share(region_map, Region.BACKGROUND, slice(0, 20), slice(0, 6)) == 1
    # The dark ring of the suit under the neck is cloth, which is background in a region map.
    assert _share(region_map, Region.NECK, slice(124, 128), slice(30, 98)) < 0.35
    assert _share(region_map, Region.NECK, slice(116, 119), slice(54, 74)) > 0.9


@pytest.mark.weights
def test_the_same_portrait_mirrored_gives_the_mirrored_map(backend):
    portrait = pytest.importorskip("skimage.data").astronaut()
    parser = LandmarkParser()
    a, b = (
        parser.parse(*_cut(backend, image, 128)).region_map
        for image in (portrait, np.ascontiguousarray(portrait[:, ::-1]))
    )
    assert (a == b[:, ::-1]).mean() > 0.93


@pytest.mark.weights
def test_glasses_and_a_hat_do_not_disturb_the_inner_face(backend):
    matplotlib, cv2 = pytest.importorskip("matplotlib"), pytest.importorskip("cv2")
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    crop, landmarks, matte = _cut(backend, np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1]), 128)
    parsed = LandmarkParser().parse(crop, landmarks, matte)
    oval = np.zeros((128, 128), np.uint8)
    fill_polygon(oval, landmarks[list(OVAL)], 1)
    lower = (oval == 1) & (np.arange(128)[:, None] > 64)
    assert not np.isin(parsed.region_map[lower], (Region.HAIR, Region.BACKGROUND, Region.EYE_GLASS)).any()
    assert (parsed.region_map == Region.MOUTH).sum() < 30  # closed lips


@pytest.mark.weights
def test_cleaned_maps_of_a_shaken_portrait_flicker_less(backend):
    """The share of pixels that change and change back, over a still face with sensor noise."""
    portrait = pytest.importorskip("skimage.data").astronaut()
    rng = np.random.default_rng(0)
    parser, cuts = LandmarkParser(), []
    for _ in range(12):
        noisy = np.clip(portrait + rng.normal(0, 8, portrait.shape), 0, 255).astype(np.uint8)
        cuts.append(_cut(backend, noisy, 128))
    colours = parser.fit(*zip(*cuts[::3], strict=True))
    raws = np.stack([parser.parse(*cut, colours).raw for cut in cuts])

    def flicker(maps: np.ndarray) -> float:
        return float(((maps[1:-1] != maps[:-2]) & (maps[1:-1] != maps[2:])).mean())

    print(f"flicker {flicker(raws):.4f} -> {flicker(clean_maps(raws)):.4f}")
    assert flicker(clean_maps(raws)) < 0.6 * flicker(raws)
    assert flicker(clean_maps(raws)) < 0.01


@pytest.mark.weights
def test_fitted_colours_are_used_as_they_are(backend, monkeypatch):
    portrait = pytest.importorskip("skimage.data").astronaut()
    cut = _cut(backend, portrait, 128)
    parser = LandmarkParser()
    expected = parser.parse(*cut).raw
    colours = parser.fit(*([part] for part in cut))
    monkeypatch.setattr("segtalker.parsing.parse.fit_colours", None)  # the slow part, once a track
    np.testing.assert_array_equal(parser.parse(*cut, colours).raw, expected)


@pytest.mark.weights
def test_the_mouth_of_a_real_smile_is_the_inner_lip_contour(backend):
    portrait = pytest.importorskip("skimage.data").astronaut()
    crop, landmarks, matte = _cut(backend, portrait, 256)
    expected = np.zeros((256, 256), np.uint8)
    fill_polygon(expected, landmarks[list(LIP_IN)], 1)
    found = LandmarkParser().parse(crop, landmarks, matte).raw == Raw.MOUTH
    assert expected.sum() > 100
    np.testing.assert_array_equal(found, expected == 1)
