"""Requests by hand: a body that comes in pieces, with pauses, or not to its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Any

BOUNDARY = "frontier"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass
class Answer:
    """What an application sent."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces_read: int = 0
    """Pieces of the request that were asked for."""

    @property
    def code(self) -> str:
        return json.loads(self.body)["error"]["code"]

    @property
    def message(self) -> str:
        return json.loads(self.body)["error"]["message"]


def part(name: str, data: bytes, *more_headers: str, file_name: str | None = "x") -> bytes:
    """One part of a form, with the boundary before it."""
    file = f'; filename="{file_name}"' if file_name is not None else ""
    head = [f'Content-Disposition: form-data; name="{name}"{file}', *more_headers]
    return f"--{BOUNDARY}\r\n".encode() + "\r\n".join(head).encode() + b"\r\n\r\n" + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


async def send(
    app: Any, path: str, pieces: AsyncIterable[bytes], leave: bool = False, **headers: str
) -> Answer:
    """POST `pieces` one by one; `leave`: hang up after the last instead of ending the body."""
    answer = Answer()
    source = aiter(pieces)
    over = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if over.is_set():
            await asyncio.sleep(3600)
        answer.pieces_read += 1
        piece = await anext(source, None)
        if piece is not None:
            return {"type": "http.request", "body": piece, "more_body": True}
        over.set()
        if leave:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def take(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    named = {"host": "127.0.0.1", "content-type": FORM, "transfer-encoding": "chunked"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, take)
    return answer


async def pieces(*data: bytes, pause_s: float = 0.0) -> AsyncIterable[bytes]:
    """Each of `data`, with a pause before each but the first."""
    for index, piece in enumerate(data):
        if index:
            await asyncio.sleep(pause_s)
        yield piece


async def endless(head: bytes, size: int = 1 << 16) -> AsyncIterable[bytes]:
    """`head`, then zeros without end."""
    yield head
    while True:
        yield bytes(size)
