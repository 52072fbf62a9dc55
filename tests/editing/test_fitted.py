"""Files of directions and styles: what they hold, whom they serve, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from segtalker.editing.fitted import Fitted, check_fitted, read_fitted
from segtalker.editing.recipe import Edit
from segtalker.editing.short import read_edits
from segtalker.errors import ConfigError, SegTalkerError, WeightsError
from segtalker.regions import NUM_REGIONS, Region
from segtalker.weights.checkpoint import load_weights, weights_path

RNG = np.random.default_rng(0)
DIRECTION = RNG.normal(size=(NUM_REGIONS, 3, 4)).astype(np.float32)
COMPONENTS = RNG.normal(size=(5, NUM_REGIONS, 3, 4)).astype(np.float32)
COUNTS = tuple(0 if region is Region.EAR_RINGS else 9 for region in Region)
NETWORK = "a" * 64


@pytest.fixture
def beard(tmp_path) -> Path:
    path = tmp_path / "beard.safetensors"
    Fitted("direction", {"direction": DIRECTION}, NETWORK, COUNTS, {"first": "a"}).save(path)
    return path


@pytest.fixture
def styles(tmp_path) -> Path:
    path = tmp_path / "styles.safetensors"
    Fitted("style", {"mean": DIRECTION, "components": COMPONENTS}, NETWORK, COUNTS, {}).save(path)
    return path


def test_a_direction_survives_its_file_and_lends_what_one_of_it_adds(beard):
    loaded = Fitted.load(beard, "direction")
    assert (loaded.sgi, loaded.counts, loaded.info) == (NETWORK, COUNTS, {"first": "a"})
    lent = read_fitted(read_edits([f"skin={beard}@0.3,lip={beard}", "frown"]), NETWORK)
    assert list(lent) == [(beard, 0)] and np.array_equal(lent[beard, 0], DIRECTION)
    assert [path.name for path in beard.parent.iterdir()] == ["beard.safetensors"]


def test_a_number_always_draws_the_same_person_with_the_spread_of_the_styles(styles):
    recipe = tuple(Edit(edit="style", region=name, seed=7, file=styles) for name in ("hair", "eyebrows"))
    lent = read_fitted(recipe, NETWORK)
    assert list(lent) == [(styles, 7)]
    fitted = Fitted.load(styles, "style")
    assert np.array_equal(lent[styles, 7], fitted.draw(7)) and (fitted.draw(7) != fitted.draw(8)).any()
    people = np.stack([fitted.draw(seed) for seed in range(800)])
    np.testing.assert_allclose(people.mean(0), DIRECTION, atol=0.35)
    spread = np.sqrt(np.square(COMPONENTS).sum(0))
    assert 0.8 < float(np.median(people.std(0) / spread)) < 1.0  # the ends of the Gaussians are cut off


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("skin=nowhere.safetensors", r"nowhere\.safetensors: there is no such direction\. Fit one with 'seg"),
        (
            "ear_rings={beard}",
            r"safetensors: direction of ear_rings: its pictures showed no ear_rings",
        ),
        ("skin={styles}", r"styles\.safetensors: holds no direction \(format 'segtalker-style-1'\)"),
        ("skin={broken}", r"broken\.safetensors: cannot be read"),
    ],
)
def test_what_is_no_direction_for_a_region_is_refused(text, message, beard, styles, tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(beard.read_bytes()[:50])
    recipe = read_edits([text.format(beard=beard, styles=styles, broken=broken)])
    with pytest.raises(SegTalkerError, match=message) as error:
        read_fitted(recipe, NETWORK)
    assert isinstance(error.value, (ConfigError, WeightsError)) and "\n" not in str(error.value)


def test_a_direction_of_another_renderer_is_refused_in_one_line(beard):
    message = r"direction of skin: fitted to the codes of another renderer \(aaaaaaaa, not bbbbbbbb\)"
    with pytest.raises(WeightsError, match=message) as error:
        read_fitted(read_edits([f"skin={beard}"]), "b" * 64)
    assert "\n" not in str(error.value)
    assert check_fitted(beard, "direction")["sgi"] == NETWORK  # readable all the same


def test_the_styles_that_are_shipped_are_of_the_renderer_that_is_shipped():
    sgi = weights_path("mini", "sgi")
    lent = read_fitted(read_edits(["hair=random:3"]), hashlib.sha256(sgi.read_bytes()).hexdigest())
    drawn = lent[None, 3]
    assert drawn.shape[1:] == load_weights(sgi, "sgi").latent_avg.shape and np.isfinite(drawn).all()
