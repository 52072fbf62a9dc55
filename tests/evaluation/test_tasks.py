"""What is to be scored is known, and refused, before anything is scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtalker.errors import DataError
from segtalker.evaluation.columns import COPY, REAL
from segtalker.evaluation.pairs import Pair
from segtalker.evaluation.tasks import Task, Truth, plan_tasks, reference_tasks


def _touch(folder: Path, *names: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return str(folder)


def _rows(pair: Pair) -> dict[str, Pair]:
    return {task.method: task.pair for task in reference_tasks(pair)}


def test_folders_are_matched_by_name_after_the_two_rows_of_every_table(tmp_path: Path):
    places = {name: _touch(tmp_path / name, "a.mp4", "b.mkv") for name in ("ours", "theirs")}
    tasks = plan_tasks(places, Truth(references=_touch(tmp_path / "true", "a.mp4", "b.mp4")))
    assert [(task.method, task.pair.id) for task in tasks] == [
        (REAL, "a"), (COPY, "a"), (REAL, "b"), (COPY, "b"),
        ("ours", "a"), ("ours", "b"), ("theirs", "a"), ("theirs", "b"),
    ]  # fmt: skip
    assert tasks[-1].pair.output == f"{places['theirs']}/b.mkv"


def test_a_video_that_a_method_did_not_make_is_a_task_that_will_fail(tmp_path: Path):
    ours = _touch(tmp_path / "ours", "a.mp4")
    truth = Truth(references=_touch(tmp_path / "true", "a.mp4", "b.mp4"))
    tasks = plan_tasks({"ours": ours}, truth)
    assert Task("ours", Pair(id="b", output=f"{ours}/b.mp4", reference=f"{truth.references}/b.mp4")) in tasks


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_paths_in_a_manifest_count_from_its_folder(tmp_path: Path, suffix: str):
    manifest = tmp_path / f"pairs.{suffix}"
    text = {
        "jsonl": '{"id": "a", "output": "o/a.mp4", "reference": "/r/a.mp4"}\n',
        "csv": "id,output,reference\na,o/a.mp4,/r/a.mp4\n",
    }
    manifest.write_text(text[suffix])
    (task,) = [task for task in plan_tasks({"ours": str(manifest)}) if task.method == "ours"]
    assert task.pair == Pair(id="a", output=f"{tmp_path}/o/a.mp4", reference="/r/a.mp4")


def test_folders_of_references_beside_manifests_alone_are_refused_since_nothing_would_read_them(
    tmp_path: Path,
):
    manifest = tmp_path / "pairs.csv"
    manifest.write_text("id,output\na,a.mp4\n")
    ours, truth = _touch(tmp_path / "ours", "a.mp4"), Truth(references=_touch(tmp_path / "true", "a.mp4"))
    with pytest.raises(DataError, match="a manifest of pairs names its own"):
        plan_tasks({"theirs": str(manifest)}, truth)
    with pytest.raises(DataError, match="measured against the same files"):  # the folder has a reference
        plan_tasks({"ours": ours, "theirs": str(manifest)}, truth)
    assert plan_tasks({"theirs": str(manifest)})


def test_where_the_source_is_the_reference_both_rows_are_the_same_video():
    for pair in (
        Pair(id="a", output="o", reference="r"),
        Pair(id="a", output="o", reference="r", source="r"),
    ):
        rows = _rows(pair)
        assert rows[REAL] == rows[COPY] == Pair(id="a", output="r", reference="r", source="r")


def test_another_source_is_copied_by_the_sound_of_the_reference():
    rows = _rows(Pair(id="a", output="o", reference="r", source="s", labels="l"))
    assert rows[REAL] == Pair(id="a", output="r", reference="r", source="s", labels="l")
    assert rows[COPY] == Pair(id="a", output="s", reference="r", source="s", speech="r", labels="l")


def test_without_a_reference_real_is_the_source_with_its_own_sound():
    rows = _rows(Pair(id="a", output="o", source="s", speech="w", labels="l"))
    assert rows[REAL] == Pair(id="a", output="s", source="s")
    assert rows[COPY] == Pair(id="a", output="s", source="s", speech="w", labels="l")
    assert _rows(Pair(id="a", output="o", source="s"))[COPY].speech == "o"
    assert _rows(Pair(id="a", output="o"))[COPY].output == ""


def _manifest(folder: Path, text: str) -> str:
    (folder / "pairs.jsonl").write_text(text)
    return str(folder / "pairs.jsonl")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"id": "a"}', "line 1: not a pair: no 'output'"),
        ('{"output": "a.mp4"}', "line 1: not a pair: no 'id'"),
        (
            '{"id": "a", "output": "a.mp4", "refrence": "r"}',
            r"unknown column 'refrence'; did you mean 'reference'\? Mend the line\.",
        ),
        ('{"id": "a", "output": "a"}\n{"id": "a", "output": "b"}', "two rows have the id 'a'"),
        ('{"id": "a", "output": "x"}\n{"id": "b", "output": "x"}', "rows 'a' and 'b' have the same output"),
        ("{", "not a manifest"),
        ("", "no pairs in it"),
    ],
)
def test_a_bad_manifest_is_one_line_with_its_name(tmp_path: Path, text: str, why: str):
    with pytest.raises(DataError, match=why) as refused:
        plan_tasks({"ours": _manifest(tmp_path, text)})
    assert "pairs.jsonl" in str(refused.value) and "\n" not in str(refused.value)


def test_methods_must_agree_on_what_an_id_is_measured_against(tmp_path: Path):
    (tmp_path / "b").mkdir()
    one = _manifest(tmp_path, '{"id": "a", "output": "o1", "reference": "/r1"}')
    other = _manifest(tmp_path / "b", '{"id": "a", "output": "o2", "reference": "/r2"}')
    with pytest.raises(DataError, match="id 'a': its reference is '/r1' for method 'x' and '/r2' for 'y'"):
        plan_tasks({"x": one, "y": other})


def test_a_folder_that_is_not_there_and_a_taken_name_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="there is no such folder"):
        plan_tasks({"ours": str(tmp_path / "absent")})
    with pytest.raises(DataError, match="cannot be called 'real'"):
        plan_tasks({"real": str(tmp_path)})
    with pytest.raises(DataError, match="no method to score"):
        plan_tasks({})
