"""What errors say of a file's values: little, for a few bytes of tuples in tuples would print for ever."""

from __future__ import annotations

from typing import Any

_LONGEST = 100
_LONGEST_REASON = 300


def told(value: Any) -> str:
    """A number or the beginning of a text as itself, of anything else only its type; one printable line."""
    if type(value) is str:
        return repr(value[:_LONGEST])
    if type(value) in (int, float, bool, type(None)):
        return repr(value)[:_LONGEST]
    return f"a {type(value).__name__}"


def reason(error: Exception) -> str:
    """The words of an error, which may quote the file, as one printable line."""
    return "".join(c if c.isprintable() else "?" for c in str(error)[:_LONGEST_REASON])
