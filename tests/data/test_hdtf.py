"""HDTF's text files with all their quirks become rows that leak nobody between splits."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from segtalker.data.hdtf import KNOWN_COUNTS, HDTFVideo, count_table, hdtf_rows, read_hdtf
from segtalker.errors import DataError
from tests.data.hdtf_files import CLIPS, FILES, touch_videos, write_hdtf

ALL_VIDEOS = [
    f"{subset}_{name}.mp4"
    for subset, names in {
        "RD": ("Radio1", "Radio11", "Radio56"),
        "WDA": ("CarolynMaloney2", "CarolynMaloney1", "WhipJimClyburn", "JamesClyburn", "JamesClyburn1"),
        "WRA": ("DianeBlack1", "KevinMcCarthy1", "MittRomney"),
    }.items()
    for name in names
]


@pytest.fixture
def videos(tmp_path: Path) -> dict[str, HDTFVideo]:
    return {video.name: video for video in read_hdtf(write_hdtf(tmp_path)).videos}


def test_the_byte_order_mark_hides_no_video(videos):
    assert videos["CarolynMaloney2"].video_id == "RApGxN-O9Qc"
    assert not any("\ufeff" in name for name in videos)


def test_the_tail_of_a_url_is_cut_off(videos):
    assert videos["Radio11"].url == "https://www.youtube.com/watch?v=XtySvTwIOfw"


def test_missing_newlines_and_trailing_spaces_lose_and_invent_no_clip(videos):
    assert [(clip.start_s, clip.end_s) for clip in videos["DianeBlack1"].clips] == [(635, 645)]
    assert len(videos["KevinMcCarthy1"].clips) == 2
    assert videos["JamesClyburn1"].clips[0].end_s == 280


def test_a_box_belongs_to_its_clip_and_may_be_missing(videos):
    first, second = videos["Radio11"].clips
    assert (first.box, first.ratio) == ((412, 599, 7, 599), 1.2)
    assert (second.box, second.ratio) == (None, None)


def test_counts_stand_beside_the_known_ones_and_a_difference_is_only_marked(tmp_path):
    hdtf = read_hdtf(write_hdtf(tmp_path))
    seconds = sum(clip.end_s - clip.start_s for video in hdtf.videos for clip in video.clips)
    assert hdtf.counts() == {
        "videos with a URL": 12,
        "videos with times": 11,
        "clips": CLIPS,
        "clips with a box": 9,
        "hours": round(seconds / 3600, 2),
    }
    table = count_table(hdtf)
    assert [name in table for name in KNOWN_COUNTS] == [True] * len(KNOWN_COUNTS)
    assert table.count("differs") == 5 and "17.07" in table


def test_what_is_odd_is_said(tmp_path):
    notes = " ".join(read_hdtf(write_hdtf(tmp_path)).notes)
    assert "RD_Radio24 has a URL but no times" in notes
    assert "WRA_KevinMcCarthy1: the height" in notes
    assert "WRA_MittRomney: its clips overlap" in notes


def test_one_person_has_one_identity_whatever_the_video_is_called(videos):
    names = ("WhipJimClyburn", "JamesClyburn", "JamesClyburn1")
    assert {videos[name].identity for name in names} == {"hdtf-JamesClyburn"}
    assert videos["CarolynMaloney1"].identity == videos["CarolynMaloney2"].identity == "hdtf-CarolynMaloney"
    assert videos["Radio1"].identity != videos["Radio11"].identity


def test_rows_have_exact_times_and_boxes_that_scale_to_the_rendition(tmp_path):
    hdtf = read_hdtf(write_hdtf(tmp_path))
    rows, notes = hdtf_rows(hdtf, touch_videos(tmp_path / "videos", *ALL_VIDEOS))
    by_key = {row.clip: row for row in rows}
    big = by_key["RD_Radio56_000"]
    assert (big.start, big.end) == (Fraction(5), Fraction(20))
    assert big.crop is not None and big.crop.frame_height == 2160
    assert big.crop.scaled(1080) == (606.5, 0.0, 1334.0, 727.5)
    assert by_key["WRA_KevinMcCarthy1_000"].crop is None  # nobody knows of which rendition the box is
    assert by_key["RD_Radio11_001"].crop is None
    assert len(rows) == CLIPS - 1 and any("left out: the same seconds" in note for note in notes)


@pytest.mark.parametrize(
    ("box", "rows"), [("100 600 0 600", (0, 600)), ("100 900 60 900", (60, 660)), ("100 400 720 400", None)]
)
def test_a_box_that_reaches_below_its_frame_is_cut_off_there_and_noted(tmp_path, box, rows):
    lists = {"video_url": "https://www.youtube.com/watch?v=AAAAAAAAAAA", "annotion_time": "00:05-00:30"}
    changed = {f"WDA_{kind}": f"AdaMuster {value}\n" for kind, value in lists.items()}
    changed |= {"WDA_resolution": "AdaMuster.mp4 720\n", "WDA_crop_wh": f"AdaMuster_0.mp4 {box}\n"}
    hdtf = read_hdtf(write_hdtf(tmp_path, **changed, WDA_crop_ratio="AdaMuster_0.mp4 1.2\n"))
    (row,), _ = hdtf_rows(hdtf, touch_videos(tmp_path / "videos", "AdaMuster.mp4"))
    assert (row.crop and (row.crop.top, row.crop.height)) == rows
    noted = "WDA_AdaMuster: the box of clip 0 is cut off below the last of 720 rows" in " ".join(hdtf.notes)
    assert noted == (rows != (0, 600))


def test_a_video_that_is_not_there_moves_no_other_between_splits(tmp_path):
    hdtf = read_hdtf(write_hdtf(tmp_path))
    every, _ = hdtf_rows(hdtf, touch_videos(tmp_path / "all", *ALL_VIDEOS))
    some, notes = hdtf_rows(hdtf, touch_videos(tmp_path / "some", *ALL_VIDEOS[::2]))
    splits = {row.clip: (row.identity, row.split) for row in every}
    assert all(splits[row.clip] == (row.identity, row.split) for row in some if row.clip in splits)
    assert any("clips have no video" in note for note in notes)


@pytest.mark.parametrize("name", ["Radio1.mkv", "CPCoMyuBRM0.webm", "sub/A talk [CPCoMyuBRM0].mp4"])
def test_videos_are_found_by_other_names_too(tmp_path, name):
    rows, _ = hdtf_rows(read_hdtf(write_hdtf(tmp_path)), touch_videos(tmp_path / "videos", name))
    assert [row.clip for row in rows] == ["RD_Radio1_000"] and rows[0].source.endswith(name)


def test_clips_that_were_cut_already_are_taken_whole(tmp_path):
    hdtf = read_hdtf(write_hdtf(tmp_path))
    rows, _ = hdtf_rows(hdtf, touch_videos(tmp_path / "videos", "RD_Radio11_000.mp4"))
    assert [(row.clip, row.start, row.end, row.crop) for row in rows] == [("RD_Radio11_000", 0, None, None)]


def test_unfinished_downloads_are_no_videos(tmp_path):
    folder = touch_videos(tmp_path / "videos", "Radio1.mp4.part", ".partial/Radio1.mp4")
    with pytest.raises(DataError, match="holds no video of HDTF"):
        hdtf_rows(read_hdtf(write_hdtf(tmp_path)), folder)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("RD_annotion_time", "Radio1.mp4 00:30-01:00\nRadio11.mp4 0030-0100\n", "line 2: '0030-0100' is no"),
        ("RD_annotion_time", "Radio1.mp4 01:30-01:00\n", "line 1: .* ends before it begins"),
        ("RD_crop_wh", "Radio1_0.mp4 466 535 0\n", "line 1: expected a name and 4 values"),
        ("RD_crop_wh", "Radio1_0.mp4 466 0 0 0\n", "line 1: .* is no box"),
        (
            "WRA_resolution",
            FILES["WRA_resolution"] + "MittRomney.mp4 720\n",
            "line 4: MittRomney comes twice",
        ),
        ("WRA_resolution", "DianeBlack1.mp4 high\n", "line 1: 'high' is not a number"),
        ("RD_video_url", "Radio1\n", "line 1: expected a name and 1 value"),
    ],
)
def test_a_bad_line_is_named_with_its_file_and_a_remedy(tmp_path, file, text, message):
    with pytest.raises(DataError, match=rf"{file}\.txt, {message}") as caught:
        read_hdtf(write_hdtf(tmp_path, **{file: text}))
    assert str(caught.value).rstrip(".").rsplit(". ", 1)[-1].startswith(("Take the file", "Remove one"))


def test_a_folder_without_the_lists_says_what_is_meant(tmp_path):
    with pytest.raises(DataError, match=r"RD_video_url.txt: no such file. Name the folder HDTF_dataset"):
        read_hdtf(tmp_path)
