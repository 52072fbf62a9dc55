"""Stills of synthetic people with a feature set."""

from __future__ import annotations

import cv2
import numpy as np

from segtalker.synthetic.portraits import FIRST_PERSON, portrait, write_portraits


def test_a_feature_changes_the_face_and_nothing_else(tmp_path):
    shaved = portrait(FIRST_PERSON, 96, {"beard": 0.0, "moustache": 0.0})
    bearded = portrait(FIRST_PERSON, 96, {"beard": 1.0, "moustache": 1.0})
    changed = np.abs(bearded.astype(int) - shaved).max(-1)
    assert changed.max() > 30 and 0.002 < (changed > 5).mean() < 0.1
    assert not changed[:30].any()


def test_a_folder_holds_a_picture_of_each_person(tmp_path):
    folder = write_portraits(tmp_path / "people", 2, {"age": 0.9}, first=7)
    assert [path.name for path in sorted(folder.iterdir())] == ["7.png", "8.png"]
    stored = cv2.cvtColor(cv2.imread(str(folder / "8.png")), cv2.COLOR_BGR2RGB)
    assert np.array_equal(stored, portrait(8, looks={"age": 0.9}))
