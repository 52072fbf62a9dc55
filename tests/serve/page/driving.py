"""What tests do with the page, and what is read off it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Watched:
    """A page, and everything that the browser complained about while it was open."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    """Parts of complaints that the test provokes: the browser reports every refused request."""


def watch(page: Any) -> Watched:
    """Collect console errors (CSP violations are among them) and uncaught exceptions."""
    watched = Watched(page)

    def note(text: str) -> None:
        if not any(part in text for part in watched.expected):
            watched.complaints.append(text)

    page.on("console", lambda message: message.type in ("error", "warning") and note(message.text))
    page.on("pageerror", lambda error: note(str(error)))
    return watched


def take_sample(page: Any, number: int = 0) -> None:
    """Pick a sample and wait for its faces."""
    page.locator(".sample").nth(number).click()
    page.wait_for_selector(".face")


def await_result(page: Any) -> None:
    """Wait until the result can be played and its report is drawn."""
    page.wait_for_selector("#report section")
    until(page, "document.querySelector('#after video')?.readyState >= 2")


def until(page: Any, condition: str, seconds: float = 120.0) -> None:
    """Wait for a JavaScript expression; `wait_for_function` would need `unsafe-eval` in the page's policy."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {condition}"
        page.wait_for_timeout(50)


def text(page: Any, selector: str) -> str:
    """What stands there."""
    return page.locator(selector).inner_text()


def tab_to(page: Any, selector: str, most: int = 60) -> None:
    """Press Tab until the element has the focus; it must be reachable."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{most} times Tab did not reach {selector}")
