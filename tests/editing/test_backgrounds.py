"""Backgrounds of recipes: what is read, and what whole dubs show, with small random networks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from segtalker.compositing.plan import PlanConfig, SyncMode
from segtalker.dub_config import DubConfig
from segtalker.editing.footage import Footage
from segtalker.editing.recipe import Edit, at_full, load_recipe
from segtalker.editing.short import read_edits
from segtalker.errors import ConfigError, MediaError, SegTalkerError, StorageError
from segtalker.pipeline import SegTalker
from tests.conftest import frame_value, read_value, write_tiny_video
from tests.dubbing import BACKGROUND, talking_frame, write_clip, write_speech
from tests.editing.test_retouch import retouch
from tests.test_pipeline import dub, images, tiny  # noqa: F401  the fixture

TEAL = (0, 120, 130)
BLANK = np.full((120, 160, 3), BACKGROUND, np.uint8)


@pytest.fixture(scope="module")
def quick(tiny) -> DubConfig:  # noqa: F811
    """Chunks of four frames, in batches of three."""
    return replace(tiny, plan=PlanConfig(chunk_frames=4), render=replace(tiny.render, batch=3))


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Eight frames of a person, with nobody in the sixth."""
    frames = [talking_frame(index) for index in range(8)]
    frames[5] = BLANK
    return write_clip(tmp_path_factory.mktemp("clip") / "talk.mp4", frames)


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    return write_speech(tmp_path_factory.mktemp("speech") / "speech.wav", 0.32)


@pytest.fixture(scope="module")
def plain(quick, clip, speech, tmp_path_factory) -> np.ndarray:
    output = tmp_path_factory.mktemp("plain") / "out.mp4"
    dub(quick, clip, speech, output)
    return images(output)


def picture_at(path: Path, colour=TEAL, size=(90, 200)) -> Path:
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), colour[::-1], np.uint8))
    return path


def edited(cfg: DubConfig, clip: Path, speech: Path, output: Path, *texts: str) -> np.ndarray:
    dub(replace(cfg, edits=read_edits(texts)), clip, speech, output)
    return images(output)


def corner(frames: np.ndarray) -> np.ndarray:
    """[T, 3] the colour of a corner that nobody comes near to."""
    return frames[:, 2:12, 2:12].mean((1, 2))


def test_backgrounds_are_read_from_short_forms_and_files(tmp_path):
    short = read_edits(["background=office.jpg"])
    assert short == (Edit(edit="background", file=Path("office.jpg")),)
    assert read_edits(["background=blur@0.6"]) == (Edit(edit="background", blur=20.0, amount=0.6),)
    assert read_edits(["background=#204060@0.5:1-2"]) == (
        Edit(edit="background", colour="#204060", amount=0.5, span=(1.0, 2.0)),
    )
    (tmp_path / "recipe.yaml").write_text("edits: [{edit: background, file: a/office.jpg, light: 0}]")
    (edit,) = load_recipe(tmp_path / "recipe.yaml")
    assert edit.file == tmp_path / "a/office.jpg" and edit.light == 0
    assert at_full((replace(edit, span=(1.0, 2.0)),)) == (edit,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("background", "say what it shall be, as in background=office.jpg or background=blur"),
        ("background=blurr", "unknown colour 'blurr'.* blur, or a file"),
        ("background=blur@2", r"amount 2 is outside 0\.\.1"),
        ("background=red,background=blur", r"edits\[0\] and edits\[1\] are both background at 0 s"),
    ],
)
def test_a_wrong_short_form_is_refused_with_a_remedy(text, message):
    with pytest.raises(ConfigError, match=message):
        read_edits([text])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"file": Path("a.jpg"), "blur": 3.0}, "one of file, colour and blur"),
        ({"blur": 0.0}, r"blur 0 is outside 0\.\.100"),
        ({"colour": "red", "light": 1.5}, r"light 1\.5 is outside"),
        ({"blur": 9.0, "light": 0.5}, "leave light out"),
        ({"colour": "red", "region": "hair"}, "background takes no region"),
    ],
)
def test_a_wrong_background_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Edit(edit="background", **values)


def test_a_background_acts_in_its_span_on_every_frame_and_keeps_the_person(
    quick, clip, speech, plain, tmp_path
):
    picture = picture_at(tmp_path / "teal.png")
    (tmp_path / "recipe.yaml").write_text(
        "edits: [{edit: background, file: teal.png, light: 0, span: [0.08, 0.28], ease: 0}]"
    )
    result = edited(quick, clip, speech, tmp_path / "out.mp4", str(tmp_path / "recipe.yaml"))
    inside = slice(2, 7)  # with the sixth frame, which shows nobody
    assert picture.is_file() and np.abs(corner(result)[inside] - TEAL).max() < 4
    assert np.array_equal(result[:2], plain[:2]) and np.array_equal(result[7:], plain[7:])
    assert np.abs(result[5].astype(int) - TEAL).max() < 4
    assert np.abs(result[3, 45:75, 70:90].astype(int) - plain[3, 45:75, 70:90]).max() <= 2


@pytest.mark.parametrize("text", ["background=teal.png@0", "background=blur@0", "background=#102030:0.319-9"])
def test_a_background_of_no_strength_changes_no_bit(text, quick, clip, speech, plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture_at(tmp_path / "teal.png")
    assert np.array_equal(edited(quick, clip, speech, tmp_path / "out.mp4", text), plain)


def test_ranges_rendered_apart_or_after_an_interruption_are_those_of_the_whole(quick, clip, speech, tmp_path):
    picture = picture_at(tmp_path / "teal.png")
    cfg = replace(quick, edits=read_edits([f"background={picture}@0.9"]))
    dub(cfg, clip, speech, tmp_path / "whole.mp4")
    whole, output = images(tmp_path / "whole.mp4"), tmp_path / "out.mp4"

    def stop_late(event):
        if event.stage == "rendering" and event.done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dub(cfg, clip, speech, output, on_progress=stop_late)
    report = dub(cfg, clip, speech, output)
    assert report.reused_segments == 1 and np.array_equal(images(output), whole)
    dub(cfg, clip, speech, tmp_path / "threads.mp4", chunks_at_once=2)
    assert np.array_equal(images(tmp_path / "threads.mp4"), whole)


def test_a_work_folder_has_all_that_another_worker_needs(quick, clip, speech, tmp_path):
    picture = picture_at(tmp_path / "teal.png")
    cfg = replace(quick, edits=read_edits([f"background={picture}"]))
    kept = []
    dub(
        cfg,
        clip,
        speech,
        tmp_path / "out.mp4",
        work_dir=tmp_path,
        on_keep=lambda folder, name: kept.append(name),
    )
    (copy,) = tmp_path.glob("out-*/background_0.png")
    assert copy.read_bytes() == picture.read_bytes() and kept.index(copy.name) < kept.index("plan.json")


def test_a_blur_keeps_the_light_and_takes_the_pattern(quick, clip, speech, plain, tmp_path):
    result = edited(quick, clip, speech, tmp_path / "out.mp4", "background=blur")
    rows = plain[:, :24, :20].astype(float), result[:, :24, :20].astype(float)
    assert rows[1].std(1).mean() < 0.5 * rows[0].std(1).mean()
    assert np.abs(rows[1].mean((1, 2)) - rows[0].mean((1, 2))).max() < 4
    assert np.abs(result[3, 45:75, 70:90].astype(int) - plain[3, 45:75, 70:90]).max() <= 2


def test_a_video_of_another_rate_and_size_runs_by_time_and_again(tmp_path):
    path = write_tiny_video(tmp_path / "slow.mp4", 5, Fraction(10), options={"crf": "4"})
    footage = Footage(path, (40, 100))
    shown = [footage.at(Fraction(k, 25)) for k in (0, 2, 3, 12, 13, 24, 2)]
    assert all(image.shape == (100, 40, 3) for image in shown)
    assert [read_value(image) for image in shown] == [0, 0, 1, 4, 0, 4, 0]
    assert frame_value(1) != frame_value(0)


def test_a_looped_and_turned_source_gets_its_background_by_the_time_of_the_output(quick, clip, tmp_path):
    film = write_clip(tmp_path / "film.mp4", (np.full((60, 60, 3), 20 * i, np.uint8) for i in range(12)))
    long = write_speech(tmp_path / "long.wav", 0.48)
    cfg = replace(quick, sync_mode=SyncMode.BOUNCE)
    result = edited(cfg, clip, long, tmp_path / "out.mp4", f"background={film}")
    assert np.abs(corner(result)[:, 0] - 20 * np.arange(12)).max() < 4


def test_a_picture_gets_its_background_without_speech(tiny, tmp_path):  # noqa: F811
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), cv2.cvtColor(talking_frame(0, (240, 200), height=110), cv2.COLOR_RGB2BGR))
    retouch(tiny, photo, tmp_path / "out.png", "background=#007882:0-1")
    result = cv2.cvtColor(cv2.imread(str(tmp_path / "out.png")), cv2.COLOR_BGR2RGB)
    assert result.shape == (200, 240, 3) and (result[:20, :20] == TEAL).all()


def test_what_is_on_a_background_belongs_to_the_key_of_a_run(quick, clip, speech, tmp_path):
    picture = picture_at(tmp_path / "teal.png")
    talker = SegTalker(replace(quick, edits=read_edits([f"background={picture}"])))
    before = talker.run_key(clip, speech)
    picture_at(picture, (1, 2, 3))
    assert talker.run_key(clip, speech) != before


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("nowhere.jpg", ConfigError, "nowhere.jpg: there is no such background; name a picture or a video"),
        ("text.jpg", MediaError, "text.jpg: "),
        ("speech.wav", MediaError, "speech.wav: "),
    ],
)
def test_a_background_that_cannot_be_read_is_named_before_any_work(
    name, kind, message, quick, clip, speech, tmp_path
):
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "speech.wav").write_bytes(speech.read_bytes())
    cfg = replace(quick, edits=read_edits([f"background={tmp_path / name}"]))
    stages = []
    with pytest.raises(SegTalkerError, match=message) as error:
        dub(cfg, clip, speech, tmp_path / "out.mp4", on_progress=lambda event: stages.append(event.stage))
    assert isinstance(error.value, kind) and not stages and "\n" not in str(error.value)


def test_a_portrait_moves_in_front_of_its_new_background(tiny, speech, tmp_path):  # noqa: F811
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), cv2.cvtColor(talking_frame(0, (240, 200), height=110), cv2.COLOR_RGB2BGR))
    result = edited(tiny, photo, speech, tmp_path / "out.mp4", "background=#007882")
    assert len(result) == 8 and np.abs(corner(result) - TEAL).max() < 4
    assert np.abs(np.diff(result[:, 60:140, 80:160].astype(int), axis=0)).max() > 5


def test_a_background_is_never_written_over(quick, clip, speech, tmp_path):
    film = write_tiny_video(tmp_path / "film.mp4", 3)
    before = film.read_bytes()
    with pytest.raises(StorageError, match=r"film\.mp4: is an input of this dub"):
        edited(quick, clip, speech, film, f"background={film}")
    assert film.read_bytes() == before
