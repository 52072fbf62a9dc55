"""Read a request's body as it arrives: every byte counted, every pause timed.

A body that grows too large or is too slow is refused at that point; the rest of it is never read.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import Request
from starlette.requests import ClientDisconnect

from serve.api.errors import ApiError
from serve.config import LimitsConfig

MAX_FIELD_BYTES = 64 << 10
"""A text field, or a JSON body."""


@dataclass(frozen=True)
class Room:
    """How much a request may bring."""

    num_bytes: int
    """Of its files together, as the operator has set it; of a body without files, all of it."""
    beside_bytes: int = 0
    """What stands between the files: boundaries, headers, text fields."""
    what: str = "files"

    def check_body(self, seen: int, more: bool = True) -> None:
        """`ApiError` 413 where a body of so many bytes cannot fit. more: others may follow them."""
        if seen > self.num_bytes + self.beside_bytes:
            raise too_large("request", seen, more, self.num_bytes, self.what)

    def check_files(self, seen: int) -> None:
        """`ApiError` 413 for so many bytes of files, or more."""
        if seen > self.num_bytes:
            raise too_large("files", seen, True, self.num_bytes, self.what)


async def timed_body(request: Request, limits: LimitsConfig, room: Room) -> AsyncIterator[bytes]:
    """The body in pieces; `ApiError` 413 beyond `room`, 408 after a long pause or too long a time."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit():
        room.check_body(int(announced), more=False)
    end = time.monotonic() + limits.upload_s
    received = 0
    while True:
        wait_s = min(limits.idle_s, end - time.monotonic())
        try:
            message = await asyncio.wait_for(request.receive(), max(0.0, wait_s))
        except asyncio.TimeoutError:
            raise ApiError(
                408,
                "too_slow",
                f"The request paused for more than {limits.idle_s:g} s or took longer than "
                f"{limits.upload_s:g} s; send it again over a faster line, or send less.",
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece = message.get("body", b"")
        received += len(piece)
        room.check_body(received)
        if piece:
            yield piece
        if not message.get("more_body", False):
            return


async def read_body(request: Request, limits: LimitsConfig) -> bytes:
    """A small body of JSON, whole."""
    room = Room(MAX_FIELD_BYTES, what="JSON")
    return b"".join([piece async for piece in timed_body(request, limits, room)])


def too_large(who: str, seen: int, more: bool, limit: int, what: str = "files") -> ApiError:
    """The refusal of `who`, which have `seen` bytes (or more), where `what` may have `limit` bytes."""
    have = f"The {who} {'have' if who.endswith('s') else 'has'} {_size(seen)}{' or more' if more else ''}"
    remedy = "shorten or compress them" if what == "files" else "send less"
    return ApiError(413, "too_large", f"{have}, and the limit is {_size(limit)} of {what}; {remedy}.")


def _size(num_bytes: int) -> str:
    """Exact, so that what is just beyond a limit never reads like it."""
    value, unit = (num_bytes / 1e6, "MB") if num_bytes >= 1e6 else (num_bytes / 1e3, "kB")
    return f"{value:.6f}".rstrip("0").rstrip(".") + f" {unit}"
