"""The first pass: which frames stand for a person, and what is kept of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from segtalker.analysis import dubbed_frames
from segtalker.compositing.plan import make_plan
from segtalker.faces.mesh import mean_face
from segtalker.frames import FrameWindow
from segtalker.parsing.colours import ColourModel
from segtalker.parsing.mixture import Mixture
from segtalker.person import Person, load_person, reference_frame, save_person, style_frames
from segtalker.types import FaceTrack, Frame, VideoInfo

NUM_FRAMES = 40


def make_track(openings: np.ndarray, yaw: np.ndarray | None = None, start: int = 100) -> FaceTrack:
    """A track whose mouth is open by `openings` [T] (parts of its width)."""
    count = len(openings)
    landmarks = np.repeat(mean_face()[None, :, :2] * 100, count, axis=0).astype(np.float32)
    width = np.linalg.norm(landmarks[0, 61] - landmarks[0, 291])
    landmarks[:, 14, 1] = landmarks[:, 13, 1] + openings * width
    return FaceTrack(
        track_id=0,
        start=start,
        bboxes=np.tile(np.float32([0, 0, 100, 100]), (count, 1)),
        scores=np.ones(count, np.float32),
        landmarks=landmarks,
        crop_from_frame=np.tile(np.eye(2, 3), (count, 1, 1)),
        yaw=np.zeros(count, np.float32) if yaw is None else yaw,
    )


def test_style_frames_are_spread_and_hold_the_open_mouths():
    openings = np.full(NUM_FRAMES, 0.02)
    openings[17:20] = 0.5, 0.6, 0.5
    openings[31] = 0.4
    frames = style_frames(make_track(openings), np.ones(NUM_FRAMES, bool), 8)
    assert {100, 139, 118, 131} <= set(frames) and len(frames) <= 8
    assert max(np.diff(frames)) <= 10 and frames == sorted(frames)


def test_only_usable_frames_lend_their_texture():
    usable = np.zeros(NUM_FRAMES, bool)
    usable[5:12] = True
    track = make_track(np.linspace(0, 1, NUM_FRAMES))
    assert set(style_frames(track, usable, 8)) <= set(range(105, 112))
    track.scores[5:11] = 0
    assert style_frames(track, usable, 8) == [111]
    track.scores[:] = 0
    assert len(style_frames(track, usable, 8)) >= 6


def test_one_frame_is_enough():
    track = make_track(np.zeros(1))
    assert style_frames(track, np.ones(1, bool), 8) == [100]
    assert reference_frame(track, [100]) == 100


def test_the_reference_is_frontal_like_the_track_with_a_closed_mouth():
    openings, yaw = np.full(NUM_FRAMES, 0.3), np.full(NUM_FRAMES, 10.0)
    openings[7] = 0.0
    openings[9], yaw[9] = 0.0, 45.0
    track = make_track(openings, yaw)
    assert reference_frame(track, [103, 107, 109]) == 107


def test_a_person_reads_back(tmp_path: Path):
    rng = np.random.default_rng(0)
    mixture = Mixture(*(rng.random(shape).astype(np.float32) for shape in ((3,), (3, 3), (3, 3, 3))))
    person = Person(
        reference_map=rng.integers(0, 12, (8, 8)).astype(np.uint8),
        reference_raw=rng.integers(0, 19, (8, 8)).astype(np.uint8),
        reference_crop=rng.integers(0, 255, (16, 16, 3)).astype(np.uint8),
        codes=rng.random((12, 8, 4)).astype(np.float32),
        reference_index=107,
        style_indices=(100, 107),
        colours=ColourModel({0: mixture}),
        adapted=tmp_path / "fit.safetensors",
    )
    save_person(person, tmp_path / "0.npz")
    moved = tmp_path / "moved"
    moved.mkdir()
    again = load_person((tmp_path / "0.npz").rename(moved / "0.npz"))
    assert again.style_indices == (100, 107) and again.adapted == moved / "fit.safetensors"
    assert np.array_equal(again.codes, person.codes)
    assert np.array_equal(again.reference_crop, person.reference_crop)
    assert again.colours is not None and np.array_equal(again.colours.mixtures[0].means, mixture.means)


def test_dubbed_frames_are_those_of_the_plan():
    track = make_track(np.zeros(NUM_FRAMES), yaw=np.where(np.arange(NUM_FRAMES) < 10, 80.0, 0.0), start=5)
    times = [Fraction(index, 25) for index in range(60)]
    info = VideoInfo(Path("a.mp4"), 100, 100, Fraction(25), 60, False, False, False)
    usable = dubbed_frames(track, make_plan(times, info, [track], Fraction(1)))
    assert usable.tolist() == [False] * 10 + [True] * 10 + [False] * 20  # 1 s of speech ends at frame 25


class CountingSource:
    """Frames that hold nothing but their index."""

    losses: tuple[str, ...] = ()
    info = VideoInfo(Path("a.mp4"), 1, 1, Fraction(25), 100, False, False, False)

    def __init__(self) -> None:
        self.passes: list[int] = []

    def read(self, start=0, stop=None, max_side=None):
        self.passes.append(start)
        for index in range(start, 100):
            yield Frame(index, Fraction(index, 25), np.full((1, 1, 3), index, np.uint8))


def test_a_window_goes_forward_in_one_pass_and_back_with_a_new_one():
    source = CountingSource()
    window = FrameWindow(source)
    for first in range(0, 40, 8):
        frames = window.get(range(max(0, first - 2), first + 10))
        assert all(frames[index].image[0, 0, 0] == index for index in range(first, first + 8))
        assert len(frames) <= 12
    assert source.passes == [0]
    assert sorted(window.get([30, 29, 28])) == [28, 29, 30] and source.passes == [0, 28]
    assert window.get([90])[90].index == 90 and source.passes == [0, 28, 90]
    with pytest.raises(IndexError, match="out of range"):
        window.get([200])
