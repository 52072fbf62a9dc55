"""A web server for tests: files with ETag and ranges over real HTTP, and answers that break as told."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from segtalker.weights.registry import WeightsRow
from tests.weights.rows import DATA, list_rows, published, small_row


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with one answer."""

    status: int = 0
    """Refuse with this status."""
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""
    stall_s: float = 0.0
    """Keep the client waiting in the middle of the body."""
    location: str = ""
    """Where a status of 302 leads to."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    range: str
    if_range: str
    agent: str


class Web:
    """The server; `files` maps paths such as `/net.pt` to their bytes and may change between requests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.trouble: Callable[[int, str], Trouble | None] = lambda count, path: None
        """(how many requests there were before, path) to what goes wrong."""
        self.knows_ranges = True
        self.heeds_if_range = True
        self.says_validator = True
        self.says_length = True
        self.content_type = "application/octet-stream"
        self.asked: list[Asked] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _handler_of(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name: self.headers.get(name, "") for name in ("Range", "If-Range", "User-Agent")}
            trouble = web.trouble(len(web.asked), self.path) or Trouble()
            web.asked.append(Asked(self.path, *headers.values()))
            data = web.files.get(self.path.partition("?")[0])
            if trouble.status or data is None:
                self.send_response(trouble.status or 404)
                if trouble.location:
                    self.send_header("Location", trouble.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._send(data, headers["Range"], headers["If-Range"], trouble)

        def _send(self, data: bytes, asked: str, if_range: str, trouble: Trouble) -> None:
            tag = f'"{hashlib.md5(data).hexdigest()}"'
            match = re.fullmatch(r"bytes=(\d+)-", asked) if web.knows_ranges else None
            if match and web.heeds_if_range and if_range != tag:
                match = None
            start = int(match[1]) if match else 0
            if match and start >= len(data):
                self.send_response(416)
                self.end_headers()
                return
            self.send_response(206 if match else 200)
            if match:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            if web.says_validator:
                self.send_header("ETag", tag)
            if web.says_length:
                self.send_header("Content-Length", str(len(data) - start))
            self.send_header("Content-Type", web.content_type)
            self.end_headers()
            body = data[start:]
            if trouble.stall_s:
                self.wfile.write(body[: len(body) // 2])
                time.sleep(trouble.stall_s)
                body = body[len(body) // 2 :]
            self.wfile.write(body[: trouble.cut_after])

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client was killed
                super().handle()

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """An empty server; a client's pauses between tries are left out."""
    monkeypatch.setattr("segtalker.weights.transfer.FIRST_PAUSE_S", 0.0)
    server = Web()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def on_web(web: Web, monkeypatch: pytest.MonkeyPatch) -> WeightsRow:
    """A row whose publisher is the test's server."""
    web.files["/toys/small.tflite"] = DATA
    row = small_row(source=published("small.tflite", f"{web.url}/toys/small.tflite", DATA))
    list_rows(monkeypatch, row)
    return row
