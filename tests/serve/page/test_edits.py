"""The controls of edits and their preview, against a service that is held in chosen states."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import serve.page
from serve.page import page_files
from tests.serve.page.conftest import served
from tests.serve.page.driving import Watched, await_result, tab_to, take_sample, text, until
from tests.serve.page.stand_in import StandIn, stand_in_app

SAMPLES = Path(serve.page.__file__).parent / "samples"
OpenPage = Callable[..., Watched]
LIP, SKIN = [214, 62, 84], [240, 208, 176]
"""What the middle of the map shows with and without the stand-in's edits."""


@pytest.fixture
def play() -> StandIn:
    return StandIn(result=page_files()["samples/clip.mp4"].body)


@pytest.fixture
def url(play: StandIn) -> Iterator[str]:
    with served(stand_in_app(play)) as address:
        yield address


def with_controls(watched: Watched) -> Any:
    """The page with a face and open controls."""
    page = watched.page
    take_sample(page)
    page.locator("#edits > summary").click()
    return page


def pixel(page: Any, canvas: str, at: float = 0.5) -> list[int]:
    """RGB of a canvas at a share of its width and height."""
    script = """([id, at]) => {
        const canvas = document.getElementById(id);
        const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, at * canvas.width, at * canvas.height, 1, 1, 0, 0, 1, 1);
        return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    return page.evaluate(script, [canvas, at])


def await_preview(page: Any, play: StandIn, number: int) -> None:
    """Wait until the stand-in's answer of this number is shown."""
    page.wait_for_selector("#edited:visible")
    deadline = time.monotonic() + 60
    while (seen := pixel(page, "edited")) != [10 * number] * 3:
        assert time.monotonic() < deadline, f"{seen} after {len(play.previews)} requests"
        page.wait_for_timeout(50)


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_a_slider_changes_frame_and_map_and_the_original_is_one_press_away(play, url, open_page, size):
    page = with_controls(open_page(url, size))
    assert pixel(page, "map") == SKIN and page.locator("#compare").is_hidden()
    page.locator("#edit-frown").fill("0.5")
    await_preview(page, play, 1)
    assert play.previews[0]["edits"] == [{"edit": "frown", "amount": 0.5}]
    assert play.previews[0]["speaker"] == "largest" and pixel(page, "map") == LIP
    page.locator("#compare").click()
    assert page.locator("#edited").is_hidden()
    page.locator("#compare").click()
    assert page.locator("#edited").is_visible()
    page.locator("#edits-reset").click()
    page.wait_for_selector("#edited", state="hidden")
    assert pixel(page, "map") == SKIN and page.locator("#edit-frown").input_value() == "0"
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]


def test_controls_that_move_quickly_ask_once_and_the_last_answer_wins(play, url, open_page):
    play.preview_waits_s = [1.5, 0.0]
    page = with_controls(open_page(url))
    for amount in ("0.1", "0.2", "0.3"):
        page.locator("#edit-frown").fill(amount)
    until(page, "document.querySelector('#edits-status').textContent !== ''")
    while not play.previews:
        page.wait_for_timeout(50)
    page.locator("#edit-open_mouth").fill("-0.5")
    await_preview(page, play, 2)
    page.wait_for_timeout(1800)
    await_preview(page, play, 2)
    assert [preview["edits"][0]["amount"] for preview in play.previews] == [0.3, 0.3]
    assert play.previews[1]["edits"][1] == {"edit": "open_mouth", "amount": -0.5}


def test_a_picked_colour_is_seen_at_once_and_a_strength_of_0_takes_it_back(play, url, open_page):
    page = with_controls(open_page(url))
    page.get_by_label("Lips: colour").fill("#00ff80")
    await_preview(page, play, 1)
    expected = {"edit": "recolour", "region": "lip", "colour": "#00ff80", "amount": 0.7}
    assert play.previews[0]["edits"] == [expected]
    page.get_by_label("Lips: strength").fill("0")
    page.wait_for_selector("#edited", state="hidden")
    for name in ("Hair", "Brows", "Eyes"):
        assert page.get_by_label(f"{name}: colour").is_visible()


def test_blinks_are_sent_with_the_dub_but_not_drawn(play, url, open_page):
    play.finish()
    page = with_controls(open_page(url))
    page.locator("#edit-blink").fill("0.2")
    page.locator("#edit-raise_brows").fill("0.6")
    await_preview(page, play, 1)
    assert play.previews[0]["edits"] == [{"edit": "raise_brows", "amount": 0.6}]
    page.locator("#start").click()
    await_result(page)
    sent = json.loads(play.uploads[0]["options"])["edits"]
    assert sent == [{"edit": "blink", "rate": 0.2}, {"edit": "raise_brows", "amount": 0.6}]


def test_a_reference_is_sent_under_the_name_that_the_recipe_has_for_it(play, url, open_page, tmp_path):
    play.finish()
    page = with_controls(open_page(url))
    portrait = (SAMPLES / "portrait.jpg").read_bytes()
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my; look.jpg").write_bytes(portrait)
        page.locator("#add-reference").click()
        page.locator("#lenders input[type=file]").nth(number).set_input_files(
            tmp_path / folder / "my; look.jpg"
        )
    page.locator("#lenders select").nth(1).select_option("skin")
    await_preview(page, play, len(play.previews) or 1)
    page.locator("#start").click()
    await_result(page)
    edits = json.loads(play.uploads[0]["options"])["edits"]
    assert [(edit["region"], edit["reference"]) for edit in edits] == [
        ("hair", "my_ look.jpg"), ("skin", "2-my_ look.jpg"),
    ]  # fmt: skip
    assert play.uploads[0]["references"] == ["my_ look.jpg", "2-my_ look.jpg"]
    page.locator("#api summary").click()
    assert """-F 'reference=@"my; look.jpg";filename=2-my_ look.jpg'""" in text(page, "#curl")
    page.get_by_role("button", name="Remove").first.click()
    assert page.locator("#lenders > *").count() == 1
    assert page.evaluate("document.activeElement.id") == "edits-reset"


def test_what_the_service_refuses_is_said_beside_the_controls(play, url, open_page):
    play.preview_error = (422, "frame.jpg: not one frame can be dubbed; take another one.")
    watched = open_page(url)
    watched.expected = ("422",)
    page = with_controls(watched)
    page.locator("#edit-frown").fill("0.5")
    page.wait_for_selector("#edits-error:has-text('take another one')")
    assert page.locator("#edited").is_hidden() and pixel(page, "map") == SKIN
    play.preview_error = None
    page.locator("#edit-frown").fill("0.6")
    await_preview(page, play, 2)
    assert text(page, "#edits-error") == ""


def test_a_busy_service_is_asked_again_for_the_preview(play, url, open_page):
    play.preview_error = (503, "Too many pictures are being worked on.")
    watched = open_page(url)
    watched.expected = ("503",)
    page = with_controls(watched)
    page.locator("#edit-frown").fill("0.5")
    await_preview(page, play, 2)


def test_another_moment_of_the_video_is_previewed_with_the_same_edits(play, url, open_page):
    page = with_controls(open_page(url))
    page.locator("#edit-frown").fill("0.5")
    await_preview(page, play, 1)
    page.locator("#frame-slider").fill("2")
    await_preview(page, play, 2)
    assert play.previews[0]["edits"] == play.previews[1]["edits"]


def test_edits_are_reached_and_changed_by_the_keyboard_alone(play, url, open_page):
    page = open_page(url).page
    take_sample(page)
    tab_to(page, "#edits > summary")
    page.keyboard.press("Enter")
    tab_to(page, "#edit-frown")
    page.keyboard.press("ArrowRight")
    await_preview(page, play, 1)
    assert play.previews[0]["edits"] == [{"edit": "frown", "amount": 0.05}]
    tab_to(page, "#add-reference")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.type") == "file"


def test_a_kind_of_edit_that_the_page_has_never_heard_of_gets_a_control(play, url, open_page):
    assert play.edits is not None
    play.edits["kinds"]["puff_cheeks"] = {"amounts": [-1.0, 1.0], "needs": [], "takes": []}
    play.edits["kinds"]["needs_more"] = {"amounts": [0.0, 1.0], "needs": ["region"], "takes": []}
    play.edits["kinds"]["takes_more"] = {"amounts": [0.0, 1.0], "needs": [], "takes": ["file"]}
    page = with_controls(open_page(url))
    page.get_by_label("Puff cheeks").fill("0.5")
    await_preview(page, play, 1)
    assert play.previews[0]["edits"] == [{"edit": "puff_cheeks", "amount": 0.5}]
    assert page.locator("#edit-needs_more, #edit-takes_more").count() == 0
    assert page.locator("#edit-background, #add-style").evaluate_all("all => all.map(e => e.hidden)") == [
        "background" not in play.edits["kinds"], "style" not in play.edits["kinds"],
    ]  # fmt: skip


def test_another_background_and_a_texture_of_nobody_are_offered_where_the_service_has_them(
    play, url, open_page
):
    assert play.edits is not None
    takes = ["file", "colour", "blur", "light"]
    play.edits["kinds"]["background"] = {"amounts": [0.0, 1.0], "needs": [], "takes": takes}
    play.edits["kinds"]["style"] = {"amounts": [0.0, 1.0], "needs": ["region"], "takes": ["seed", "file"]}
    page = with_controls(open_page(url))
    page.get_by_label("Background", exact=True).last.select_option("blur")
    await_preview(page, play, 1)
    assert play.previews[-1]["edits"] == [{"edit": "background", "blur": 20, "amount": 1}]
    page.get_by_label("Background", exact=True).last.select_option("file")
    page.get_by_label("Background: picture").set_input_files(SAMPLES / "portrait.jpg")
    await_preview(page, play, 2)
    assert play.previews[-1]["edits"] == [{"edit": "background", "file": "portrait.jpg", "amount": 1}]
    assert play.previews[-1]["references"] == ["portrait.jpg"]
    page.locator("#add-style").click()
    page.get_by_label("Number of a person who does not exist").fill("7")
    page.wait_for_timeout(500)
    expected = {"edit": "style", "seed": 7, "region": "hair", "amount": 0.7}
    until(page, "document.querySelector('#edits-status').textContent === ''")
    assert play.previews[-1]["edits"][1] == expected
    page.locator("#edits-reset").click()
    page.wait_for_selector("#edited", state="hidden")
    assert page.locator("#lenders > *").count() == 0


def test_a_service_without_edits_shows_no_controls(play, url, open_page):
    play.edits = None
    page = open_page(url).page
    take_sample(page)
    until(page, "document.querySelector('#about').textContent !== ''")
    assert page.locator("#edits").is_hidden()


def test_on_a_phone_the_frame_stays_in_sight_while_controls_are_moved(play, url, open_page):
    page = with_controls(open_page(url, (390, 844)))
    page.get_by_label("Eyes: strength").scroll_into_view_if_needed()
    page.get_by_label("Eyes: strength").fill("0.5")
    await_preview(page, play, 1)
    box = page.locator("#edited").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] < 844 * 0.6
