"""The card beside prepared clips says what is there, shows a few people, and is the same every time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import segtalker.data.prepare_run as run_module
from segtalker.data.card import CARD_NAME, PICTURE_NAME, card_text, contact_sheet, shown_clips, write_card
from segtalker.data.clip_samples import FieldsConfig
from segtalker.data.outcome import Outcome, outcome_from_values
from segtalker.data.prepare_run import OUTCOMES_NAME, prepare_rows
from segtalker.storage import put_folder, read_bytes
from tests.data.clips import CONFIG, blob_tools, blob_video, row_of
from tests.dubbing import talking_frame

AREAS = (60, 10, 0, 0, 0, 0, 30, 0, 0, 0, 0, 0)


def done(clip: str, identity: str, split: str = "train", frames: int = 1500, **changed: object) -> Outcome:
    fixed = Outcome(
        clip, f"{clip}-0", "done", "", "hdtf", identity, split, samples=2, areas=AREAS, sounding=0.9
    )
    return replace(fixed, frames=frames, face_px=200.0, **changed)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    videos = [
        blob_video(folder / "ann.mp4", 20),
        blob_video(folder / "bob.mp4", 20, lambda i: talking_frame(i + 5)),
    ]
    (folder / "cut.mp4").write_bytes(videos[0].read_bytes()[:300])
    rows = [row_of(v, identity=v.stem, split=s) for v, s in zip(videos, ("train", "val"), strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "load_tools", lambda cfg: blob_tools())
        prepare_rows([*rows, row_of(folder / "cut.mp4")], CONFIG, folder / "out")
    return folder / "out"


def outcomes_in(folder: Path) -> list[Outcome]:
    lines = (folder / OUTCOMES_NAME).read_text().splitlines()
    return [outcome_from_values(json.loads(line)) for line in lines]


def test_a_preparation_leaves_a_card_with_a_picture_of_its_people(prepared: Path):
    text = (prepared / CARD_NAME).read_text()
    assert "| all | 2 | 2 | 4 |" in text and "| failed | 1 |" in text and "- cut: " in text
    picture = cv2.imread(str(prepared / PICTURE_NAME))
    assert picture.shape == (178, 2 * 2 * 160, 3)
    crop, region_map = picture[:160, :160], picture[:160, 160:320]
    assert crop.std() > 5 and len(np.unique(region_map.reshape(-1, 3), axis=0)) > 2
    assert (picture[:160, 320:] != picture[:160, :320]).any()


def test_the_same_content_gives_the_same_card(prepared: Path):
    before = [(prepared / name).read_bytes() for name in (CARD_NAME, PICTURE_NAME)]
    write_card(prepared, outcomes_in(prepared))
    assert [(prepared / name).read_bytes() for name in (CARD_NAME, PICTURE_NAME)] == before


def test_a_bucket_gets_the_card_of_what_lies_in_it(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SEGTALKER_SHARD_CACHE", str(tmp_path))
    outcomes = outcomes_in(prepared)
    for outcome in outcomes:
        if outcome.status == "done":
            put_folder(prepared / outcome.key, f"memory://card/{outcome.key}")
    write_card("memory://card", outcomes)
    for name in (CARD_NAME, PICTURE_NAME):
        assert read_bytes(f"memory://card/{name}") == (prepared / name).read_bytes()
    assert len(list(tmp_path.glob("*.safetensors"))) == 2  # one shard of each person


def test_maps_alone_are_shown_alone(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_module, "load_tools", lambda cfg: blob_tools())
    video = blob_video(tmp_path / "eve.mp4", 12)
    prepare_rows([row_of(video)], replace(CONFIG, fields=FieldsConfig(crops=False)), tmp_path / "out")
    assert cv2.imread(str(tmp_path / "out" / PICTURE_NAME)).shape == (178, 160, 3)


def test_shards_that_cannot_be_read_stop_nothing_and_leave_no_old_picture(tmp_path: Path):
    (tmp_path / PICTURE_NAME).write_bytes(b"of an earlier run")
    write_card(tmp_path, [done("a", "ann")])
    assert not (tmp_path / PICTURE_NAME).exists()
    assert "There is no picture." in (tmp_path / CARD_NAME).read_text()


def test_nothing_done_is_a_card_too():
    text = card_text([Outcome("a", "", "failed", "a.mp4: no video | in it")], 0)
    assert "| all | 0 | 0 | 0 | 0.00 |" in text and "- a: a.mp4: no video / in it" in text
    assert "## Regions" not in text


def test_counts_hours_reasons_regions_and_offsets_are_told():
    outcomes = [
        done("a", "ann", offset=0, confidence=2.0),
        done("b", "ann", offset=2, confidence=1.0),
        done("c", "bob", "val", frames=90000, offset=0, confidence=4.0),
        Outcome("d", "d-0", "skipped", "face lost: followed through 10% of 9.0 s"),
        Outcome("e", "e-0", "skipped", "face lost: followed through 20% of 9.0 s"),
        Outcome("f", "", "failed", "f.mp4: damaged"),
    ]
    text = card_text(outcomes, 2)
    for line in (
        "| train | 2 | 1 | 4 | 0.03 |",
        "| val | 1 | 1 | 2 | 1.00 |",
        "Minutes a person: 2.0 (least), 31.0 (median), 60.0 (most). Most: bob 60.0, ann 2.0.",
        "| skipped: face lost | 2 |",
        "| failed | 1 |",
        "| background | 60.000% | 3 |",
        "| mouth | 0.000% | 0 |",
        "for 3 of 3 clips (median confidence 2.00)",
        "| 0 | 2 | " + "#" * 40,
        "| +1 | 0 |  |",
        "| +2 | 1 | " + "#" * 20,
    ):
        assert line in text, line


def test_each_person_is_shown_once_by_the_shortest_clip_whatever_the_order():
    clips = [done(f"{name}{i}", name, frames=100 * (3 - i)) for name in "abcdefgh" for i in range(3)]
    chosen = shown_clips(clips, 4)
    assert len({o.identity for o in chosen}) == 4 and all(o.clip.endswith("2") for o in chosen)
    assert shown_clips(clips[::-1], 4) == chosen


def test_the_last_row_of_a_sheet_is_filled_up():
    cells = [np.full((2, 4, 3), i + 1, np.uint8) for i in range(4)]
    sheet = contact_sheet(cells)
    assert sheet.shape == (4, 12, 3) and sheet[3, 0, 0] == 4 and not sheet[2:, 4:].any()
