"""Manifests are read back exactly, and splits go by the person alone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from segtalker.data.manifest import (
    ClipRow,
    CropBox,
    SplitConfig,
    clip_key,
    folder_rows,
    read_manifest,
    split_of,
    write_manifest,
)
from segtalker.errors import ConfigError, DataError
from tests.data.hdtf_files import touch_videos

ROWS = [
    ClipRow(
        clip="a_000",
        source="s3://bucket/a, b.mp4",
        start=Fraction(1001, 30000),
        end=Fraction(275, 3),
        crop=CropBox(left=483, top=0, width=390, height=390, frame_height=720),
        identity="Zoë",
        split="train",
        dataset="hdtf",
    ),
    ClipRow(clip="b", source="b.mp4", identity="b", split="val", engine="flite", labels="b.json"),
]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_rows_come_back_exactly(tmp_path: Path, suffix: str):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"clips.{suffix}"
    write_manifest(ROWS, path)
    assert read_manifest(path) == ROWS
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_manifest_may_lie_in_a_bucket(store):
    write_manifest(ROWS, f"{store}/clips.jsonl")
    assert read_manifest(f"{store}/clips.jsonl") == ROWS


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"clip": "a", "source": "a.mp4", "identity": "a"}', "line 2.*no 'split'"),
        ('{"clip": "a", "source": "a.mp4", "identity": "a", "split": "val", "start": "now"}', "line 2.*now"),
        ('{"clip": "a/b", "source": "a.mp4", "identity": "a", "split": "val"}', "line 2.*'a/b'"),
        ('{"clip": "a", "source": "a", "identity": "a", "split": "val", "crop": "1 2 3"}', "line 2.*crop"),
        ('{"clip": "a", "source": "a", "identity": "a", "split": "val", "start": "1/0"}', "line 2"),
        ('{"clip": "a", "source": "a", "identity": "a", "split": "val", "sex": "f"}', "unknown column 'sex'"),
        ("{", "not a manifest"),
        ('{"clip": "b", "source": "c.mp4", "identity": "a", "split": "val"}', "both b.mp4 and c.mp4"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, line: str, why: str):
    path = tmp_path / "clips.jsonl"
    path.write_text(f'{{"clip": "b", "source": "b.mp4", "identity": "b", "split": "val"}}\n{line}\n')
    with pytest.raises(DataError, match=why):
        read_manifest(path)


def test_another_kind_of_file_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"\.jsonl, \.csv or \.parquet"):
        write_manifest(ROWS, tmp_path / "clips.txt")


def test_the_split_of_a_person_depends_on_nothing_else():
    people = [f"person{i}" for i in range(4000)]
    splits = [split_of(person) for person in people]
    assert splits == [split_of(person) for person in people]
    assert 0.035 < splits.count("val") / 4000 < 0.065 and 0.035 < splits.count("test") / 4000 < 0.065
    wider = SplitConfig(val=0.05, test=0.2)
    moved = {(a, split_of(person, wider)) for a, person in zip(splits, people, strict=True)}
    assert moved == {("val", "val"), ("test", "test"), ("train", "test"), ("train", "train")}


def test_shares_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(ConfigError, match="leave some for training"):
        SplitConfig(val=0.6, test=0.4)


def test_the_person_of_a_folder_is_the_first_sub_folder_or_the_file(tmp_path: Path):
    touch_videos(tmp_path, "ann/1.mp4", "ann/deep/2.MKV", "bob.webm", "notes.txt", ".cache/x.mp4")
    rows = folder_rows(tmp_path)
    assert sorted(row.identity for row in rows) == ["ann", "ann", "bob"]
    assert len({row.clip for row in rows}) == 3 and len({row.split for row in rows[:2]}) == 1


def test_keys_of_odd_names_stay_apart_and_stay_the_same():
    assert clip_key("bob.mp4") == "bob"
    assert clip_key("a b.mp4") != clip_key("a_b.mp4") != clip_key("a?b.mp4")
    assert clip_key("a b.mp4") == clip_key("a b.mp4")


def test_a_folder_without_videos_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no video in it"):
        folder_rows(tmp_path)
