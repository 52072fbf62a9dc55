"""Fitting directions and styles to folders of pictures, with small random networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from segtalker.cli import main
from segtalker.directions import People, difference, fit_direction, fit_styles, spread, told_apart
from segtalker.editing.fitted import Fitted
from segtalker.editing.short import read_edits
from segtalker.errors import ConfigError, FaceNotFound, WeightsError
from segtalker.local_stages import LocalStages
from segtalker.regions import NUM_REGIONS, Region
from segtalker.retouch import edit
from tests.dubbing import SKIN, BlobFaces, blank_frame, talking_frame
from tests.test_pipeline import tiny  # noqa: F401  the fixture

RNG = np.random.default_rng(0)


def people(shift: float, count: int = 12, names: tuple[str, ...] = ()) -> People:
    """Random codes, those of the hair moved; nobody shows ear-rings, three show glasses."""
    codes = RNG.normal(size=(count, NUM_REGIONS, 2, 3)).astype(np.float32)
    codes[:, Region.HAIR] += shift
    shown = np.ones((count, NUM_REGIONS), bool)
    shown[:, Region.EAR_RINGS] = False
    shown[3:, Region.EYE_GLASS] = False
    return People(codes, shown, names or tuple(f"{RNG.random()}" for _ in codes), ())


def test_a_direction_leads_from_the_mean_of_one_set_to_that_of_the_other():
    before, after = people(0.0), people(3.0)
    direction, counts = difference(before, after)
    expected = after.codes[:, Region.HAIR].mean(0) - before.codes[:, Region.HAIR].mean(0)
    np.testing.assert_allclose(direction[Region.HAIR], expected, rtol=1e-5)
    assert counts[Region.HAIR] == 12 and counts[Region.EAR_RINGS] == counts[Region.EYE_GLASS] == 0
    assert not direction[[Region.EAR_RINGS, Region.EYE_GLASS]].any()


def test_only_codes_that_show_a_region_count():
    before, after = people(0.0), people(0.0)
    after.shown[6:, Region.LIP] = False
    after.codes[6:, Region.LIP] = 1e3
    direction, counts = difference(before, after)
    assert counts[Region.LIP] == 6 and np.abs(direction[Region.LIP]).max() < 5


def test_what_differs_is_told_apart_and_what_does_not_is_not():
    apart = told_apart(people(0.0, 40), people(1.5, 40))
    assert apart["hair"] > 0.95 and "ear_rings" not in apart
    assert all(0.2 < share < 0.8 for name, share in apart.items() if name != "hair")


def test_pictures_of_one_name_are_compared_with_each_other():
    names = tuple("abcdefgh")
    before, other = people(0.0, 8, names), people(0.0, 8)
    moved = before.codes + 0.05  # far less than people differ by
    assert told_apart(before, replace(before, codes=moved))["skin"] == 1.0
    assert told_apart(before, replace(before, codes=moved, names=other.names))["skin"] < 0.8


def test_styles_spread_as_the_people_do_and_absent_regions_lie_at_the_mean():
    seen = people(0.0, 30)
    mean, components, share = spread(seen, 29)
    assert share == pytest.approx(1.0) and components.shape == (29, NUM_REGIONS, 2, 3)
    hair = seen.codes[:, Region.HAIR].reshape(30, -1)
    np.testing.assert_allclose(mean[Region.HAIR].ravel(), hair.mean(0), atol=1e-5)
    drawn = components[:, Region.HAIR].reshape(29, -1)
    np.testing.assert_allclose(drawn.T @ drawn, np.cov(hair.T), atol=1e-4)
    assert not components[:, Region.EAR_RINGS].any()
    assert len(spread(seen, 4)[1]) == 4 and spread(seen, 4)[2] < 0.9


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """Five pale and five dark faces, and one picture without a face."""
    root = tmp_path_factory.mktemp("faces")
    for name, shade in (("pale", 10), ("dark", -12)):
        (root / name).mkdir()
        for i in range(5):
            colour = tuple(value + shade for value in SKIN)
            image = talking_frame(i, (200, 160), height=100, colour=colour)
            cv2.imwrite(str(root / name / f"{i}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(root / "dark" / "none.png"), blank_frame())
    return root / "pale", root / "dark"


def test_a_direction_is_fitted_to_folders_and_applied_to_a_picture(tiny, folders, tmp_path):  # noqa: F811
    stages, output = LocalStages(tiny, BlobFaces()), tmp_path / "shade.safetensors"
    said = fit_direction(tiny, *folders, output, stages, quiet=True)
    assert "from 5 pictures in" in said and "none.png: no face" in said and "skin 100%" in said
    assert Fitted.load(output, "direction").sgi == stages.networks.hashes["sgi"]
    source, pictures = folders[0] / "0.png", {}
    for amount in (0, 1, -1):
        cfg = replace(tiny, edits=read_edits([f"skin={output}@{amount}"]))
        edit(cfg, source, tmp_path / "out.png", stages, quiet=True)
        pictures[amount] = cv2.imread(str(tmp_path / "out.png")).astype(int)
    assert np.array_equal(pictures[0], cv2.imread(str(source)))
    assert (pictures[1] != pictures[0]).any() and (pictures[-1] != pictures[0]).any()
    assert (pictures[1] != pictures[-1]).any()


def test_styles_are_fitted_to_a_folder_and_drawn_from(tiny, folders, tmp_path):  # noqa: F811
    stages, output = LocalStages(tiny, BlobFaces()), tmp_path / "styles.safetensors"
    said = fit_styles(tiny, folders[0], output, 3, stages, quiet=True)
    assert said.startswith(f"styles: {output}, 3 components with ")
    recipe = tuple(replace(one, file=output) for one in read_edits(["hair=random:7"]))
    edit(replace(tiny, edits=recipe), folders[0] / "0.png", tmp_path / "out.png", stages, quiet=True)
    assert (cv2.imread(str(tmp_path / "out.png")) != cv2.imread(str(folders[0] / "0.png"))).any()
    shipped = replace(tiny, edits=read_edits(["hair=random:7"]))
    with pytest.raises(WeightsError, match="style of hair: fitted to the codes of another renderer"):
        edit(shipped, folders[0] / "0.png", tmp_path / "none.png", stages, quiet=True)


def test_folders_that_cannot_be_fitted_to_are_refused(tiny, folders, tmp_path, capsys):  # noqa: F811
    (tmp_path / "blank").mkdir()
    for i in range(4):
        cv2.imwrite(str(tmp_path / "blank" / f"{i}.png"), blank_frame())
    (tmp_path / "empty").mkdir()
    stages, pale = LocalStages(tiny, BlobFaces()), folders[0]

    def fit(second: Path, name: str = "out.safetensors") -> None:
        fit_direction(tiny, pale, second, tmp_path / name, stages, quiet=True)

    with pytest.raises(FaceNotFound, match=r"blank: 0 of 4 files show a face, at least 4 must\. .*no face"):
        fit(tmp_path / "blank")
    with pytest.raises(ConfigError, match="empty: holds 0 files; at least 4 pictures"):
        fit(tmp_path / "empty")
    with pytest.raises(ConfigError, match="nowhere: there is no such folder"):
        fit(tmp_path / "nowhere")
    with pytest.raises(
        ConfigError, match=r"give a name that ends in \.safetensors, such as out\.safetensors"
    ):
        fit(folders[1], "out.npz")
    words = ["directions", "styles", str(pale), "-o", str(tmp_path / "s.safetensors"), "--components", "0"]
    assert main(words) == ConfigError.exit_code
    assert "--components must be at least 1" in capsys.readouterr().err
