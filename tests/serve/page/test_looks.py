"""Names, sizes, contrast and order of what can be seen and pressed, in all states and both colour schemes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve.page import page_files
from tests.serve.page.conftest import served
from tests.serve.page.driving import await_result, take_sample, until
from tests.serve.page.stand_in import StandIn, stand_in_app

LOOKING = (Path(__file__).parent / "looking.js").read_text(encoding="utf-8")


@pytest.fixture
def play() -> StandIn:
    """With every control that the page has."""
    play = StandIn(
        result=page_files()["samples/clip.mp4"].body, faces=[(0.3, 0.3, 0.7, 0.75), (0.8, 0.1, 0.85, 0.16)]
    )
    assert play.edits is not None
    play.edits["kinds"]["background"] = {"amounts": [0, 1], "needs": [], "takes": ["file", "colour", "blur"]}
    play.edits["kinds"]["style"] = {"amounts": [0, 1], "needs": ["region"], "takes": ["seed"]}
    return play


@pytest.fixture
def url(play: StandIn) -> Iterator[str]:
    with served(stand_in_app(play)) as address:
        yield address


def faults(page: Any) -> dict[str, list[str]]:
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    names = ("nameless", "small", "faint", "structure")
    found = {name: page.evaluate(f"({LOOKING.rstrip().rstrip(';')}).{name}()") for name in names}
    return {name: lines for name, lines in found.items() if lines}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (360, 740)])
def test_every_state_is_named_large_and_legible_enough(play, url, open_page, size, scheme):
    page = open_page(url, size, color_scheme=scheme).page
    page.wait_for_selector(".sample")
    assert not faults(page), "empty"
    page.locator("#start").click()
    page.locator("#crf").fill("99")
    assert page.locator("#dub-error").is_visible() and page.locator("#crf-error").is_visible()
    assert not faults(page), "errors"
    page.locator("#crf").fill("")
    take_sample(page)
    page.get_by_role("button", name="Face 2 of 2").click()
    for name in ("add-reference", "add-style"):
        page.locator(f"#{name}").click()
    for ground in ("colour", "file"):
        page.locator("#edit-background select").select_option(ground)
        page.wait_for_selector("#edited:visible")
        assert not faults(page), f"edits, {ground}"
    play.state, play.stage = "running", 3
    page.locator("#start").click()
    page.wait_for_selector("[data-stage=rendering]")
    assert not faults(page), "progress"
    play.finish()
    await_result(page)
    assert not faults(page), "result"


def test_the_keyboard_walks_through_all_controls_in_reading_order_and_is_always_seen(play, url, open_page):
    play.finish()
    page = open_page(url).page
    take_sample(page)
    page.locator("#start").click()
    await_result(page)
    until(page, "document.activeElement.id === 'result-title'")
    page.locator(".skip").focus()
    places = [0]
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        seen = page.evaluate(f"({LOOKING.rstrip().rstrip(';')}).focused()")
        if seen["native"]:  # the controls inside the browser's own player
            continue
        assert seen["outlined"], seen
        places.append(seen["place"])
    assert places == list(range(seen["stops"]))


def test_what_happens_is_spoken(url, open_page):
    page = open_page(url).page
    polite = page.locator("[aria-live=polite]").evaluate_all("all => all.map(e => e.id)")
    assert {"dub-status", "speaker-status", "video-name", "speech-name", "copy-status"} <= set(polite)
    alerts = page.locator("[role=alert]").evaluate_all("all => all.map(e => e.id)")
    assert {"sources-error", "speaker-error", "dub-error", "result-error", "token-error"} <= set(alerts)
