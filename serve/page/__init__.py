"""The page of the service: which files it consists of, and what a browser may do with them.

Only what is listed here is ever served; the name of a request is a key of a table, never a path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

_FOLDER = Path(__file__).parent
_CONTENT_TYPES = {
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".jpg": "image/jpeg",
    ".mp4": "video/mp4",
    ".m4a": "audio/mp4",
}
_MODULES = (
    "api", "controls", "curl", "dom", "edits", "events", "faces", "job", "lenders", "live", "main", "options",
    "player", "preview", "regions", "report", "result", "sources", "stages", "token",
)  # fmt: skip
_SAMPLES = ("clip.mp4", "clip.jpg", "clip_speech.m4a", "portrait.jpg", "portrait_speech.m4a")

INDEX = "index.html"
"""What `/` answers; all other names stand below `/page/`."""

PAGE_CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""`Content-Security-Policy` of the page: its own files, and pictures and videos that it holds in memory."""


@dataclass(frozen=True)
class PageFile:
    """One file as it is sent."""

    body: bytes
    content_type: str
    etag: str
    """Strong, with its quotes; of the content, so that it is the same on every replica."""


@cache
def page_files() -> Mapping[str, PageFile]:
    """Name below `/page/` -> file. Read once and held in memory: together they are small."""
    modules = (f"js/{name}.js" for name in _MODULES)
    samples = (f"samples/{name}" for name in _SAMPLES)
    names = (INDEX, "page.css", "icon.svg", "samples.json", *modules, *samples)
    return MappingProxyType({name: _read(_FOLDER / name) for name in names})


def _read(path: Path) -> PageFile:
    body = path.read_bytes()
    return PageFile(body, _CONTENT_TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
