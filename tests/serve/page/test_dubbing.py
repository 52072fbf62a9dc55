"""From the choice of files to the finished video, against the service itself with tiny networks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segtalker.config import parse_config
from segtalker.local_stages import LocalStages
from segtalker.media.read import read_frames
from segtalker.types import Image
from serve.api import create_api
from serve.config import ServiceConfig
from serve.local import LocalService
from tests.dubbing import (
    BACKGROUND,
    BlobFaces,
    draw_face,
    require_face_models,
    talking_clip,
    tiny_weights,
    write_speech,
)
from tests.serve.page.conftest import served
from tests.serve.page.driving import await_result, tab_to, text, until

SECONDS, FRAMES = 0.4, 10


def two_people(index: int) -> Image:
    """A tall person on the left, a smaller one on the right."""
    image = np.full((120, 240, 3), BACKGROUND, np.uint8)
    opening = 0.5 + 0.5 * np.sin(index / 2)
    draw_face(image, (70, 60), 80, opening=opening)
    draw_face(image, (180, 62), 64, opening=opening)
    return image


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    talking_clip(folder / "two.mp4", FRAMES, two_people)
    write_speech(folder / "speech.wav", SECONDS)
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ServiceConfig:
    folder = tmp_path_factory.mktemp("service")
    weights = {name: {"weights": str(path)} for name, path in tiny_weights(folder).items()}
    values = {"dub": {**weights, "threads": 1}, "jobs": {"storage": str(folder / "jobs"), "poll_s": 0.1}}
    return parse_config(ServiceConfig, values)


@pytest.fixture(scope="module")
def url(config: ServiceConfig) -> Iterator[str]:
    stages = LocalStages(config.dub, BlobFaces())
    with LocalService(config, stages) as service, served(create_api(service)) as address:
        yield address


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_files_are_chosen_a_speaker_pressed_and_the_video_comes(url, open_page, media, tmp_path, size):
    page = open_page(url, size).page
    page.locator("#video-file").set_input_files(media / "two.mp4")
    page.locator("#speech-file").set_input_files(media / "speech.wav")
    page.get_by_role("button", name="Face 2 of 2").click()
    page.locator(".more summary").click()
    page.locator("#save-maps").check()
    page.locator("#start").click()
    await_result(page)
    page.get_by_role("link", name="Region maps").wait_for()
    video = download(page, "Video", tmp_path)
    report = json.loads(download(page, "Report", tmp_path).read_text())
    assert_second_person_speaks(video, report, media / "two.mp4")
    assert abs(page.locator("#after video").evaluate("video => video.duration") - SECONDS) < 0.05
    assert f"Dubbed: {FRAMES} (100 %)" in text(page, "#report")
    assert text(page, "#dub-status").startswith("Done")
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]


def test_edits_are_previewed_in_the_frame_and_worn_in_the_video(url, open_page, media, tmp_path):
    page = open_page(url).page
    page.locator("#video-file").set_input_files(media / "two.mp4")
    page.locator("#speech-file").set_input_files(media / "speech.wav")
    page.get_by_role("button", name="Face 2 of 2").click()
    page.locator("#edits > summary").click()
    page.get_by_label("Lips: colour").fill("#0040ff")
    page.get_by_label("Lips: strength").fill("1")
    page.wait_for_selector("#edited:visible")
    until(page, "document.querySelector('#edits-status').textContent === ''")
    assert text(page, "#edits-error") == ""
    page.locator("#start").click()
    await_result(page)
    report = json.loads(download(page, "Report", tmp_path).read_text())
    (edit,) = report["config"]["edits"]
    assert (edit["region"], edit["colour"], edit["amount"]) == ("lip", "#0040ff", 1.0)
    bluest = np.zeros((120, 240))
    for frame in read_frames(download(page, "Video", tmp_path)):
        bluest = np.maximum(bluest, frame.image[..., 2].astype(int) - frame.image[..., 0])
    assert bluest[:, 130:].max() > 40 + bluest[:, :110].max()


def test_by_keyboard_alone(url, open_page, media, tmp_path):
    page = open_page(url).page
    wanted = iter((media / "two.mp4", media / "speech.wav"))
    page.on("filechooser", lambda chooser: chooser.set_files(next(wanted)))
    page.wait_for_selector(".sample")  # by then the browser hands its file dialogues over
    for kind in ("video", "speech"):
        tab_to(page, f"#{kind}-file")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#{kind}-name:not(:empty)")
    page.wait_for_selector(".face")
    tab_to(page, ".face:nth-child(2)")
    page.keyboard.press("Enter")
    tab_to(page, "#sync-mode")
    page.keyboard.press("ArrowDown")
    tab_to(page, ".more summary")
    page.keyboard.press("Enter")
    tab_to(page, "#crf")
    page.keyboard.type("12")
    tab_to(page, "#start")
    page.keyboard.press("Enter")
    await_result(page)
    until(page, "document.activeElement.id === 'result-title'")
    tab_to(page, "#play")
    page.keyboard.press("Space")
    until(page, "document.querySelector('#after video').currentTime > 0.1")
    tab_to(page, "#downloads a:first-child")
    with page.expect_download() as started:
        page.keyboard.press("Enter")
    video = tmp_path / "two.dubbed.mp4"
    started.value.save_as(video)
    tab_to(page, "#downloads a:last-child")
    with page.expect_download() as started:
        page.keyboard.press("Enter")
    report = json.loads(Path(started.value.path()).read_text())
    assert_second_person_speaks(video, report, media / "two.mp4")
    assert (report["config"]["sync_mode"], report["config"]["encode"]["crf"]) == ("loop", 12)


def test_a_sample_portrait_speaks(config, open_page, media):
    require_face_models()
    with LocalService(config) as service, served(create_api(service)) as url:
        page = open_page(url).page
        page.get_by_role("button", name="A portrait").click()
        page.get_by_role("button", name="Face 1 of 1").click()
        page.locator("#speech-file").set_input_files(media / "speech.wav")
        page.locator("#start").click()
        await_result(page)
    assert page.locator("#before img").count() == 1
    assert f"Dubbed: {FRAMES} (100 %)" in text(page, "#report")


def test_a_file_that_is_no_video_is_refused_where_the_button_is(url, open_page, media, tmp_path):
    odd = tmp_path / "letter.mp4"
    odd.write_text("Dear Sir or Madam")
    watched = open_page(url)
    watched.expected = ("422",)
    page = watched.page
    page.locator("#video-file").set_input_files(odd)
    page.locator("#speech-file").set_input_files(media / "speech.wav")
    page.locator("#start").click()
    page.wait_for_selector("#dub-error:not(:empty)")
    assert text(page, "#dub-error").count(".") >= 1 and "status" not in text(page, "#dub-error")
    assert page.locator("#start").is_visible()


def download(page: Any, title: str, folder: Path) -> Path:
    with page.expect_download() as started:
        page.get_by_role("link", name=title, exact=True).click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def assert_second_person_speaks(video: Path, report: dict[str, Any], source: Path) -> None:
    assert report["frames"] == {"synthesized": FRAMES}
    assert [track["is_speaker"] for track in report["tracks"]].count(True) == 1
    change = np.zeros((120, 240))
    for before, after in zip(read_frames(source), read_frames(video), strict=True):
        change = np.maximum(change, np.abs(before.image.astype(int) - after.image).max(-1))
    assert change[:, 130:].max() > 3 * change[:, :110].max()  # the encoder alone changes the left side
