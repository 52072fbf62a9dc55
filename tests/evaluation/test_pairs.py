"""Pairs out of folders and of plain values."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtalker.errors import DataError
from segtalker.evaluation.pairs import Pair, check_pairs, folder_pairs, pair_from_values, pair_to_values


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_folders_are_matched_by_name_and_a_missing_video_stays_a_row(tmp_path):
    made = touch(tmp_path / "made", "a.mp4", "b/c.webm", "notes.txt", ".hidden.mp4")
    true = touch(tmp_path / "true", "a.mkv", "b/c.mp4", "lost.mp4")
    labels = touch(tmp_path / "labels", "a.json")
    a, c, lost = folder_pairs(made, true, labels=labels)
    assert a == Pair(
        id="a", output=str(made / "a.mp4"), reference=str(true / "a.mkv"), labels=str(labels / "a.json")
    )
    assert c.id == "b/c" and c.output == str(made / "b/c.webm") and not c.labels
    assert lost.output == str(made / "lost.mp4") and not Path(lost.output).exists()


def test_without_references_every_output_is_a_row(tmp_path):
    made = touch(tmp_path / "made", "a.mp4", "b.mp4")
    assert [(pair.id, pair.reference) for pair in folder_pairs(made)] == [("a", ""), ("b", "")]


def test_files_that_cannot_be_matched_are_told_before_any_work(tmp_path):
    made, true = touch(tmp_path / "made", "a.mp4", "z.mp4"), touch(tmp_path / "true", "a.mp4")
    with pytest.raises(DataError, match=r"z\.mp4: no video of this name in .*true \(1 such\)"):
        folder_pairs(made, true)
    with pytest.raises(DataError, match="another file is called 'a'"):
        folder_pairs(touch(tmp_path / "twice", "a.mp4", "a.mkv"))
    with pytest.raises(DataError, match="no video in it"):
        folder_pairs(touch(tmp_path / "none", "a.txt"))


def test_a_folder_that_is_named_and_does_not_fit_is_refused_and_never_passed_over(tmp_path):
    made, wrong = touch(tmp_path / "made", "a.mp4", "b.mp4"), tmp_path / "mispelt"
    with pytest.raises(DataError, match="mispelt: no video in it"):
        folder_pairs(made, wrong)
    for kind in ("sources", "speech", "labels"):
        with pytest.raises(DataError, match=r"mispelt: no file of it is called like 'a' \(2 of 2 such\)"):
            folder_pairs(made, **{kind: wrong})
    with pytest.raises(DataError, match=r"called like 'b' \(1 of 2 such\)"):  # else its own sound would count
        folder_pairs(made, speech=touch(tmp_path / "speech", "a.wav"))


def test_plain_values_make_a_pair_and_relative_paths_count_from_their_folder():
    pair = pair_from_values({"id": 7, "output": "x.mp4", "reference": "/r.mp4", "labels": None}, "s3://b/f")
    assert pair == Pair(id="7", output="s3://b/f/x.mp4", reference="/r.mp4")
    assert pair_from_values(pair_to_values(pair)) == pair


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"id": "a"}, "no 'output'"),
        ({"output": "a"}, "no 'id'"),
        ({"id": "a", "output": "b", "refrence": "c"}, "unknown column 'refrence'; did you mean 'reference'"),
    ],
)
def test_values_that_are_no_pair_are_refused(values: dict[str, str], reason: str):
    with pytest.raises(ValueError, match=reason):
        pair_from_values(values)


def test_two_rows_of_one_id_are_refused():
    pair = Pair(id="a", output="b")
    with pytest.raises(DataError, match=r"m\.csv: two rows have the id 'a'"):
        check_pairs([pair, pair], "m.csv")
    with pytest.raises(DataError, match="no pairs"):
        check_pairs([], "m.csv")
