"""Edits through a whole dub, and without speech, with small random networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from segtalker.compositing.plan import PlanConfig
from segtalker.dub_config import DubConfig
from segtalker.editing.fitted import Fitted
from segtalker.editing.recipe import Edit
from segtalker.editing.short import read_edits
from segtalker.errors import ConfigError, FaceNotFound, SegTalkerError, WeightsError
from segtalker.local_stages import LocalStages
from segtalker.pipeline import SegTalker
from segtalker.render import RenderConfig
from tests.dubbing import blank_frame, talking_clip, talking_frame, write_speech
from tests.test_pipeline import dub, images, tiny, untouched  # noqa: F401  the fixture

LATE = Edit(edit="recolour", region="skin", colour="blue", span=(0.16, 0.32), ease=0.0)


@pytest.fixture(scope="module")
def quick(tiny) -> DubConfig:  # noqa: F811
    """Chunks of five frames."""
    return replace(tiny, plan=PlanConfig(chunk_frames=5))


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return talking_clip(tmp_path_factory.mktemp("clip") / "talk.mp4", 12)


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    return write_speech(tmp_path_factory.mktemp("speech") / "speech.wav", 0.4)


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "ref.png"
    cv2.imwrite(str(path), cv2.cvtColor(talking_frame(3, (240, 200), height=110), cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture(scope="module")
def plain(quick, clip, speech, tmp_path_factory) -> np.ndarray:
    output = tmp_path_factory.mktemp("plain") / "out.mp4"
    dub(quick, clip, speech, output)
    return images(output)


def edited(cfg: DubConfig, clip: Path, speech: Path, output: Path, *edits: Edit) -> np.ndarray:
    dub(replace(cfg, edits=edits), clip, speech, output)
    return images(output)


def changed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[T, H, W]"""
    return np.abs(a.astype(int) - b).max(-1)


def test_an_edit_acts_in_its_span_alone_and_only_around_its_region(quick, clip, speech, plain, tmp_path):
    result = changed(edited(quick, clip, speech, tmp_path / "out.mp4", LATE), plain)
    assert result[:4].max() == 0 and result[8:].max() == 0
    assert (result[4:8].max((1, 2)) > 20).all()
    assert result[:, :8].max() == 0 and result[:, :, :15].max() == 0


@pytest.mark.parametrize("edits", ["frown=0,lip=red@0,skin={photo}@0,blink=0.2/s:0.3-0.39,open_mouth=0"])
def test_an_edit_of_no_strength_changes_no_bit(edits, quick, clip, speech, plain, photo, tmp_path):
    recipe = read_edits([edits.format(photo=photo)])
    assert np.array_equal(edited(quick, clip, speech, tmp_path / "out.mp4", *recipe), plain)


@pytest.fixture(scope="module")
def shade(quick, tmp_path_factory) -> Path:
    """A direction in the codes of the tiny renderer."""
    networks = LocalStages(quick).networks
    codes = networks.painter.encode(np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 32, 32), np.uint8))
    direction = np.random.default_rng(0).normal(size=codes.shape).astype(np.float32)
    path = tmp_path_factory.mktemp("fitted") / "shade.safetensors"
    counts = (9,) * len(direction)
    Fitted("direction", {"direction": direction}, networks.hashes["sgi"], counts, {}).save(path)
    return path


def test_a_direction_does_nothing_at_0_something_at_1_and_belongs_to_the_key(
    quick, clip, speech, plain, shade, tmp_path
):
    none, some = (read_edits([f"skin={shade}@{amount}"]) for amount in (0, 1))
    assert np.array_equal(edited(quick, clip, speech, tmp_path / "none.mp4", *none), plain)
    result = changed(edited(quick, clip, speech, tmp_path / "some.mp4", *some), plain)
    assert (result.max((1, 2)) > 3).all() and result[:, :8].max() == 0
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(shade.read_bytes())
    talker = SegTalker(replace(quick, edits=read_edits([f"skin={copy}"])))
    before = talker.run_key(clip, speech)
    copy.write_bytes(shade.read_bytes() + b" ")
    assert talker.run_key(clip, speech) != before


def test_every_edit_leaves_its_mark(quick, clip, speech, plain, photo, tmp_path):
    for i, text in enumerate(["close_eyes", "raise_brows", "thicken_lips", f"skin={photo}", "eyes=blue"]):
        result = changed(edited(quick, clip, speech, tmp_path / f"{i}.mp4", *read_edits([text])), plain)
        assert result.max() > 3, text
        assert result[:, :8].max() == 0 and result[:, :, :15].max() == 0, text


def test_an_edited_dub_can_be_interrupted_and_reports_its_edits(quick, clip, speech, photo, tmp_path):
    cfg = replace(quick, edits=(LATE, *read_edits([f"skin={photo}@0.5"])))
    whole, output = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    dub(cfg, clip, speech, whole)

    def stop_late(event):
        if event.stage == "rendering" and event.done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dub(cfg, clip, speech, output, on_progress=stop_late)
    report = dub(cfg, clip, speech, output)
    assert report.reused_segments == 1 and np.array_equal(images(output), images(whole))
    told = json.loads(output.with_suffix(".report.json").read_text())["config"]["edits"]
    assert [edit["edit"] for edit in told] == ["recolour", "texture"] and told[1]["reference"] == str(photo)


def test_what_is_on_a_reference_belongs_to_the_key_of_a_run(quick, clip, speech, photo, tmp_path):
    reference = tmp_path / "ref.png"
    reference.write_bytes(photo.read_bytes())
    talker = SegTalker(replace(quick, edits=read_edits([f"skin={reference}"])))
    before = talker.run_key(clip, speech)
    assert talker.run_key(clip, speech) == before
    elsewhere = SegTalker(replace(quick, edits=read_edits([f"skin={photo}"])))
    assert elsewhere.run_key(clip, speech) == before, "where it lies does not count"
    cv2.imwrite(str(reference), np.zeros((64, 64, 3), np.uint8))
    assert talker.run_key(clip, speech) != before


def test_with_the_mouth_kept_only_the_edit_changes_the_source(quick, clip, speech, tmp_path):
    cfg = replace(quick, render=RenderConfig(mouth="keep"))
    dub(cfg, clip, speech, tmp_path / "kept.mp4")
    kept = images(tmp_path / "kept.mp4")
    assert np.array_equal(kept, untouched(clip, tmp_path)[:10])
    result = changed(edited(cfg, clip, speech, tmp_path / "out.mp4", LATE), kept)
    assert result[:4].max() == 0 and (result[4:8].max((1, 2)) > 20).all()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["frown:5-6"], r"edits\[0\] \(frown\): 5 s lies outside the output, which lasts 0\.40 s"),
        (["hair=nowhere.jpg"], "nowhere.jpg: there is no such reference"),
        (["hair={blank}"], "no face in the reference"),
        (["hair=nowhere.safetensors"], "nowhere.safetensors: there is no such direction"),
        (["hair=random:7"], "style of hair: fitted to the codes of another renderer"),
        (["ear_rings={photo}"], "shows no ear_rings"),
    ],
)
def test_what_cannot_be_done_is_said_before_faces_are_looked_for(
    texts,
    message,
    quick,
    clip,
    speech,
    photo,
    tmp_path,
):
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), blank_frame())
    recipe = read_edits([text.format(blank=blank, photo=photo) for text in texts])
    stages = []
    with pytest.raises(SegTalkerError, match=message) as error:
        dub(
            replace(quick, edits=recipe),
            clip,
            speech,
            tmp_path / "out.mp4",
            on_progress=lambda event: stages.append(event.stage),
        )
    assert isinstance(error.value, (ConfigError, FaceNotFound, WeightsError)) and not stages
    assert not (tmp_path / "out.mp4").exists()
