"""What tests do with the page, and what is read off it."""

from __future__ import annotations

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
