"""Edits of single rows: short forms, lists and recipes, with references beside them or in buckets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from segtalker import storage
from segtalker.batch.check import find_faults
from segtalker.batch.config import BatchConfig
from segtalker.batch.rows import DubRow, read_rows
from segtalker.batch.run import dub_rows
from segtalker.batch.settings import row_config
from segtalker.dub_config import DubConfig
from segtalker.editing.recipe import Edit
from tests.batch.dubs import decoded, draw_rows, here, small_config
from tests.dubbing import talking_frame

LIPS = Edit(edit="recolour", region="lip", colour="red", amount=0.7)


def rows_with(folder: Path, out: Path, *edits: object) -> list[DubRow]:
    """Rows of one clip that differ in their edits alone; None: no edits."""
    draw_rows(folder, out, 4, ("ann",))
    told = [{"id": f"r{i}", "video": "ann.mp4", "speech": "ann.wav"} for i in range(len(edits))]
    for row, given in zip(told, edits, strict=True):
        row |= {} if given is None else {"options": {"sync_mode": "loop", "edits": given}}  # type: ignore[dict-item]
    (folder / "edits.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
    return read_rows(folder / "edits.jsonl", out)


def draw_reference(path: Path, moment: int = 3) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(talking_frame(moment, (240, 200), height=110), cv2.COLOR_RGB2BGR))


@pytest.mark.parametrize(
    "given",
    [
        "lip=red@0.7",
        ["lip=red@0.7"],
        {"edit": "recolour", "region": "lip", "colour": "red", "amount": 0.7, "rate": None},
        "looks/lips.yaml",
    ],
    ids=["text", "list", "values", "recipe"],
)
def test_edits_are_short_forms_values_or_a_recipe_beside_the_manifest(tmp_path, given):
    (tmp_path / "looks").mkdir()
    (tmp_path / "looks" / "lips.yaml").write_text(
        "edits: [{edit: recolour, region: lip, colour: red, amount: 0.7}]"
    )
    (row,) = rows_with(tmp_path, tmp_path / "out", given)
    assert row_config(DubConfig(), row).edits == (LIPS,) and row.fault == ""


def test_edits_stand_in_one_text_with_other_options_as_in_csv(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text(
        "id,video,speech,options\n"
        'a,a.mp4,a.wav,"sync_mode=loop; edits=lip=red@0.7,blink=0.2/s; encode.crf=20"\n'
    )
    (row,) = read_rows(path, tmp_path / "out")
    cfg = row_config(DubConfig(edits=(Edit(edit="frown"),)), row)
    assert cfg.edits == (LIPS, Edit(edit="blink", rate=0.2)) and cfg.encode.crf == 20
    path.write_text("id,video,speech,options\na,a.mp4,a.wav,edits=\n")
    (row,) = read_rows(path, tmp_path / "out")
    assert row_config(DubConfig(edits=(LIPS,)), row).edits == (), "a row can do without those of the batch"


def test_references_count_from_the_manifest_or_from_the_recipe_and_are_inputs(tmp_path):
    storage.write_bytes(
        "memory://looks/r.yaml", b"edits: [{edit: texture, region: hair, reference: ../h.jpg}]"
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "r.yml").write_text("edits: [{edit: texture, region: skin, reference: s.png}]")
    given = ("hair=h.jpg@0.5,lip=memory://looks/l.jpg", "memory://looks/r.yaml", "sub/r.yml")
    here, there, below = rows_with(tmp_path, tmp_path / "out", *given)
    assert here.inputs["reference-1"] == f"{tmp_path}/h.jpg"
    assert here.inputs["reference-2"] == "memory://looks/l.jpg"
    assert there.inputs["reference-1"] == "memory://looks/../h.jpg"
    assert below.inputs["reference-1"] == f"{tmp_path}/sub/s.png"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("gone.yaml", "gone.yaml: cannot read it: there is no such file"),
        ("hair=gone.jpg", "gone.jpg: cannot look it up: there is no such file"),
        ("lip=rde", "edits: lip=rde: unknown colour 'rde'; did you mean 'red'"),
        ("clips.yaml", "clips.yaml: not a recipe; it needs a list of edits"),
        ([{"edit": "fronw"}], r"edits\[0\]: unknown edit 'fronw'; did you mean 'frown'"),
        (["frown", "frown=0.5"], r"edits\[0\] and edits\[1\] are both frown"),
        (7, "edits: expected short forms, a recipe or a list of edits, found 7"),
    ],
)
def test_what_is_wrong_with_edits_is_a_reason_of_their_row_alone(tmp_path, given, says):
    (tmp_path / "clips.yaml").write_text("title: no edits")
    rows = rows_with(tmp_path, tmp_path / "out", given, None)
    ((name, why),) = find_faults(rows, DubConfig())
    assert name == "r0" and "\n" not in why
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(why)


def test_rows_are_dubbed_with_their_own_edits_and_references_of_a_bucket(tmp_path):
    draw_reference(tmp_path / "ref.png")
    storage.put_file(tmp_path / "ref.png", "memory://looks/ref.png")
    (tmp_path / "no_face.png").write_bytes(b"no picture")
    out, cfg = tmp_path / "out", small_config(tmp_path)
    batch = BatchConfig(chunk_frames=0, scratch=str(tmp_path / "scratch"))
    rows = rows_with(
        tmp_path, out, None, "skin=blue@0.8", "skin=memory://looks/ref.png@0.6", "skin=no_face.png"
    )

    def run():
        standing = dub_rows(rows, cfg, replace(batch, overwrite=True), out, here(cfg, batch, out))
        return {outcome.id: outcome for outcome in standing.outcomes}

    first = run()
    assert [o.state for o in first.values()] == ["done", "done", "done", "failed"]
    assert f"{tmp_path}/no_face.png" in first["r3"].reason
    plain, blue, lent = (decoded(out / f"r{i}.mp4").astype(int) for i in range(3))
    assert np.abs(blue - plain).max() > 20 and np.abs(lent - plain).max() > 3
    assert first["r2"].hashes["reference-1"] == storage.fingerprint(tmp_path / "ref.png")["sha256"]
    told = json.loads((out / "r2.report.json").read_text())
    assert told["config"]["edits"][0]["reference"] == "memory://looks/ref.png"
    assert "scratch" not in json.dumps(told["config"])
    assert [o.state for o in run().values()] == ["found", "found", "found", "failed"]


def test_another_content_of_a_reference_is_another_dub(tmp_path):
    draw_reference(tmp_path / "ref.png")
    (row,) = rows_with(tmp_path, tmp_path / "out", "skin=ref.png@0.6")
    cfg, out = small_config(tmp_path), tmp_path / "out"
    batch = BatchConfig(chunk_frames=0, scratch=str(tmp_path / "scratch"), overwrite=True)
    (before,) = dub_rows([row], cfg, batch, out, here(cfg, batch, out)).outcomes
    draw_reference(tmp_path / "ref.png", moment=6)
    (after,) = dub_rows([row], cfg, batch, out, here(cfg, batch, out)).outcomes
    assert (before.state, after.state) == ("done", "done") and before.key != after.key


def test_a_long_row_that_is_cut_wears_the_same_edits_as_a_short_one(tmp_path):
    draw_reference(tmp_path / "ref.png")
    storage.put_file(tmp_path / "ref.png", "memory://looks/long.png")
    cfg = small_config(tmp_path, chunk_frames=2)
    films = []
    for most in (0, 2):
        folder = tmp_path / f"most{most}"
        folder.mkdir()
        (row,) = rows_with(folder, folder / "out", "skin=memory://looks/long.png@0.6,skin=blue@0.4")
        batch = BatchConfig(chunk_frames=most, scratch=str(folder / "scratch"))
        (outcome,) = dub_rows([row], cfg, batch, folder / "out", here(cfg, batch, folder / "out")).outcomes
        assert outcome.state == "done", outcome.reason
        films.append((outcome.chunks, decoded(folder / "out" / "r0.mp4")))
    (one, whole), (many, cut) = films
    assert one == 1 and many > 1 and np.array_equal(whole, cut)
