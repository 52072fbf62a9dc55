"""The page against a service that is held in chosen states; `test_dubbing.py` has the real one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import serve.page
from serve.page import page_files
from tests.serve.page.conftest import served
from tests.serve.page.driving import Watched, await_result, take_sample, text, until
from tests.serve.page.stand_in import StandIn, stand_in_app

SAMPLES = Path(serve.page.__file__).parent / "samples"
OpenPage = Callable[..., Watched]


@pytest.fixture
def play() -> StandIn:
    return StandIn(result=page_files()["samples/clip.mp4"].body)


@pytest.fixture
def url(play: StandIn) -> Iterator[str]:
    with served(stand_in_app(play)) as address:
        yield address


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_a_sample_is_dubbed_shown_beside_its_source_and_offered(play, url, open_page: OpenPage, size):
    page = open_page(url, size).page
    take_sample(page)
    page.locator("#start").click()
    until(page, "location.hash === '#job=jstandin'")
    play.state, play.stage = "running", 3
    page.wait_for_selector("[data-stage=rendering]")
    assert text(page, "#dub-status") == "Rendering…"
    assert text(page, "#eta") == "about 10 s left"
    assert text(page, "[data-stage=rendering] .stage-count") == "34 of 100 frames"
    play.finish()
    await_result(page)
    assert text(page, "#dub-status") == "Done in 9.5 s."
    assert page.locator("#before video").count() == 1
    assert page.locator("#downloads a").evaluate_all("all => all.map(a => a.download)") == [
        "clip.dubbed.mp4",
        "clip.report.json",
    ]
    assert "Dubbed: 88 (88 %)" in text(page, "#report")
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    (sent,) = play.uploads
    assert (sent["video"], sent["speech"]) == ("clip.mp4", "clip_speech.m4a")
    assert json.loads(sent["options"]) == {"speaker": "largest", "sync_mode": "cut_off"}


def test_both_videos_play_together(play, url, open_page: OpenPage):
    play.finish()
    page = open_page(url).page
    take_sample(page)
    page.locator("#start").click()
    await_result(page)
    page.locator("#play").click()
    until(page, "document.querySelector('#after video').currentTime > 0.3")
    gap = "Math.abs(document.querySelector('#after video').currentTime"
    gap += " - document.querySelector('#before video').currentTime)"
    assert page.evaluate(gap) < 0.25
    page.locator("#after video").evaluate("video => video.pause()")  # a click would start a film that is over
    until(page, "document.querySelector('#play').ariaLabel === 'Play'")
    page.locator("#seek").fill("2.5")
    until(page, "document.querySelector('#before video').currentTime === 2.5")
    assert page.locator("#after video").evaluate("video => video.paused && video.currentTime") == 2.5


def test_the_source_stands_where_the_sync_mode_took_the_frame_from(url, open_page):
    page = open_page(url).page
    script = (
        "(all) => import('./page/js/player.js').then((p) => all.map(([m, t]) => p.sourceTime(m, t, 4, 10)))"
    )
    asked = [("cut_off", 5), ("silence", 3), ("loop", 5), ("bounce", 5), ("bounce", 9), ("remap", 5)]
    assert page.evaluate(script, asked) == [4, 3, 1, 3, 1, 2]


def test_pressing_a_face_makes_it_the_speaker_in_pixels_of_the_video(play, url, open_page: OpenPage):
    play.faces = [(0.1, 0.2, 0.5, 0.8), (0.7, 0.5, 0.9, 0.7)]
    page = open_page(url).page
    take_sample(page)
    faces = page.locator(".face")
    assert faces.evaluate_all("all => all.map(face => face.ariaPressed)") == ["true", "false"]
    page.get_by_role("button", name="Face 2 of 2").click()
    assert faces.evaluate_all("all => all.map(face => face.ariaPressed)") == ["false", "true"]
    assert text(page, "#speaker-status") == "Face 2 speaks."
    page.locator("#start").click()
    until(page, "location.hash !== ''")
    assert json.loads(play.uploads[0]["options"])["speaker"] == "point:288,216"  # of 360 x 360
    page.get_by_role("button", name="Take the largest face").click()
    assert faces.evaluate_all("all => all.map(face => face.ariaPressed)") == ["true", "false"]


def test_the_map_of_the_chosen_face_is_drawn_in_the_colours_of_the_regions(url, open_page: OpenPage):
    page = open_page(url).page
    take_sample(page)
    pixels = page.evaluate(
        "[...document.querySelector('#map').getContext('2d').getImageData(0, 0, 64, 64).data]"
    )
    red_green_blue = [pixels[4 * (64 * y + x) :][:3] for x, y in ((32, 4), (32, 30), (7, 62))]
    assert red_green_blue == [[130, 84, 48], [240, 208, 176], [214, 62, 84]]  # hair, skin, lip


def test_a_video_that_the_browser_cannot_show_is_dubbed_with_the_largest_face(
    play, url, open_page: OpenPage, tmp_path
):
    odd = tmp_path / "odd; name's.mkv"
    odd.write_bytes(b"\x1aE\xdf\xa3" + bytes(2000))
    page = open_page(url).page
    page.locator("#video-file").set_input_files(odd)
    page.locator("#speech-file").set_input_files(SAMPLES / "clip_speech.m4a")
    page.wait_for_selector("#frame-empty:has-text('cannot show this video')")
    assert text(page, "#speaker-status") == "The largest face will speak."
    page.locator("#start").click()
    play.finish()
    await_result(page)
    assert "cannot play" in text(page, "#before")
    assert json.loads(play.uploads[0]["options"])["speaker"] == "largest"
    page.locator("#api summary").click()
    assert """-F 'video=@"odd; name'\\''s.mkv"'""" in text(page, "#curl")


def test_no_face_in_the_frame_says_what_to_do(play, url, open_page: OpenPage):
    play.faces = []
    page = open_page(url).page
    page.locator(".sample").first.click()
    page.wait_for_selector("#speaker-status:has-text('No face was found')")
    assert "move the slider" in text(page, "#speaker-status")
    play.faces = [(0.3, 0.3, 0.7, 0.7)]
    page.locator("#frame-slider").fill("2")
    page.wait_for_selector(".face")
    assert text(page, "#frame-time") == "at 2.0 s"


def test_missing_files_and_wrong_options_are_told_before_anything_is_sent(play, url, open_page: OpenPage):
    page = open_page(url).page
    page.wait_for_selector(".sample")
    page.locator("#start").click()
    assert text(page, "#dub-error") == "Choose a video or a portrait first, in step 1."
    assert page.evaluate("document.activeElement.id") == "video-file"
    take_sample(page)
    page.locator(".more summary").click()
    page.locator("#crf").fill("77")
    page.locator("#start").click()
    assert text(page, "#crf-error").startswith("Write a whole number from 0 to 51")
    assert page.locator("#crf").get_attribute("aria-invalid") == "true"
    assert not play.uploads
    page.locator("#crf").fill("20")
    page.locator("#save-maps").check()
    page.locator("#start").click()
    until(page, "location.hash !== ''")
    assert {"crf": 20, "save_maps": True}.items() <= json.loads(play.uploads[0]["options"]).items()


def test_a_busy_service_is_asked_again_for_the_same_job(play, url, open_page: OpenPage):
    play.busy_answers = 1
    play.finish()
    watched = open_page(url)
    watched.expected = ("503",)
    take_sample(watched.page)
    watched.page.locator("#start").click()
    await_result(watched.page)
    first, second = play.uploads
    assert first["key"] == second["key"] and len(first["key"]) >= 16


def test_a_busy_service_is_asked_again_for_the_faces(play, url, open_page: OpenPage):
    play.busy_looks = 2
    watched = open_page(url)
    watched.expected = ("503",)
    take_sample(watched.page)
    assert play.busy_looks == 0 and text(watched.page, "#speaker-error") == ""


def test_a_broken_stream_is_taken_up_again(play, url, open_page: OpenPage):
    play.state, play.stage, play.cut_streams = "running", 1, 2
    page = open_page(url).page
    take_sample(page)
    page.locator("#start").click()
    page.wait_for_selector("[data-stage='finding faces']")
    deadline = time.monotonic() + 120
    while play.streams < 3 and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert play.streams >= 3 and play.polls == 0
    play.finish()
    await_result(page)


def test_without_a_stream_the_page_polls(play, url, open_page: OpenPage):
    play.events_work = False
    play.state, play.stage = "running", 2
    watched = open_page(url)
    watched.expected = ("502",)
    take_sample(watched.page)
    watched.page.locator("#start").click()
    watched.page.wait_for_selector("[data-stage='studying people']")
    play.finish()
    await_result(watched.page)
    assert play.polls >= 2


def test_cancel_ends_the_job_and_gives_the_button_back_to_the_keyboard(play, url, open_page: OpenPage):
    play.state, play.stage = "running", 1
    page = open_page(url).page
    take_sample(page)
    page.locator("#start").click()
    page.wait_for_selector("[data-stage='finding faces']")
    assert page.evaluate("document.activeElement.id") == "cancel"
    page.keyboard.press("Enter")
    page.wait_for_selector("#dub-status:has-text('Cancelled.')")
    assert play.state == "cancelled"
    assert page.evaluate("[document.activeElement.id, location.hash]") == ["start", ""]


def test_a_job_that_ends_before_it_can_be_cancelled_shows_its_result(play, url, open_page: OpenPage):
    play.state, play.stage, play.cancelled_as = "running", 1, "done"
    page = open_page(url).page
    take_sample(page)
    page.locator("#start").click()
    page.wait_for_selector("[data-stage='finding faces']")
    page.locator("#cancel").click()
    await_result(page)


def test_a_failed_job_shows_its_reason_and_can_be_tried_again(play, url, open_page: OpenPage):
    play.state, play.error = "failed", "clip.mp4: no face was found; take another one."
    page = open_page(url).page
    take_sample(page)
    page.locator("#start").click()
    page.wait_for_selector("#dub-error:has-text('no face was found; take another one.')")
    assert page.locator("#result").is_hidden()
    play.finish()
    page.locator("#start").click()
    await_result(page)
    assert text(page, "#dub-error") == ""


def test_the_commands_for_a_shell_are_copied(url, open_page: OpenPage):
    page = open_page(url, permissions=["clipboard-read", "clipboard-write"]).page
    take_sample(page)
    page.locator("#sync-mode").select_option("bounce")
    page.locator("#api summary").click()
    page.locator("#copy").click()
    page.wait_for_selector("#copy-status:has-text('Copied.')")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f"curl -fsS '{url}v1/dubs'" in copied and "-F 'video=@clip.mp4'" in copied
    assert """--form-string 'options={"speaker":"largest","sync_mode":"bounce"}'""" in copied


def test_a_job_is_taken_up_again_after_the_page_was_loaded_anew(play, url, open_page: OpenPage):
    play.finish()
    page = open_page(f"{url}#job=jstandin").page
    await_result(page)
    assert page.locator("#before-view").is_hidden()


def test_a_token_is_asked_for_kept_in_the_tab_and_never_shown(play, url, open_page: OpenPage):
    play.token = "a-secret-of-the-tests"
    play.finish()
    watched = open_page(url)
    watched.expected = ("401",)
    page = watched.page
    page.wait_for_selector(".sample")
    page.wait_for_selector("#token-error:has-text('The token is missing or wrong')")
    page.locator("#token").fill(play.token)
    page.keyboard.press("Enter")
    take_sample(page)
    assert text(page, "#token-error") == ""
    page.locator("#start").click()
    await_result(page)
    page.locator("#api summary").click()
    assert '-H "Authorization: Bearer $TOKEN"' in text(page, "#curl")
    assert play.token not in page.content()
    page.reload()
    until(page, "document.querySelector('#token').value !== ''")
    await_result(page)
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
