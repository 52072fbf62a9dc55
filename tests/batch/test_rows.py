"""A manifest becomes rows, or one line says what is wrong before any work starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segtalker.batch.rows import DubRow, read_rows, refuse_paths_beside_buckets
from segtalker.errors import DataError


def manifest(folder: Path, *rows: dict[str, object]) -> Path:
    path = folder / "clips.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(**more: object) -> dict[str, object]:
    return {"id": "a", "video": "a.mp4", "speech": "a.wav", **more}


def test_inputs_count_from_the_manifest_and_outputs_from_the_batch(tmp_path):
    path = manifest(
        tmp_path,
        row(),
        row(id="b", video="/videos/b.mp4", speech="s3://bucket/b.wav", output="sub/b.mp4"),
        {"video": "c.mp4", "speech": "c.wav", "output": "s3://bucket/out/c.mp4", "speaker": "photo:c.png"},
    )
    first, second, third = read_rows(path, "/out")
    assert first == DubRow(id="a", video=f"{tmp_path}/a.mp4", speech=f"{tmp_path}/a.wav", output="/out/a.mp4")
    assert (second.video, second.output) == ("/videos/b.mp4", "/out/sub/b.mp4")
    assert (third.output, third.photo) == ("s3://bucket/out/c.mp4", f"{tmp_path}/c.png")
    assert third.id.startswith("bucket_out_c_")


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({"sync_mode": "loop", "encode": {"crf": 20}}, ('sync_mode="loop"', "encode.crf=20")),
        ("sync_mode=loop; encode.crf=20", ("sync_mode=loop", "encode.crf=20")),
        ('{"plan.fps": "25"}', ('plan.fps="25"',)),
        (["encode.crf=20"], ("encode.crf=20",)),
    ],
)
def test_options_may_be_a_mapping_a_list_or_text(tmp_path, given, settings):
    (found,) = read_rows(manifest(tmp_path, row(options=given)), "/out")
    assert found.options == settings


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_all_kinds_of_files_hold_the_same_rows(tmp_path, suffix):
    values = {**row(), "output": "x.mp4", "options": "encode.crf=20", "speaker": ""}
    path = tmp_path / f"clips.{suffix}"
    if suffix == "csv":
        path.write_text(",".join(values) + "\n" + ",".join(map(str, values.values())) + "\n")
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        import pyarrow

        parquet.write_table(pyarrow.Table.from_pylist([values]), path)
    assert read_rows(path, "/out") == read_rows(manifest(tmp_path, values), "/out")


def test_a_line_ends_where_an_editor_ends_it(tmp_path):
    name = "ann\u2028bob\x85.mp4"  # which JSON may hold as they are
    path = tmp_path / "clips.jsonl"
    path.write_bytes((json.dumps(row(video=name), ensure_ascii=False) + "\r\n").encode())
    (found,) = read_rows(path, "/out")
    assert found.video == f"{tmp_path}/{name}"


def test_two_names_of_one_folder_are_one_place(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    path = manifest(tmp_path, row(), row(id="b", output=f"{tmp_path}/link/a.mp4"))
    with pytest.raises(DataError, match="the same file as"):
        read_rows(path, tmp_path / "out")


def test_a_manifest_may_lie_in_a_bucket(store, tmp_path):
    from segtalker.storage import write_bytes

    write_bytes(f"{store}/in/clips.jsonl", json.dumps(row()).encode())
    (found,) = read_rows(f"{store}/in/clips.jsonl", f"{store}/out")
    assert (found.video, found.output) == (f"{store}/in/a.mp4", f"{store}/out/a.mp4")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"id": "a", "speech": "a.wav"}], "line 1: no 'video'"),
        ([row(vidoe="x")], "unknown column 'vidoe'; did you mean 'video'"),
        ([{"video": "a.mp4", "speech": "a.wav"}], "neither 'id' nor 'output'"),
        ([row(id="a b")], "id 'a b': ids are of"),
        ([row(output="a.avi")], "output 'a.avi': videos are written as mp4"),
        ([row(), row(output="b.mp4")], "line 2: id 'a' is that of line 1"),
        ([{"id": "a", "video": "  ", "speech": "a.wav"}], "line 1: no 'video'"),
        ([row(), row(id="b", output="a.mp4")], "line 2: output .*a.mp4: the same file as .*a.mp4 of line 1"),
        ([row(), row(id="b", output="a.mov")], "the same file as output .*a.mp4 of line 1"),
        ([row(), row(id="b", output="sub/../a.mp4")], "the same file as output .*a.mp4 of line 1"),
        ([row(), row(id="b", output="a.maps.mp4")], "the same file as the maps beside .*a.mp4 of line 1"),
        ([row(output="{here}/a.mp4")], "line 1: output .* would replace an input of line 1"),
        ([row(output="{here}/./a.mp4")], "would replace an input of line 1"),
        ([row(output="{here}/b.mp4"), row(id="b", video="b.mp4")], "would replace an input of line 2"),
        ([row(output="{here}/b.mp4", video="b.maps.mp4")], "the maps beside .* would replace an input"),
        ([row(options="loop")], "option 'loop': expected KEY=VALUE"),
        ([row(options=3)], "'options' must be settings"),
        ([row(video=["a.mp4"])], "'video' must be text"),
        ([], "no row in it"),
    ],
)  # fmt: skip
def test_a_manifest_that_cannot_be_is_refused_with_its_line(tmp_path, rows, says):
    rows = [
        {k: v.replace("{here}", str(tmp_path)) if isinstance(v, str) else v for k, v in r.items()}
        for r in rows
    ]
    with pytest.raises(DataError, match=says) as error:
        read_rows(manifest(tmp_path, *rows), tmp_path / "out")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.jsonl", '{"id": "a"\n', "not a manifest .line 1"),
        ("a.jsonl", "[1]\n", "line 1: expected an object"),
        ("a.csv", "id,video,speech\na,a.mp4,a.wav,more\n", "line 2: more values than columns"),
        ("a.csv", "id,video,video,speech\na,a.mp4,b.mp4,a.wav\n", "line 1: column 'video' is there twice"),
        ("a.csv", b"\xff\xfe\x00", "not a manifest"),
        ("a.parquet", "no parquet", "not a manifest"),
        ("a.txt", "", "manifests are .jsonl, .csv or .parquet"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=says):
        read_rows(path, tmp_path / "out")


def test_paths_beside_buckets_are_refused_where_nodes_may_not_see_them(tmp_path):
    local = DubRow(id="a", video="/a.mp4", speech="/a.wav", output="/out/a.mp4")
    remote = DubRow(id="b", video="s3://b/b.mp4", speech="s3://b/b.wav", output="s3://b/out/b.mp4")
    refuse_paths_beside_buckets([local], "/out")
    refuse_paths_beside_buckets([remote], "s3://b/out")
    with pytest.raises(DataError, match="video of 'a' is the local path /a.mp4, but the --out is s3://b"):
        refuse_paths_beside_buckets([remote, local], "s3://b/out")
