"""A dub from beginning to end, with small random networks."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from segtalker.compositing.plan import PlanConfig, SyncMode
from segtalker.config import parse_config
from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.local_stages import LocalStages
from segtalker.media.read import frame_times, probe, read_frames
from segtalker.media.write import EncodeConfig, write_segment
from segtalker.pipeline import SegTalker
from segtalker.portrait import PortraitConfig
from segtalker.progress import Progress
from tests.dubbing import (
    TURNED_SKIN,
    BlobFaces,
    blank_frame,
    draw_face,
    talking_clip,
    talking_frame,
    tiny_weights,
    write_clip,
    write_speech,
)

LOSSLESS = EncodeConfig(crf=0, preset="ultrafast", encoder_threads=1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> DubConfig:
    """Random networks of 32 px, chunks of 10 frames, lossless output."""
    weights = tiny_weights(tmp_path_factory.mktemp("weights"))
    return DubConfig(
        tsg=NetworkConfig(weights=str(weights["tsg"])),
        sgi=NetworkConfig(weights=str(weights["sgi"])),
        plan=PlanConfig(chunk_frames=10),
        encode=LOSSLESS,
        threads=1,
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return talking_clip(tmp_path_factory.mktemp("clip") / "talk.mp4", 30)


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    return write_speech(tmp_path_factory.mktemp("speech") / "speech.wav", 1.0)


@pytest.fixture(scope="module")
def dubbed(tiny, clip, speech, tmp_path_factory):
    """The report of a plain dub of the clip; it stands in a folder of its own."""
    return dub(tiny, clip, speech, tmp_path_factory.mktemp("dubbed") / "out.mp4")


def dub(cfg: DubConfig, *paths: Path, **options):
    return SegTalker(cfg, LocalStages(cfg, BlobFaces())).dub(*paths, quiet=True, **options)


def images(path: Path) -> np.ndarray:
    return np.stack([frame.image for frame in read_frames(path)])


def untouched(video: Path, folder: Path) -> np.ndarray:
    """The frames of a clip after the conversions of the output alone."""
    write_segment((frame.image for frame in read_frames(video)), folder / "plain.mp4", Fraction(25), LOSSLESS)
    return images(folder / "plain.mp4")


def test_a_clip_is_dubbed_and_reported(dubbed):
    output = Path(dubbed.output)
    assert dubbed.num_frames == 25 and dubbed.frames == {"synthesized": 25}
    info = probe(output)
    assert (info.width, info.height, info.num_frames, info.has_audio) == (160, 120, 25, True)
    stored = json.loads(output.with_suffix(".report.json").read_text())
    assert stored["weights"].keys() == {"tsg", "sgi"} and stored["config"]["plan"]["chunk_frames"] == 10
    assert stored["tracks"][0]["is_speaker"] and stored["tracks"][0]["style_indices"]
    assert {"decode", "faces", "parse", "tsg", "sgi", "paste", "encode"} <= stored["timings_s"].keys()
    assert sorted(path.name for path in output.parent.iterdir()) == ["out.mp4", "out.report.json"]


def test_the_mouth_changes_and_the_rest_of_the_picture_does_not(dubbed, clip, tmp_path):
    changed = np.abs(untouched(clip, tmp_path)[:25].astype(int) - images(Path(dubbed.output))).max(-1)
    assert changed[:, :44].max() == 0 and changed[:, :, :15].max() == 0
    assert (changed[:, 60:100, 50:110] > 25).mean() > 0.02


def test_an_interrupted_dub_goes_on_from_its_finished_segments(tiny, clip, speech, dubbed, tmp_path):
    output = tmp_path / "out.mp4"

    def stop_late(event):
        if event.stage == "rendering" and event.done >= 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dub(tiny, clip, speech, output, on_progress=stop_late)
    assert not output.exists() and not output.with_suffix(".report.json").exists()
    report = dub(tiny, clip, speech, output)
    assert report.reused_segments == 1 and "reused: 1 segments" in report.summary()
    assert np.array_equal(images(output), images(Path(dubbed.output)))
    assert {path.name for path in tmp_path.iterdir()} == {"out.mp4", "out.report.json"}


def test_a_failure_leaves_an_older_output_alone(tiny, clip, speech, tmp_path):
    output = tmp_path / "out.mp4"
    output.write_bytes(b"an older film")

    def fail(event):
        if event.stage == "rendering":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dub(tiny, clip, speech, output, on_progress=fail)
    assert output.read_bytes() == b"an older film"


def test_chunks_of_another_length_give_the_same_picture(tiny, clip, speech, dubbed, tmp_path):
    longer = replace(tiny, plan=PlanConfig(chunk_frames=24), render=replace(tiny.render, batch=5))
    dub(longer, clip, speech, tmp_path / "b.mp4")
    difference = np.abs(images(Path(dubbed.output)).astype(int) - images(tmp_path / "b.mp4"))
    assert (difference > 2).mean() < 1e-3


def test_a_folder_of_ones_own_keeps_the_work(tiny, clip, speech, tmp_path):
    first = dub(tiny, clip, speech, tmp_path / "a.mp4", work_dir=tmp_path / "work")
    (tmp_path / "a.mp4").unlink()
    second = dub(tiny, clip, speech, tmp_path / "a.mp4", work_dir=tmp_path / "work")
    assert (first.reused_segments, second.reused_segments) == (0, 3)
    assert second.timings_s.get("sgi", 0) == 0


def test_chunks_on_their_way_at_once_give_the_same_frames(tiny, clip, speech, dubbed, tmp_path):
    report = dub(tiny, clip, speech, tmp_path / "b.mp4", chunks_at_once=3)
    assert np.array_equal(images(Path(dubbed.output)), images(tmp_path / "b.mp4"))
    assert report.frames == dubbed.frames


def test_an_error_in_one_chunk_ends_the_dub_and_leaves_no_video(tiny, clip, speech, tmp_path):
    class Stop(Exception):
        pass

    def tell(event: Progress) -> None:
        if event.stage == "rendering" and event.done >= 12:
            raise Stop

    with pytest.raises(Stop):
        dub(tiny, clip, speech, tmp_path / "b.mp4", chunks_at_once=3, on_progress=tell)
    assert not (tmp_path / "b.mp4").exists()


def test_finished_files_are_told_and_are_enough_to_go_on_from(tiny, clip, speech, tmp_path):
    elsewhere: list[str] = []

    def keep(folder: Path, name: str) -> None:
        elsewhere.append(name)
        copy = tmp_path / "copies" / folder.name / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((folder / name).read_bytes())

    first = dub(tiny, clip, speech, tmp_path / "a.mp4", work_dir=tmp_path / "work", on_keep=keep)
    assert elsewhere.index("tracks/tracks.json") > elsewhere.index("tracks/0.landmarks")
    assert elsewhere.index("plan.json") < elsewhere.index("segments/000000.mp4")
    again = dub(tiny, clip, speech, tmp_path / "a.mp4", work_dir=tmp_path / "copies")
    assert (again.reused_segments, again.timings_s.get("sgi", 0)) == (3, 0)
    assert again.frames == first.frames


def test_black_frames_pass_through_and_shift_nothing(tiny, speech, tmp_path):
    def frame(index: int) -> np.ndarray:
        return blank_frame() if 10 <= index < 18 else talking_frame(index)

    video = talking_clip(tmp_path / "talk.mp4", 28, frame)
    report = dub(tiny, video, speech, tmp_path / "out.mp4")
    assert report.frames == {"synthesized": 17, "no_face": 8}
    after = images(tmp_path / "out.mp4")
    assert after[10:18].max() < 20 and after[9].max() > 100 and after[18].max() > 100
    reference = untouched(video, tmp_path)
    assert np.array_equal(after[:, :44], reference[:25, :44])


def test_of_two_faces_the_chosen_one_is_dubbed(tiny, speech, tmp_path):
    def frame(index: int) -> np.ndarray:
        image = talking_frame(index, (240, 120), height=20)
        image[:] = (40, 90, 60)
        draw_face(image, (60, 60), 70, opening=0.5)
        draw_face(image, (180, 60), 60, opening=0.5)
        return image

    video = talking_clip(tmp_path / "two.mp4", 12, frame)
    before = untouched(video, tmp_path)
    left, right = slice(0, 120), slice(120, 240)
    for speaker, chosen, other in (("largest", left, right), ("index:1", right, left)):
        report = dub(replace(tiny, speaker=speaker), video, speech, tmp_path / "out.mp4")
        changed = np.abs(images(tmp_path / "out.mp4").astype(int) - before).max(-1)
        assert report.synthesized == 12 and sum(track.is_speaker for track in report.tracks) == 1
        assert changed[:, :, other].max() == 0 and changed[:, :, chosen].max() > 25


def test_a_hard_cut_makes_two_people(tiny, speech, tmp_path):
    def frame(index: int) -> np.ndarray:
        if index < 12:
            return talking_frame(index)
        image = np.full((120, 160, 3), (150, 60, 140), np.uint8)
        draw_face(image, (60, 62), 60)
        return image

    video = talking_clip(tmp_path / "cut.mp4", 24, frame)
    report = dub(tiny, video, speech, tmp_path / "out.mp4")
    assert [(track.start, track.stop) for track in report.tracks] == [(0, 12), (12, 24)]
    assert report.synthesized == 24


def test_profiles_and_tiny_faces_pass_through(tiny, speech, tmp_path):
    def frame(index: int) -> np.ndarray:
        colour = TURNED_SKIN if index >= 14 else None
        return talking_frame(index) if colour is None else talking_frame(index, colour=colour)

    video = talking_clip(tmp_path / "turn.mp4", 24, frame)
    report = dub(tiny, video, speech, tmp_path / "out.mp4")
    assert report.frames["profile"] >= 6 and report.frames["synthesized"] >= 12
    small = replace(tiny, plan=PlanConfig(min_face_px=65, chunk_frames=10))

    def shrinking(index: int) -> np.ndarray:
        return talking_frame(0, height=80 if index < 12 else 50)

    video = talking_clip(tmp_path / "small.mp4", 24, shrinking)
    report = dub(small, video, speech, tmp_path / "out.mp4")
    assert report.frames["too_small"] >= 8 and report.frames["synthesized"] >= 8


@pytest.mark.parametrize("mode", [SyncMode.SILENCE, SyncMode.BOUNCE])
def test_a_sync_mode_has_its_length(tiny, clip, tmp_path, mode):
    speech = write_speech(tmp_path / "speech.wav", 1.6)
    dub(replace(tiny, sync_mode=mode), clip, speech, tmp_path / "out.mp4")
    expected = 1.2 if mode is SyncMode.SILENCE else 1.6
    times = frame_times(tmp_path / "out.mp4")
    assert abs(float(times[-1]) + 0.04 - expected) <= 0.04


def test_a_frame_rate_is_kept_exactly(tiny, speech, tmp_path):
    rate = Fraction(30000, 1001)
    video = write_clip(tmp_path / "ntsc.mp4", (talking_frame(index) for index in range(20)), rate)
    report = dub(tiny, video, speech, tmp_path / "out.mp4")
    assert report.frame_rate == "30000/1001" and report.num_frames == 20
    assert frame_times(tmp_path / "out.mp4") == [index / rate for index in range(20)]


def test_a_still_portrait_talks_for_as_long_as_the_speech(tiny, speech, tmp_path):
    portrait = tmp_path / "portrait.png"
    cv2.imwrite(str(portrait), talking_frame(0, (200, 180), height=110)[..., ::-1])
    segtalker = SegTalker(tiny, LocalStages(tiny, BlobFaces()))  # one object serves many dubs
    report = segtalker.dub(portrait, speech, tmp_path / "out.mp4", quiet=True)
    assert report.num_frames == 25 and report.synthesized == 25
    segtalker.dub(portrait, speech, tmp_path / "again.mp4", quiet=True)
    assert np.array_equal(images(tmp_path / "out.mp4"), images(tmp_path / "again.mp4"))
    assert probe(tmp_path / "out.mp4").has_audio


def test_of_two_people_in_a_picture_the_one_of_the_photo_talks(tiny, speech, tmp_path):
    picture = blank_frame((240, 120), 90)
    draw_face(picture, (60, 60), 80, (210, 165, 110))
    draw_face(picture, (180, 60), 60)
    cv2.imwrite(str(tmp_path / "two.png"), picture[..., ::-1])
    cv2.imwrite(str(tmp_path / "right.png"), picture[:, 120:, ::-1])
    cfg = replace(
        tiny, speaker=f"photo:{tmp_path / 'right.png'}", portrait=PortraitConfig(motion=0, blink=False)
    )
    dub(cfg, tmp_path / "two.png", speech, tmp_path / "out.mp4")
    write_segment([picture], tmp_path / "plain.mp4", Fraction(25), LOSSLESS)
    changed = np.abs(images(tmp_path / "out.mp4").astype(int) - images(tmp_path / "plain.mp4")).max(-1)
    assert changed[:, :, :120].max() == 0 and changed[:, :, 120:].max() > 25


def test_saved_maps_stand_side_by_side(tiny, clip, speech, tmp_path):
    report = dub(replace(tiny, save_maps=True), clip, speech, tmp_path / "out.mp4")
    info = probe(tmp_path / "out.maps.mp4")
    assert report.maps == str(tmp_path / "out.maps.mp4")
    assert (info.width, info.height, info.num_frames) == (1024, 256, 25)


def test_adaptation_changes_the_result_and_is_found_again(tiny, clip, speech, dubbed, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))
    values = {"steps": 2, "batch": 1, "warped": 0.0}
    adapting = replace(
        tiny,
        adapt=parse_config(DubConfig, {"adapt": values}).adapt,
        analysis=replace(tiny.analysis, adapt_seconds=0.2, adapt_frames=4),
    )
    dub(adapting, clip, speech, tmp_path / "adapted.mp4")
    assert not np.array_equal(images(Path(dubbed.output)), images(tmp_path / "adapted.mp4"))
    steps: list[str] = []
    dub(adapting, clip, speech, tmp_path / "again.mp4", on_progress=lambda event: steps.append(event.stage))
    assert not any(stage.startswith("adapting") for stage in steps)
    assert np.array_equal(images(tmp_path / "again.mp4"), images(tmp_path / "adapted.mp4"))


def test_what_the_output_never_shows_is_not_looked_at(tiny, tmp_path):
    video = talking_clip(tmp_path / "long.mp4", 60)
    speech = write_speech(tmp_path / "short.wav", 0.3)
    backend = BlobFaces()
    SegTalker(tiny, LocalStages(tiny, backend)).dub(video, speech, tmp_path / "out.mp4", quiet=True)
    assert backend.num_detections < 20
