from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segtalker.errors import ConfigError, FaceNotFound, MediaError
from segtalker.faces.likeness import appearance, photo_likeness
from segtalker.faces.speaker import SpeakerSpec, choose_speaker, parse_speaker
from segtalker.types import FaceTrack


def _track(track_id: int, start: int, stop: int, x: float, width: float = 50.0) -> FaceTrack:
    n = stop - start
    box = np.array([x - width / 2, 100 - width / 2, x + width / 2, 100 + width / 2], np.float32)
    return FaceTrack(
        track_id, start, np.tile(box, (n, 1)), np.ones(n, np.float32), np.zeros((n, 468, 2), np.float32),
        np.zeros((n, 2, 3)), np.zeros(n, np.float32),
    )  # fmt: skip


SHOT = [_track(0, 0, 50, 100, 60), _track(1, 0, 50, 300, 80), _track(2, 60, 90, 200, 40)]


def _ids(tracks: list[FaceTrack]) -> list[int]:
    return [track.track_id for track in tracks]


def test_the_forms_of_the_command_line_are_read():
    assert parse_speaker("largest") == SpeakerSpec("largest")
    assert parse_speaker("index:1") == SpeakerSpec("index", number=1)
    assert parse_speaker("point:320,180.5") == SpeakerSpec("point", point=(320.0, 180.5))
    assert parse_speaker("photo:C:/me.jpg") == SpeakerSpec("photo", photo=Path("C:/me.jpg"))
    assert parse_speaker("track:3") == SpeakerSpec("track", number=3)


@pytest.mark.parametrize(
    "text", ["", "biggest", "largest:1", "index:", "index:-1", "point:3", "photo:", "track:x"]
)
def test_any_other_form_is_refused_with_the_known_ones(text):
    with pytest.raises(ConfigError, match=r"index:N .*photo:FILE"):
        parse_speaker(text)


def test_the_rule_is_applied_shot_by_shot():
    assert _ids(choose_speaker(SHOT)) == [1, 2]
    assert _ids(choose_speaker(SHOT, "index:0")) == [0, 2]
    assert _ids(choose_speaker(SHOT, "index:1")) == [1]
    assert _ids(choose_speaker(SHOT, "point:110,95")) == [0]
    assert _ids(choose_speaker(SHOT, "track:2")) == [2]


def test_a_face_that_was_lost_and_found_is_one_speaker_but_a_small_bystander_is_not():
    tracks = [_track(0, 0, 40, 100, 80), _track(1, 0, 100, 300, 20), _track(2, 60, 100, 100, 80)]
    assert _ids(choose_speaker(tracks)) == [0, 2]
    tracks = [_track(0, 0, 40, 100, 80), _track(1, 30, 100, 300, 20), _track(2, 45, 60, 300, 20)]
    assert _ids(choose_speaker(tracks)) == [0]


def test_nobody_is_one_clear_line_that_lists_who_is_there():
    with pytest.raises(FaceNotFound, match="no face was found"):
        choose_speaker([])
    with pytest.raises(
        FaceNotFound, match=r"track:9; there are: track 0 \(frames 0\.\.49, at 100,100, 60 px"
    ):
        choose_speaker(SHOT, "track:9")
    with pytest.raises(ConfigError, match="needs the frames"):
        choose_speaker(SHOT, "photo:a.jpg")


def test_a_photo_takes_the_most_alike_track_and_leaves_the_unlike_ones():
    alike = {0: 0.2, 1: 0.8, 2: 0.1}
    assert _ids(choose_speaker(SHOT, "photo:a.jpg", lambda t: alike[t.track_id])) == [1]
    alike = {0: 0.2, 1: 0.8, 2: 0.7}
    assert _ids(choose_speaker(SHOT, "photo:a.jpg", lambda t: alike[t.track_id])) == [1, 2]
    with pytest.raises(FaceNotFound):
        choose_speaker(SHOT, "photo:a.jpg", lambda t: -0.1)


@pytest.mark.weights
def test_appearance_tells_people_apart_in_other_light_and_size(backend, portrait):
    cv2 = pytest.importorskip("cv2")
    matplotlib = pytest.importorskip("matplotlib")
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    other = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
    changed = cv2.resize((portrait * 0.8 + 10).astype(np.uint8), None, fx=1.4, fy=1.4)
    vectors = [appearance(image, backend.detect(image)[0]) for image in (portrait, changed, other)]
    assert np.linalg.norm(vectors[0] - vectors[1]) < 0.35 * np.linalg.norm(vectors[0] - vectors[2])


@pytest.mark.weights
def test_a_photo_without_a_face_or_without_a_picture_says_so(backend, tmp_path):
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((64, 64, 3), 127, np.uint8))
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(FaceNotFound, match=r"grey\.png: no face"):
        photo_likeness(tmp_path / "grey.png", backend, lambda index: None)
    for name in ("text.jpg", "absent.jpg"):
        with pytest.raises(MediaError, match=name):
            photo_likeness(tmp_path / name, backend, lambda index: None)
