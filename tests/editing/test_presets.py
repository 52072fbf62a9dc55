"""Every recipe in configs/edit can be used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from segtalker.config import load_config
from segtalker.dub_config import DubConfig
from segtalker.editing.fitted import read_fitted
from segtalker.editing.frame import FrameEdits
from segtalker.editing.recipe import RecipeFile, at_full, lenders, load_recipe
from segtalker.weights.checkpoint import weights_path

PRESETS = sorted((Path(__file__).parents[2] / "configs" / "edit").glob("*.yaml"))


def test_there_are_presets():
    assert len(PRESETS) >= 10


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_loads_has_a_title_and_does_something(path: Path):
    recipe = load_recipe(path)
    assert load_config(RecipeFile, path).title
    assert any(FrameEdits.at(recipe, t / 25) != FrameEdits() for t in range(100))
    assert DubConfig(edits=recipe).edits == recipe
    assert path.stem == "blink" or at_full(recipe)


def test_directions_and_styles_of_presets_are_those_of_the_shipped_renderer():
    sgi = hashlib.sha256(weights_path("mini", "sgi").read_bytes()).hexdigest()
    recipes = [load_recipe(path) for path in PRESETS]
    fitted = [recipe for recipe in recipes if {"style", "direction"} & {edit.edit for edit in recipe}]
    assert len(fitted) >= 2
    assert all(set(read_fitted(recipe, sgi)) == set(lenders(recipe)) for recipe in fitted)
