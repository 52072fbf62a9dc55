"""The mark: what it changes, what it leaves, and what alone decides."""

from __future__ import annotations

import numpy as np
import pytest

from segtalker.config import parse_config
from segtalker.errors import ConfigError
from segtalker.provenance.config import ProvenanceConfig, message_of
from segtalker.provenance.label import draw_label
from segtalker.provenance.mark import draw_mark, face_area, mark_frame
from segtalker.provenance.pattern import MESSAGES, lattice
from tests.provenance.frames import disc, textured


@pytest.mark.parametrize(
    "image",
    [
        textured(),
        np.full((120, 400, 3), 128, np.uint8),
        np.random.default_rng(0).integers(0, 256, (241, 319, 3), np.uint8),
        np.random.default_rng(1).choice(np.array([0, 255], np.uint8), (90, 90, 3)),
        np.zeros((1, 1, 3), np.uint8),
    ],
    ids=["textured", "flat", "noise", "black and white", "one pixel"],
)
def test_the_mark_changes_no_value_by_more_than_3_and_keeps_42_db(image):
    change = draw_mark(image, "key", 5).astype(int) - image
    assert np.abs(change).max() <= 3
    assert np.mean(change**2.0) <= 255**2 / 10**4.2


def test_flat_parts_change_by_one_level_at_most_and_busy_parts_by_more():
    flat = np.full((240, 320, 3), 128, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, flat.shape, np.uint8)
    both = np.concatenate([flat, noise], axis=1)
    change = np.abs(draw_mark(both, "key", 5).astype(int) - both)
    assert change[:, :300].max() == 1
    assert change[:, 340:].max() >= 2


def test_the_frame_and_the_settings_alone_decide():
    cfg = ProvenanceConfig()
    frames = [textured(seed) for seed in range(3)]
    first = [mark_frame(frame, cfg) for frame in frames]
    mark_frame(textured(9, 100, 90), cfg)  # a frame of another size in between
    again = [mark_frame(frame.copy(), cfg) for frame in reversed(frames)]
    assert all(np.array_equal(a, b) for a, b in zip(first, reversed(again), strict=True))
    assert not np.array_equal(first[0], mark_frame(frames[0], ProvenanceConfig(key="other")))
    assert not np.array_equal(first[0], mark_frame(frames[0], ProvenanceConfig(model="other")))


def test_marking_leaves_the_frame_that_was_given_alone():
    image = textured()
    kept = image.copy()
    mark_frame(image, ProvenanceConfig(label="made by a machine"))
    assert np.array_equal(image, kept)


def test_off_is_bit_identical():
    image = textured()
    assert mark_frame(image, ProvenanceConfig(where="off"), disc()) is image


def test_a_face_mark_leaves_all_outside_the_face_bit_exact():
    image, cfg = textured(), ProvenanceConfig(where="face")
    marked = mark_frame(image, cfg, disc())
    changed = (marked != image).any(-1)
    assert changed.any() and not changed[disc() == 0].any()
    assert np.array_equal(marked[disc() > 0], mark_frame(image, ProvenanceConfig())[disc() > 0])
    assert mark_frame(image, cfg, None) is image


def test_a_face_area_covers_its_landmarks():
    points = np.array([[50, 40], [90, 40], [70, 90]], np.float32)
    area = face_area(points, 120, 140)
    assert area.shape == (120, 140)
    assert all(area[int(y), int(x)] for x, y in points)
    assert not area[:30].any() and not area[:, 110:].any()


def test_the_label_is_drawn_into_the_lower_left_corner_only():
    image = np.full((360, 640, 3), 128, np.uint8)
    labelled = draw_label(image, "AI-generated")
    rows, columns = np.nonzero((labelled != image).any(-1))
    assert rows.min() > 320 and columns.max() < 200
    assert labelled.max() == 255
    tiny = np.full((20, 24, 3), 128, np.uint8)
    assert draw_label(tiny, "AI-generated").shape == tiny.shape


def test_messages_are_different_shifts_of_the_same_signs():
    one, other = lattice("key", 7), lattice("key", 8)
    assert set(np.unique(one)) == {-1.0, 1.0}
    even = np.add.outer(np.arange(128), np.arange(128)) % 2 == 0
    assert np.array_equal(one[even], other[even])
    assert 0.4 < (one[~even] != other[~even]).mean() < 0.6
    with pytest.raises(ValueError, match="message = 16384"):
        lattice("key", MESSAGES)


def test_the_pattern_of_a_key_never_changes():
    """A mark that was drawn today must be found by every later version."""
    assert lattice("segtalker", 0)[0, :12].tolist() == [-1, -1, -1, -1, -1, -1, 1, -1, -1, 1, -1, -1]
    assert message_of("segtalker") == 0x0725


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"where": "mouth"}, "where"),
        ({"key": ""}, "key is empty"),
        ({"label": "two\nlines"}, "printable ASCII"),
        ({"certificate": "a.pem"}, "belong together"),
        ({"wher": "off"}, "where"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, says):
    with pytest.raises(ConfigError, match=says):
        parse_config(ProvenanceConfig, values, "provenance")
