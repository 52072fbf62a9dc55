"""Following several frames with one question gives the tracks of following one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from segtalker.faces.ahead import follow_through
from segtalker.faces.track import track_faces
from segtalker.types import Face, Image
from tests.faces.test_track import Scene

SCRIPTS = {
    "a steady face": [[100.0 + t] for t in range(50)],
    "a newcomer": [[100.0, 400.0] + ([700.0] if t >= 10 else []) for t in range(30)],
    "a gap": [[100.0] if not 10 <= t < 15 else [] for t in range(40)],
    "a jump": [[100.0] if t < 13 else [300.0] for t in range(30)],
    "two that meet": [[100.0 + 4 * t, 300.0 - 4 * t] for t in range(50)],
    "nobody": [[] for _ in range(20)],
    "fewer frames than a question has": [[100.0]] * 3,
}


class FarScene(Scene):
    """A scene that is asked about eight frames at once, and counts the questions."""

    frames_ahead = 8

    def __init__(self, script: list[list[float]]) -> None:
        super().__init__(script)
        self.questions: list[int] = []

    def follow_through(self, images: Sequence[Image], previous: Face) -> list[Face]:
        self.questions.append(len(images))
        return list(follow_through(self, images, previous))


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_the_tracks_are_the_same(script):
    near, far = Scene(script), FarScene(script)
    expected, found = track_faces(near.frames(), near), track_faces(far.frames(), far)
    assert [(t.start, t.num_frames) for t in found] == [(t.start, t.num_frames) for t in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.landmarks, other.landmarks)
        np.testing.assert_array_equal(one.scores, other.scores)
    assert far.detections == near.detections


def test_an_undisturbed_track_costs_one_question_for_eight_frames():
    scene = FarScene(SCRIPTS["a steady face"])
    seen: list[int] = []
    track_faces(scene.frames(), scene, on_frame=seen.append)
    assert seen == list(range(50))
    assert len(scene.questions) <= 8 and max(scene.questions) == 8
