"""Colours that people name in a recipe."""

from __future__ import annotations

import difflib
import re

NAMES = {
    "black": "#1d1b1c",
    "blond": "#c9a063",
    "blue": "#2f5fb3",
    "brown": "#5a3a26",
    "burgundy": "#6d1230",
    "copper": "#a4552b",
    "coral": "#e0604f",
    "green": "#2f7d4f",
    "grey": "#8d8d90",
    "pink": "#d2608e",
    "plum": "#71305f",
    "red": "#b3123f",
    "silver": "#bfc1c6",
}
"""Of lips, hair and eyes; everything else is written as #rrggbb."""


def parse_colour(text: str) -> tuple[int, int, int]:
    """RGB of `#rrggbb` or of a name; `ValueError` says what can be written."""
    code = NAMES.get(text.lower(), text)
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", code):
        close = difflib.get_close_matches(text, NAMES, n=1)
        hint = f"did you mean {close[0]!r}" if close else f"write #rrggbb or one of {', '.join(NAMES)}"
        raise ValueError(f"unknown colour {text!r}; {hint}")
    red, green, blue = bytes.fromhex(code[1:])
    return red, green, blue
