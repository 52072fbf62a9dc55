"""A clip becomes samples once, whatever interrupts it, and a bad one becomes a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import segtalker.data.outcome as outcome_module
import segtalker.data.prepare as prepare_module
from segtalker.audio.mel import mel_spectrogram
from segtalker.data.manifest import CropBox
from segtalker.data.outcome import SCRATCH, Outcome, find_outcome, merge_areas
from segtalker.data.prepare import clip_output_key, prepare_clip
from segtalker.data.shards import INDEX_NAME, ShardReader
from segtalker.media.audio import decode_speech
from segtalker.regions import merge_raw
from segtalker.storage import fetch_folder, verify_folder
from segtalker.types import Image
from tests.conftest import write_tiny_video
from tests.data.clips import CONFIG, blob_tools, blob_video, row_of
from tests.dubbing import BACKGROUND, blank_frame, draw_face, talking_frame


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blob_video(tmp_path_factory.mktemp("video") / "ann.mp4", 28)


def prepare(video: Path, out: Path | str, config=CONFIG, **row: object) -> Outcome:
    return prepare_clip(row_of(video, **row), config, blob_tools(), out)


def test_a_clip_becomes_samples_that_a_training_can_read(video, tmp_path):
    outcome = prepare(video, tmp_path)
    assert (outcome.status, outcome.reason, outcome.samples, outcome.frames) == ("done", "", 3, 28)
    reader = ShardReader(tmp_path)
    assert [row.num_frames for row in reader.rows] == [10, 10, 8]
    assert {(row.identity, row.voice, row.engine, row.split) for row in reader.rows} == {
        ("ann", "ann", "human", "train")
    }
    for i, row in enumerate(reader.rows):
        maps, raw, crops = (reader.read(i, name) for name in ("maps", "raw", "crops"))
        assert np.array_equal(maps, merge_raw(raw)) and crops.shape == (row.num_frames, 32, 32, 3)
        assert reader.length(i, "tokens") == reader.length(i, "energy") == row.num_frames
        assert reader.length(i, "mel") == row.num_frames * 16 // 5 + 1
        assert row.provenance["frames"][0] % 5 == 0
    assert sum(outcome.areas) == 28 * 32 * 32 and outcome.sounding > 0.5


def test_sound_stays_with_its_picture_inside_a_clip(video, tmp_path):
    outcome = prepare(video, tmp_path, start=Fraction(1, 5), end=Fraction(1))
    assert outcome.frames == 20
    reader = ShardReader(tmp_path)
    whole = decode_speech(video, tmp_path / "whole.npy")
    expected = mel_spectrogram(whole.samples(3200, 16000))
    at = reader.rows[1].provenance["frames"][0] * 16 // 5
    found = reader.read(1, "mel").astype(np.float32)
    assert np.abs(found - expected[at : at + len(found)]).max() < 0.005  # half precision on disk


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(50), Fraction(12)])
def test_other_frame_rates_come_to_the_grid_of_25(tmp_path, rate):
    path = blob_video(tmp_path / "rate.mp4", round(rate), rate=rate)
    outcome = prepare(path, tmp_path / "out")
    assert outcome.status == "done" and abs(outcome.frames - 25) <= 1


def test_what_is_there_is_not_made_again(video, tmp_path, monkeypatch):
    first = prepare(video, tmp_path)
    index = tmp_path / first.key / INDEX_NAME
    before = index.stat().st_mtime_ns
    monkeypatch.setattr(prepare_module, "_prepare", None)
    assert prepare(video, tmp_path) == first
    assert index.stat().st_mtime_ns == before


def test_two_runs_make_the_same_bytes(video, tmp_path):
    outcomes = [prepare(video, tmp_path / name) for name in ("a", "b")]
    assert outcomes[0] == outcomes[1]
    manifests = [verify_folder(tmp_path / name / outcomes[0].key) for name in ("a", "b")]
    assert manifests[0] == manifests[1]


def test_the_name_says_row_configuration_and_content_but_not_the_place(video, tmp_path):
    row = row_of(video)
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(video.read_bytes())
    key = clip_output_key(row, CONFIG)
    assert clip_output_key(replace(row, source=str(moved)), CONFIG) == key
    moved.write_bytes(video.read_bytes()[:-1] + b"x")
    others = [
        clip_output_key(replace(row, source=str(moved)), CONFIG),
        clip_output_key(replace(row, end=Fraction(2)), CONFIG),
        clip_output_key(replace(row, split="val"), CONFIG),
        clip_output_key(row, replace(CONFIG, size=64)),
    ]
    assert len({key, *others}) == 5


@pytest.mark.parametrize("place", ["before the seal", "after the seal"])
def test_a_kill_leaves_nothing_half_and_loses_nothing_whole(video, tmp_path, monkeypatch, place):
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if place == "before the seal":
            patch.setattr(outcome_module, "seal_folder", die)
        else:
            patch.setattr(outcome_module.os, "replace", die)
        with pytest.raises(Killed):
            prepare(video, tmp_path)
    assert not list(tmp_path.glob(f"*/{INDEX_NAME}")) and not list((tmp_path / SCRATCH).iterdir())
    assert prepare(video, tmp_path).status == "done"


def test_of_two_workers_with_one_clip_both_are_right(video, tmp_path, monkeypatch):
    seal = outcome_module.seal_folder

    def other_worker_is_faster(folder, extra):
        monkeypatch.setattr(outcome_module, "seal_folder", seal)
        assert prepare(video, tmp_path).status == "done"
        return seal(folder, extra)

    monkeypatch.setattr(outcome_module, "seal_folder", other_worker_is_faster)
    outcome = prepare(video, tmp_path)
    assert outcome.status == "done" and len(ShardReader(tmp_path)) == outcome.samples


def test_samples_may_go_to_a_bucket_and_come_back(video, tmp_path, store):
    outcome = prepare(video, store)
    assert find_outcome(outcome.key, store) == outcome == prepare(video, store)
    fetch_folder(f"{store}/{outcome.key}", tmp_path / "fetched")
    assert len(ShardReader(tmp_path / "fetched")) == outcome.samples
    there, fetched = ShardReader(store), ShardReader(tmp_path / "fetched")
    for i, row in enumerate(fetched.rows):
        assert set(row.packed) == {"maps", "raw", "crops"}
        for name in row.fields:
            assert np.array_equal(there.read(i, name), fetched.read(i, name))


def test_crops_lose_little_and_maps_nothing_by_their_compression(video, tmp_path):
    exact = replace(CONFIG, fields=replace(CONFIG.fields, jpeg=0, compress=False))
    prepare(video, tmp_path / "packed")
    prepare(video, tmp_path / "exact", exact)
    packed, plain = ShardReader(tmp_path / "packed"), ShardReader(tmp_path / "exact")
    for i in range(len(plain)):
        assert not plain.rows[i].packed
        assert np.array_equal(packed.read(i, "maps"), plain.read(i, "maps"))
        assert np.array_equal(packed.read(i, "raw"), plain.read(i, "raw"))
        crops = plain.read(i, "crops").astype(int)
        assert np.abs(packed.read(i, "crops") - crops).mean() < 2.0


def test_phones_of_a_label_file_move_to_the_clock_of_their_sample(video, tmp_path):
    labels = tmp_path / "ann.json"
    labels.write_text(json.dumps({"phones": [["aa", 0.0, 0.5], ["b", 0.5, 0.7], ["sil", 0.7, 1.1]]}))
    prepare(video, tmp_path / "out", labels=str(labels))
    second = ShardReader(tmp_path / "out").rows[1]
    shown = [(p.label, round(p.start_s, 4), round(p.end_s, 4)) for p in second.phones]
    assert shown == [("aa", 0.0, 0.1), ("b", 0.1, 0.3), ("sil", 0.3, 0.4)]


def two_people(index: int) -> Image:
    image = np.full((120, 240, 3), BACKGROUND, np.uint8)
    draw_face(image, (60, 60), 70)
    draw_face(image, (180, 60), 90, opening=0.9)
    return image


def test_the_crop_box_only_chooses_the_person(tmp_path):
    path = blob_video(tmp_path / "two.mp4", 12, two_people)
    assert prepare(path, tmp_path / "out").reason.startswith("several faces")
    boxes = {
        side: CropBox(left=left, top=0, width=240, height=240, frame_height=240)
        for side, left in (("left", 0), ("right", 240))
    }  # measured on a rendition twice as high
    widths = {side: prepare(path, tmp_path / side, crop=box).face_px for side, box in boxes.items()}
    assert widths["right"] > 1.15 * widths["left"] > 0


def test_a_box_with_nobody_in_it_is_a_reason(tmp_path):
    path = blob_video(tmp_path / "wide.mp4", 12, lambda i: talking_frame(i, size=(320, 120)))
    box = CropBox(left=0, top=0, width=40, height=40, frame_height=120)
    outcome = prepare(path, tmp_path / "out", crop=box)
    assert outcome.status == "skipped" and "no face fits speaker point" in outcome.reason


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: blob_video(p, 12, lambda i: blank_frame()), "no face was found"),
        (lambda p: blob_video(p, 24, lambda i: talking_frame(i) if i < 10 else blank_frame()), "face lost"),
        (lambda p: blob_video(p, 12, lambda i: talking_frame(i, height=30)), "face too small"),
        (lambda p: blob_video(p, 4), "too short"),
        (lambda p: write_tiny_video(p, 40, size=(160, 120), images=talking_frame, clicks_s=[0.1]), "silence"),
    ],
)
def test_a_clip_of_no_use_is_skipped_with_its_reason_and_not_looked_at_again(
    tmp_path, monkeypatch, make, reason
):
    path = make(tmp_path / "clip.mp4")
    outcome = prepare(path, tmp_path / "out")
    assert outcome.status == "skipped" and reason in outcome.reason
    assert not list((tmp_path / "out").glob(f"*/{INDEX_NAME}"))
    monkeypatch.setattr(prepare_module, "_prepare", None)
    assert prepare(path, tmp_path / "out") == outcome


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: blob_video(p, 12, sound=False), "audio"),
        (lambda p: (p.write_bytes(b"") and p) or p, "clip.mp4"),
        (lambda p: p.write_bytes(b"no video at all" * 100) and p, "clip.mp4"),
        (lambda p: p, "no such file"),
    ],
)
def test_a_broken_clip_fails_with_one_line_and_is_tried_again(tmp_path, make, reason):
    path = make(tmp_path / "clip.mp4")
    outcome = prepare(path, tmp_path / "out")
    assert outcome.status == "failed" and reason in outcome.reason and "\n" not in outcome.reason
    blob_video(path, 12)
    assert prepare(path, tmp_path / "out").status == "done"


def test_a_full_disk_is_one_line(video, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr(prepare_module, "decode_speech", full)
    outcome = prepare(video, tmp_path)
    assert outcome.status == "failed" and "the disk is full" in outcome.reason


def test_a_range_past_the_end_of_the_video_is_cut_there(video, tmp_path):
    assert prepare(video, tmp_path, start=Fraction(2, 5), end=Fraction(400)).frames == 18
    assert "too short" in prepare(video, tmp_path, start=Fraction(300), end=Fraction(400)).reason


def test_areas_of_clips_add_up():
    one = Outcome("a", "a", "done", areas=tuple(range(12)))
    assert merge_areas([one, one]).tolist() == [2 * i for i in range(12)]
    assert merge_areas([]).tolist() == [0] * 12
