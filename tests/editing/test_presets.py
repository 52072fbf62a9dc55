"""Every recipe in configs/edit can be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtalker.config import load_config
from segtalker.dub_config import DubConfig
from segtalker.editing.frame import FrameEdits
from segtalker.editing.recipe import RecipeFile, at_full, load_recipe

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
