"""Recipes: what is read, what is refused, and with what words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from segtalker.config import config_hash, parse_config, to_dict
from segtalker.editing.recipe import (
    Edit,
    RecipeFile,
    at_full,
    check_conflicts,
    check_duration,
    lenders,
    load_recipe,
    references,
)
from segtalker.editing.short import read_edits
from segtalker.errors import ConfigError
from segtalker.regions import Region

TEXT = """
edits:
  - {edit: blink, rate: 0.2}
  - {edit: raise_brows, amount: 0.6, span: [1.0, 2.5], ease: 0.4}
  - {edit: recolour, region: lip, colour: red, amount: 0.7}
  - {edit: texture, region: hair, reference: ref.jpg, keyframes: [[0, 0], [2, 1]]}
"""


def recipe_at(folder: Path, text: str = TEXT) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_is_read_and_finds_references_beside_itself(tmp_path):
    recipe = load_recipe(recipe_at(tmp_path))
    assert [edit.edit for edit in recipe] == ["blink", "raise_brows", "recolour", "texture"]
    assert references(recipe) == [tmp_path / "ref.jpg"] and recipe[3].at is Region.HAIR
    assert recipe[1].strength(1.75) == 0.6 and recipe[1].strength(2.5) == 0
    assert recipe[3].strength(1.0) == 0.5


def test_a_recipe_survives_the_way_to_plain_values_and_back(tmp_path):
    recipe = load_recipe(recipe_at(tmp_path))
    again = parse_config(RecipeFile, to_dict(RecipeFile(edits=recipe))).edits
    assert again == recipe and hash(again) == hash(recipe)
    other = (replace(recipe[0], rate=0.3), *recipe[1:])
    assert config_hash(RecipeFile(edits=again)) == config_hash(RecipeFile(edits=recipe))
    assert config_hash(RecipeFile(edits=other)) != config_hash(RecipeFile(edits=recipe))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("edit: blnk", r"recipe.yaml: edits\[0\]: unknown edit 'blnk'; did you mean 'blink'"),
        (
            "edit: recolour, region: hiar, colour: red",
            r"edits\[0\]: unknown region 'hiar'; did you mean 'hair'",
        ),
        ("edit: recolour, region: background, colour: red", "background"),
        ("edit: recolour, region: hair, colour: blnd", "unknown colour 'blnd'; did you mean 'blond'"),
        ("edit: recolour, region: hair", "recolour needs a colour"),
        ("edit: texture, region: hair", "texture needs a reference"),
        ("edit: direction, region: hair", "direction needs a file"),
        ("edit: direction, region: hair, file: a.safetensors, amount: 2.5", r"2\.5 is outside -2\.\.2"),
        ("edit: style, region: hair, colour: red", "style takes no colour; it takes region, seed, file"),
        ("edit: frown, region: hair", "frown takes no region; it takes amount, span"),
        ("edit: frown, amount: 2", r"amount 2 is outside 0\.\.1"),
        ("edit: frown, spam: [0, 1]", r"did you mean 'edits\[0\].span'"),
        ("edit: frown, span: [2, 1]", "must end after its start"),
        ("edit: frown, span: [-1, 1]", "must not be negative"),
        ("edit: frown, keyframes: [[1, 0], [1, 1]]", "follow one another"),
        ("edit: frown, keyframes: [[1, 0], [2, 3]]", "amount 3 is outside"),
        ("edit: frown, keyframes: [[1, 0]], amount: 0.5", "in place of amount and span"),
        ("edit: blink, rate: 9", "rate 9 is outside"),
        ("edit: blink, rate: 0.2, times: [1]", "not both"),
        ("edit: blink, keyframes: [[1, 0]]", "close_eyes does"),
    ],
)
def test_a_wrong_edit_is_refused_by_file_and_place(line, message, tmp_path):
    with pytest.raises(ConfigError, match=message) as error:
        load_recipe(recipe_at(tmp_path, f"edits:\n  - {{{line}}}\n"))
    assert "recipe.yaml: " in str(error.value) and "edits[0]" in str(error.value)


def test_two_edits_of_one_thing_at_one_time_conflict_and_one_after_the_other_do_not():
    first = Edit(edit="recolour", region="lip", colour="red", span=(0.0, 2.0))
    with pytest.raises(ValueError, match=r"edits\[0\] and edits\[1\] are both recolour of lip at 1.5 s"):
        check_conflicts((first, replace(first, colour="plum", span=(1.5, 3.0))))
    check_conflicts((first, replace(first, colour="plum", span=(2.0, 3.0))))
    check_conflicts((first, replace(first, region="hair")))
    check_conflicts((Edit(edit="blink"), Edit(edit="close_eyes")))  # lids add up to the lower of the two


@pytest.mark.parametrize(
    "edit",
    [
        Edit(edit="frown", span=(5.0, 6.0)),
        Edit(edit="blink", times=(1.0, 5.5)),
        Edit(edit="frown", keyframes=((0.0, 0.0), (7.0, 1.0))),
    ],
)
def test_a_time_outside_the_output_is_refused(edit: Edit):
    with pytest.raises(ConfigError, match=r"edits\[1\] .* lies outside the output, which lasts 4\.00 s"):
        check_duration((Edit(edit="blink"), edit), 4.0)
    check_duration((edit,), 8.0)


def test_directions_of_one_region_may_meet_and_files_are_found_beside_the_recipe(tmp_path):
    lines = "\n".join(
        f"  - {{edit: direction, region: skin, file: {n}.safetensors}}" for n in ("a", "b", "a")
    )
    with pytest.raises(ConfigError, match=r"edits\[0\] and edits\[2\] are both direction of skin"):
        load_recipe(recipe_at(tmp_path, f"edits:\n{lines}"))
    two = load_recipe(recipe_at(tmp_path, f"edits:\n{lines.rsplit(chr(10), 1)[0]}"))
    assert lenders(two) == [(tmp_path / f"{name}.safetensors", 0) for name in "ab"]
    assert not references(two)
    assert at_full(two) == two


def test_short_forms_say_the_same_as_a_file(tmp_path):
    short = read_edits(["blink=0.2/s,raise_brows=0.6:1-2.5", "lip=red@0.7,hair=a/ref.jpg@0.5"])
    assert short == (
        Edit(edit="blink", rate=0.2),
        Edit(edit="raise_brows", amount=0.6, span=(1.0, 2.5)),
        Edit(edit="recolour", region="lip", colour="red", amount=0.7),
        Edit(edit="texture", region="hair", reference=Path("a/ref.jpg"), amount=0.5),
    )
    both = read_edits([str(recipe_at(tmp_path)), "frown"])
    assert len(both) == 5 and both[4] == Edit(edit="frown")
    assert read_edits(["hair=random:7@0.5,lip=random:1-2,skin=a/age.safetensors@-0.8"]) == (
        Edit(edit="style", region="hair", seed=7, amount=0.5),
        Edit(edit="style", region="lip", span=(1.0, 2.0)),
        Edit(edit="direction", region="skin", file=Path("a/age.safetensors"), amount=-0.8),
    )
    assert read_edits(["blink=1.5s"]) == (Edit(edit="blink", times=(1.5,)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blnk=0.2/s", "--edit blnk=0.2/s: there is no edit and no region 'blnk'; did you mean 'blink'"),
        ("hari=red", "did you mean 'hair'"),
        ("hair", "say how it shall look, as in hair=red"),
        ("hair=rde", "did you mean 'red', or a file"),
        ("hair=red@x", "'x' is not a number"),
        ("blink=0.2", "write blink=0.2/s for a rate"),
        ("frown=9", "amount 9 is outside"),
        ("frown:3-1", "must end after its start"),
        ("frown,frown=0.5", r"edits\[0\] and edits\[1\] are both frown"),
    ],
)
def test_a_wrong_short_form_is_refused_with_a_remedy(text, message):
    with pytest.raises(ConfigError, match=message):
        read_edits([text])
