"""Tracks in blocks equal tracks in one go, and stand on disk."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from segtalker import tracking
from segtalker.faces.track import TrackConfig
from segtalker.media.read import probe
from segtalker.source import VideoSource
from segtalker.tracking import find_tracks, load_tracks
from tests.dubbing import (
    BACKGROUND,
    TURNED_SKIN,
    BlobFaces,
    blank_frame,
    draw_face,
    talking_clip,
    talking_frame,
)


def tracks_of(path, folder, max_side=1000, stop=None):
    source = VideoSource(probe(path))
    done: list[int] = []
    stop = stop or source.info.num_frames
    found = find_tracks(source, BlobFaces(), TrackConfig(), folder, stop, max_side, done.append)
    assert not done or (done[-1] == stop and done == sorted(done))
    return found


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """One face throughout, another from frame 40 on; both vanish for frames 100..119."""

    def frame(index: int) -> np.ndarray:
        if 100 <= index < 120:
            return blank_frame()
        image = talking_frame(index, height=50)
        image[:, :80] = image[:, 40:120].copy()
        image[:, 80:] = BACKGROUND
        if index >= 40:
            draw_face(image, (125 + 4 * np.sin(index / 6), 60), 44)
        return image

    return talking_clip(tmp_path_factory.mktemp("clip") / "two.mp4", 150, frame)


def test_blocks_join_to_the_same_tracks(clip, tmp_path, monkeypatch):
    whole = tracks_of(clip, tmp_path / "whole")
    monkeypatch.setattr(tracking, "BLOCK", 30)
    monkeypatch.setattr(tracking, "MARGIN", 25)
    blocks = tracks_of(clip, tmp_path / "blocks")
    assert len(whole) == len(blocks) == 4
    for one, other in zip(whole, blocks, strict=True):
        # the look for new faces comes every few frames, counted from the beginning of a block
        assert abs(one.start - other.start) < TrackConfig().redetect_every and one.stop == other.stop
        first = max(one.start, other.start)
        landmarks = [track.landmarks[first - track.start :] for track in (one, other)]
        crops = [track.crop_from_frame[first - track.start :] for track in (one, other)]
        assert np.abs(landmarks[0] - landmarks[1]).max() < 0.5
        assert np.abs(crops[0] - crops[1]).max() < 0.01
        steps = [np.abs(np.diff(points, axis=0)).max() for points in landmarks]
        assert steps[1] < steps[0] + 0.3


def test_stored_tracks_are_found_again_without_looking_at_a_frame(clip, tmp_path):
    first = tracks_of(clip, tmp_path)
    source = VideoSource(probe(clip))
    again = find_tracks(source, None, TrackConfig(), tmp_path, 150, 1000, lambda done: None)
    assert [track.track_id for track in again] == [track.track_id for track in first]
    assert all(np.array_equal(a.landmarks, b.landmarks) for a, b in zip(first, again, strict=True))
    assert isinstance(again[0].landmarks, np.memmap)


def test_an_unfinished_folder_starts_again(clip, tmp_path):
    first = tracks_of(clip, tmp_path, stop=30)
    (tmp_path / "tracks.json").unlink()
    again = tracks_of(clip, tmp_path, stop=30)
    assert np.array_equal(first[0].landmarks, again[0].landmarks)
    assert np.array_equal(load_tracks(tmp_path)[0].yaw, first[0].yaw)


def test_tracks_of_small_frames_are_in_pixels_of_the_large_ones(tmp_path):
    path = talking_clip(tmp_path / "clip.mp4", 8, lambda i: talking_frame(i, (320, 240), height=140))
    large, small = (tracks_of(path, tmp_path / str(side), side)[0] for side in (1000, 160))
    assert np.abs(large.landmarks - small.landmarks).max() < 4
    points = [
        track.crop_from_frame[3, :, :2] @ track.landmarks[3, 1] + track.crop_from_frame[3, :, 2]
        for track in (large, small)
    ]
    assert np.abs(points[0] - points[1]).max() < 0.01


def test_a_profile_is_seen_in_the_yaw(tmp_path):
    path = talking_clip(tmp_path / "clip.mp4", 6, lambda i: talking_frame(i, colour=TURNED_SKIN))
    assert np.abs(tracks_of(path, tmp_path / "tracks")[0].yaw).min() > 60


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads the Linux way")
def test_reading_again_and_again_leaves_no_decoder_behind(clip):
    source = VideoSource(probe(clip))
    for _ in range(3):
        next(iter(source.read(5)))
        list(source.read(140))
    before = len(os.listdir("/proc/self/task"))
    for _ in range(6):
        next(iter(source.read(5)))
        list(source.read(140))
    assert len(os.listdir("/proc/self/task")) <= before
