"""The lines of HDTF's text files: words to times, boxes and ids, with errors that name file and line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from segtalker.errors import DataError
from segtalker.storage import Uri, exists, join, read_bytes

N = TypeVar("N", int, float)

_FIX = "Take the file from github.com/MRzzm/HDTF again."
_TIMES = re.compile(r"(?:(\d+):)?(\d+):(\d{2})-(?:(\d+):)?(\d+):(\d{2})")


def lines(
    folder: Uri, subset: str, kind: str, count: int | None = None
) -> Iterator[tuple[str, list[str], str]]:
    """(name without .mp4, other words, `file, line n`) of every line of `{subset}_{kind}.txt`.

    count: how many other words there must be. No name may come twice.
    """
    uri = join(folder, f"{subset}_{kind}.txt")
    if not exists(uri):
        raise DataError(f"{uri}: no such file. Name the folder HDTF_dataset of github.com/MRzzm/HDTF.")
    seen: set[str] = set()
    try:
        text = read_bytes(uri).decode("utf-8-sig")  # WDA_video_url.txt begins with a byte order mark
    except UnicodeDecodeError as error:
        raise DataError(f"{uri}: not a text file ({error.reason}). {_FIX}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.replace("\ufeff", "").split()
        if not words:
            continue
        where = f"{uri}, line {number}"
        if len(words) < 2 or (count is not None and len(words) != count + 1):
            wanted = "at least one value" if count is None else f"{count} value{'s' * (count > 1)}"
            raise DataError(f"{where}: expected a name and {wanted}, found {line.strip()!r}. {_FIX}")
        name = words[0].removesuffix(".mp4")
        if name in seen:
            raise DataError(f"{where}: {name} comes twice. Remove one of the lines.")
        seen.add(name)
        yield name, words[1:], where


def time_range(where: str, text: str) -> tuple[int, int]:
    """`mm:ss-mm:ss` (or with hours) to seconds."""
    found = _TIMES.fullmatch(text)
    if found is None:
        raise DataError(f"{where}: {text!r} is no time range mm:ss-mm:ss. {_FIX}")
    h0, m0, s0, h1, m1, s1 = (int(part or 0) for part in found.groups())
    start, end = 3600 * h0 + 60 * m0 + s0, 3600 * h1 + 60 * m1 + s1
    if end <= start:
        raise DataError(f"{where}: {text!r} ends before it begins. {_FIX}")
    return start, end


def box(where: str, words: list[str]) -> tuple[int, int, int, int]:
    """Left, width, top, height of a face."""
    left, width, top, height = (number(where, word, int) for word in words)
    if min(left, top) < 0 or min(width, height) < 1:
        raise DataError(f"{where}: {' '.join(words)!r} is no box (left width top height). {_FIX}")
    return left, width, top, height


def number(where: str, word: str, kind: Callable[[str], N]) -> N:
    """One word as a number."""
    try:
        return kind(word)
    except ValueError as error:
        raise DataError(f"{where}: {word!r} is not a number. {_FIX}") from error


def video_id(url: str) -> str | None:
    """YouTube's id in a URL, whatever tail it has."""
    parts = urlsplit(url)
    if (parts.hostname or "").endswith("youtu.be"):
        return parts.path.strip("/") or None
    return parse_qs(parts.query).get("v", [None])[0]
