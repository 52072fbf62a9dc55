"""A range of a video on the training grid shows at every time the frame nearest to it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from segtalker.media.read import frame_times, probe
from segtalker.source import GridSource, nearest_frames
from tests.conftest import read_value, write_tiny_video

GRID = Fraction(25)


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(60), Fraction(12)])
def test_no_grid_frame_is_further_off_than_half_a_frame(tmp_path: Path, rate: Fraction):
    path = write_tiny_video(tmp_path / "clip.mp4", 40, rate)
    source = GridSource(probe(path), GRID, Fraction(1, 5), Fraction(3, 5))
    assert source.info.num_frames == len(source.times()) == 10
    shown = frame_times(path)
    for frame in source.read():
        time = Fraction(1, 5) + frame.index / GRID
        assert abs(shown[read_value(frame.image)] - time) <= 1 / (2 * rate)
        assert frame.time == frame.index / GRID


def test_any_part_of_the_grid_equals_the_part_of_the_whole(tmp_path: Path):
    source = GridSource(
        probe(write_tiny_video(tmp_path / "clip.mp4", 40, Fraction(30))), GRID, Fraction(1, 3)
    )
    whole = [(frame.index, read_value(frame.image)) for frame in source.read()]
    assert [(frame.index, read_value(frame.image)) for frame in source.read(7, 12)] == whole[7:12]


def test_what_lies_past_the_end_is_left_out(tmp_path: Path):
    info = probe(write_tiny_video(tmp_path / "clip.mp4", 40))
    assert GridSource(info, GRID, Fraction(1), Fraction(9)).info.num_frames == 15
    assert GridSource(info, GRID, Fraction(9)).info.num_frames == 0


def test_of_two_frames_equally_near_the_earlier_is_taken():
    assert nearest_frames([Fraction(0), Fraction(1)], [Fraction(-1), Fraction(1, 2), Fraction(2)]) == [
        0,
        0,
        1,
    ]
