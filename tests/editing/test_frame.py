"""What a recipe does to one frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segtalker.editing.frame import FrameEdits, Own, edit_frame
from segtalker.editing.plan import EditPlan
from segtalker.editing.short import read_edits
from segtalker.editing.texture import blend_codes, covered
from segtalker.regions import Region
from tests.editing.faces import SIZE, face_map, mesh

CODES = np.zeros((12, 4, 8), np.float32)
REFERENCE = np.random.default_rng(0).normal(size=CODES.shape).astype(np.float32)
FULL = np.array([[1 / 200, 0.0, 0.0], [0.0, 1 / 200, 0.0]])


def at(text: str, time_s: float = 0.5) -> FrameEdits:
    return FrameEdits.at(read_edits([text]), time_s)


def test_strengths_are_those_of_the_time_and_lids_take_the_lower_of_two():
    edits = at("blink=0.45s,close_eyes=0.3,raise_brows=0.5:2-3,frown=0.2,lip=red@0.4,hair=red@0")
    assert abs(edits.closure - 0.5) < 1e-6 and edits.raised == 0 and edits.knitted == 0.2
    assert [(edit.region, strength) for edit, strength in edits.looks] == [("lip", 0.4)]
    assert edits.moving and not edits.mouth and not edits.textures
    assert at("open_mouth=0.4").mouth and not FrameEdits().moving


def test_a_region_takes_its_codes_from_the_reference_and_all_others_keep_theirs():
    half = blend_codes(CODES, REFERENCE, covered(Region.HAIR), 0.5)
    assert np.allclose(half[Region.HAIR], REFERENCE[Region.HAIR] / 2)
    assert not np.delete(half, Region.HAIR, 0).any() and not CODES.any()
    assert {Region.NOSE, Region.NECK} <= set(covered(Region.SKIN))


def test_codes_follow_keyframes_over_time():
    references = {(Path("a/ref.jpg"), 0): REFERENCE}
    edits = [at("lip=a/ref.jpg@0.8:0-4", time) for time in (0.125, 1.0)]
    codes = [edit.codes(CODES, references)[Region.LIP] for edit in edits]
    assert np.allclose(codes[0], 0.4 * REFERENCE[Region.LIP], atol=1e-6)
    assert np.allclose(codes[1], 0.8 * REFERENCE[Region.LIP], atol=1e-6)


def test_directions_add_up_and_go_both_ways_and_a_style_is_blended_in():
    other = (None, 7)
    lent = {(Path("a.safetensors"), 0): REFERENCE, (Path("b.safetensors"), 0): CODES + 1, other: REFERENCE}
    both = at("skin=a.safetensors@0.5,skin=b.safetensors@-2")
    assert np.allclose(both.codes(CODES, lent)[Region.NOSE], 0.5 * REFERENCE[Region.NOSE] - 2)
    assert not np.delete(both.codes(CODES, lent), list(covered(Region.SKIN)), 0).any()
    drawn = at("hair=random:7@0.25").codes(CODES + 1, lent)[Region.HAIR]
    assert np.allclose(drawn, 0.75 + 0.25 * REFERENCE[Region.HAIR])
    assert not at("skin=a.safetensors@0,hair=random@0").looks


def test_edits_of_codes_change_the_picture_once_by_what_their_codes_change():
    image, region_map = np.full((200, 200, 3), 100, np.uint8), face_map()
    pictures = [np.full((SIZE, SIZE, 3), value, np.uint8) for value in (90, 60)]
    own = Own(image, region_map)
    for text in ("skin=a.safetensors@0.3", "skin=a.safetensors@-1", "skin=a.jpg@0.5,skin=b.safetensors"):
        edited = edit_frame(image, FULL, region_map, mesh(), at(text), own, (pictures[0], pictures[1]))
        assert edited.max() == 130 and edited.min() == 100, text


def test_pixels_away_from_an_edit_keep_their_bits():
    image = np.random.default_rng(1).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    region_map, points = face_map(), mesh()
    for text, rows in (("close_eyes", (70, 110)), ("raise_brows", (0, 100)), ("lip=red", (125, 185))):
        edited = edit_frame(image, FULL, region_map, points, at(text), Own(image, region_map))
        changed = np.flatnonzero((edited != image).any((1, 2)))
        assert rows[0] <= changed.min() and changed.max() <= rows[1], text
        still = edit_frame(image, FULL, region_map, points, FrameEdits(), Own(image, region_map))
        assert np.array_equal(still, image)


def test_the_map_of_an_edited_frame_shows_both_mouth_and_eyes():
    region_map, points = face_map(), mesh()
    edits = at("close_eyes,open_mouth=0.5")
    shown = edits.shape_face(edits.shape_mouth(region_map), points)
    assert not (shown == Region.EYES).any()
    assert (shown == Region.MOUTH).sum() > 1.2 * (region_map == Region.MOUTH).sum()
    assert shown.shape == (SIZE, SIZE)


def test_a_plan_of_edits_survives_its_file(tmp_path):
    recipe = read_edits([f"hair={tmp_path}/ref.jpg@0.5,blink=0.2/s,lip=random:7,eyes=random:8"])
    lender = (tmp_path / "ref.jpg", 0)
    plan = EditPlan(recipe, {lender: REFERENCE, (None, 7): CODES, (None, 8): CODES + 1})
    (tmp_path / "edits.npz").write_bytes(plan.to_bytes())
    loaded = EditPlan.load(tmp_path / "edits.npz")
    assert loaded.recipe == recipe and np.array_equal(loaded.codes[lender], REFERENCE)
    assert not loaded.codes[None, 7].any() and (loaded.codes[None, 8] == 1).all()
    (tmp_path / "none.npz").write_bytes(EditPlan().to_bytes())
    assert EditPlan.load(tmp_path / "none.npz") == EditPlan()
