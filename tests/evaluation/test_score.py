"""Known answers: what is scored is what was done to the video."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from segtalker.evaluation.pairs import Pair
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.score import score_pair, score_row
from segtalker.evaluation.scored import Scored
from segtalker.types import Image
from tests.dubbing import blank_frame, talking_frame, write_clip, write_speech
from tests.evaluation.tiny import PROTOCOL, tiny_tools

FRAMES = 45
TOOLS = tiny_tools()
CHEAP = EvalProtocol(size=96, map_size=64, metrics=("image", "landmarks", "flicker", "seam", "mini"))
Change = Callable[[Image, int], Image]


def clip(path: Path, change: Change = lambda image, _: image, frames: int = FRAMES, rate: int = 25) -> Path:
    """A nearly lossless video of the talking blob, every frame changed."""
    images = (change(talking_frame(index * 25 // rate), index) for index in range(frames))
    return write_clip(path, images, Fraction(rate), crf=4)


@pytest.fixture(scope="module")
def true(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("true") / "true.mp4")


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech(tmp_path_factory.mktemp("speech") / "speech.wav", FRAMES / 25)


@pytest.fixture(scope="module")
def identical(true: Path, speech: Path) -> Scored:
    copy = Path(shutil.copy(true, speech.with_name("copy.mp4")))
    pair = Pair(id="a", output=str(copy), reference=str(true), speech=str(speech))
    return score_pair(pair, PROTOCOL, TOOLS)


def against(true: Path, output: Path, protocol: EvalProtocol = CHEAP, **more: str) -> dict[str, float | None]:
    scored = score_pair(Pair(id="a", output=str(output), reference=str(true), **more), protocol, TOOLS)
    return scored.figures.figures() | scored.sets.figures()


def test_identical_videos_have_no_error_at_all(identical: Scored):
    found = identical.figures.figures()
    zero = ("f_lmd", "m_lmd", "f_lmd_centred", "m_lmd_centred", "seam", "flicker")
    assert {name: found[name] for name in zero} == dict.fromkeys(zero, 0)
    assert found["psnr"] == 110 and found["ssim"] == pytest.approx(1, abs=1e-9)
    assert found["miou"] == 1 and found["coverage"] == 1 and found["opening"] == pytest.approx(1)
    assert identical.sets.figures()["frechet_mini"] == pytest.approx(0, abs=1e-6)
    assert identical.figures.frames == FRAMES and identical.notes == ()
    assert found["expert_confidence"] > 0 and identical.figures.expert.windows == FRAMES - 4 - 30


def test_a_video_that_is_its_own_reference_scores_as_a_copy_of_it_does(
    identical: Scored, true: Path, speech: Path
):
    own = score_pair(Pair(id="a", output=str(true), reference=str(true), speech=str(speech)), PROTOCOL, TOOLS)
    assert own.figures.figures() == identical.figures.figures()


def test_scores_of_two_parts_merge_into_those_of_the_whole(true: Path, speech: Path, tmp_path: Path):
    output = clip(tmp_path / "a.mp4", lambda image, index: cv2.GaussianBlur(image, (0, 0), 1 + index % 3))
    pair = Pair(id="a", output=str(output), reference=str(true), speech=str(speech))
    whole = score_pair(pair, PROTOCOL, TOOLS)
    parts = [score_pair(pair, PROTOCOL, TOOLS, part) for part in ((0, 17), (17, 45))]
    merged = parts[0].figures + parts[1].figures
    expected, found = whole.figures.figures(), merged.figures()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (None if value is None else pytest.approx(value, rel=1e-6, abs=1e-9)), name
    sets = (parts[0].sets + parts[1].sets).figures()
    assert sets["frechet_mini"] == pytest.approx(whole.sets.figures()["frechet_mini"], rel=1e-6)


def test_blur_costs_psnr_and_ssim_the_more_the_stronger_and_moves_no_landmark_far(true: Path, tmp_path: Path):
    mild, strong = (
        against(true, clip(tmp_path / f"{s}.mp4", lambda image, _, s=s: cv2.GaussianBlur(image, (0, 0), s)))
        for s in (1.0, 3.0)
    )
    assert strong["psnr"] < mild["psnr"] < 45 and strong["ssim"] < mild["ssim"] < 1
    assert 0 < mild["frechet_mini"] < strong["frechet_mini"]
    assert mild["f_lmd"] < 10  # px of 512: a pixel or two of these small faces


def test_a_pasted_mouth_has_a_seam_and_costs_little_of_the_picture(true: Path, tmp_path: Path):
    def paste(image: Image, index: int) -> Image:
        image[70:90, 60:100] = np.clip(image[70:90, 60:100].astype(int) + 30, 0, 255)
        return image

    found = against(true, clip(tmp_path / "a.mp4", paste))
    assert found["seam"] > 2 and found["psnr"] > 20
    soft = clip(tmp_path / "b.mp4", lambda image, _: np.clip(image.astype(int) + 3, 0, 255).astype(np.uint8))
    assert against(true, soft)["seam"] < 0.1  # all of it brighter by less than the codec may do


def test_flicker_is_measured_beyond_that_of_the_true_video(true: Path, tmp_path: Path):
    def flash(image: Image, index: int) -> Image:
        return np.clip(image.astype(int) + (6 if index % 2 else 0), 0, 255).astype(np.uint8)

    found = against(true, clip(tmp_path / "a.mp4", flash))
    assert found["flicker"] == pytest.approx(3, abs=0.7) and found["flicker_output"] > found["flicker"]


def test_a_face_that_moved_by_some_pixels_shows_in_raw_landmarks_only(true: Path, tmp_path: Path):
    moved = clip(tmp_path / "a.mp4", lambda image, _: np.roll(image, 3, axis=1))
    found = against(true, moved)
    # 3 px in a frame where the crop's side is known from the reference's own alignment.
    assert (
        found["f_lmd"] == pytest.approx(found["m_lmd"], rel=0.2)
        and found["f_lmd"] > 8 > 4 * found["f_lmd_centred"]
    )
    assert found["m_lmd_centred"] < 0.3 * found["m_lmd"]


def test_copying_the_input_leaks_the_source_and_fails_to_fall_silent(true: Path, tmp_path: Path):
    protocol = EvalProtocol(size=96, map_size=64, metrics=("opening",))
    speech = write_speech(tmp_path / "s.wav", FRAMES / 25, loudness=0.0)
    copy = Pair(id="a", output=str(true), source=str(true), speech=str(speech))
    found = score_pair(copy, protocol, TOOLS).figures.figures()
    assert found["leak"] == pytest.approx(1) and found["silence_leak"] == pytest.approx(1)
    assert found["silence"] is None and found["opening"] is None and found["coverage"] == 1


def test_frames_that_the_output_lacks_or_shows_no_face_in_are_not_covered(true: Path, tmp_path: Path):
    short = clip(tmp_path / "a.mp4", lambda image, i: blank_frame() if i % 5 == 0 else image, frames=40)
    pair = Pair(id="a", output=str(short), reference=str(true))
    scored = score_pair(pair, CHEAP, TOOLS)
    assert scored.figures.figures()["coverage"] == pytest.approx(32 / 45)
    assert scored.notes[0] == "output 0.20 s shorter than the reference: scored over the first 1.60 s"
    assert scored.figures.figures()["psnr"] < 45  # of 52 without the black ones


def test_another_rate_is_resampled_in_time_and_told(true: Path, tmp_path: Path):
    fast = clip(tmp_path / "a.mp4", frames=2 * FRAMES, rate=50)
    scored = score_pair(Pair(id="a", output=str(fast), reference=str(true)), CHEAP, TOOLS)
    assert scored.notes[0] == "output: 50 fps, scored at 25"
    assert scored.figures.figures()["psnr"] > 35 and scored.figures.frames == FRAMES


def test_an_output_of_another_size_is_cut_alike(true: Path, tmp_path: Path):
    large = clip(tmp_path / "a.mp4", lambda image, _: cv2.resize(image, None, fx=2, fy=2))
    scored = score_pair(Pair(id="a", output=str(large), reference=str(true)), CHEAP, TOOLS)
    assert scored.notes == (
        "output of 320x240, reference of 160x120",
        "no sound: what needs speech was not measured",
    )
    found = scored.figures.figures()
    assert found["psnr"] > 28 and found["f_lmd"] < 10


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("absent", "no video: .*absent.mp4 does not exist"),
        ("damaged", "no video: .*damaged.mp4"),
        ("short", r"1\.20 s, but its reference .* 1\.80 s: more than 0\.5 s apart"),
        ("square", "a picture of 120x120, but its reference's is 160x120.*crop: own"),
    ],
)
def test_what_cannot_be_scored_is_a_row_with_a_reason(output: str, reason: str, true: Path, tmp_path: Path):
    path = tmp_path / f"{output}.mp4"
    if output == "damaged":
        path.write_bytes(b"nothing")
    if output == "short":
        clip(path, frames=30)
    if output == "square":
        clip(path, lambda image, _: image[:, 20:140])
    row = score_row(Pair(id="a", output=str(path), reference=str(true)), CHEAP, TOOLS)
    assert row.id == "a" and row.figures.figures() == {} and "\n" not in row.reason
    assert re.search(reason, row.reason), row.reason


def test_a_video_without_a_face_is_a_row_with_a_reason(tmp_path: Path):
    path = write_clip(tmp_path / "empty.mp4", [blank_frame(value=90)] * 12)
    row = score_row(Pair(id="a", output=str(path)), CHEAP, TOOLS)
    assert "no face was found" in row.reason and "empty.mp4" in row.reason


def test_a_file_that_a_pair_names_and_that_is_not_there_is_told(true: Path):
    row = score_row(Pair(id="a", output=str(true), labels="nowhere.json"), CHEAP, TOOLS)
    assert row.reason == "nowhere.json: the labels does not exist. Correct its path in the pair."


def test_each_face_may_be_cut_by_its_own_track(true: Path, tmp_path: Path):
    moved = clip(tmp_path / "a.mp4", lambda image, _: np.roll(image, 12, axis=1))
    protocol = EvalProtocol(size=96, map_size=64, metrics=("image", "landmarks"), crop="own")
    assert against(true, moved, protocol)["f_lmd"] < 0.3 * against(true, moved)["f_lmd"]


def test_only_the_first_frames_are_looked_at_where_the_protocol_says_so(true: Path):
    protocol = EvalProtocol(size=96, map_size=64, metrics=("image",), max_frames=20)
    done = []
    scored = score_pair(
        Pair(id="a", output=str(true), reference=str(true)),
        protocol,
        TOOLS,
        on_frame=lambda n, of: done.append((n, of)),
    )
    assert scored.figures.frames == 20 and done == [(20, 20)]
    assert set(scored.figures.figures()) == {"psnr", "ssim", "coverage"}
