"""Results as HTTP answers: whole, or the byte range that a player asks for (RFC 9110, section 14)."""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from serve.api.errors import ApiError
from serve.api.threads import in_thread
from serve.jobs import JobStore

_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))", re.ASCII)


@dataclass(frozen=True)
class StoredFile:
    """A finished result."""

    uri: str
    size: int
    media_type: str
    file_name: str
    """What a browser saves it as."""

    @property
    def etag(self) -> str:
        """Results never change under one name."""
        return f'"{hashlib.sha256(f"{self.uri} {self.size}".encode()).hexdigest()[:32]}"'


def answer_file(request: Request, store: JobStore, file: StoredFile) -> Response:
    """200 with all of it, 206 with a part, 304 where the caller has it, 416 for a part past the end."""
    headers = {"Accept-Ranges": "bytes", "ETag": file.etag, "Cache-Control": "private, no-cache"}
    if names_etag(request.headers.get("if-none-match"), file.etag):
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if_range = request.headers.get("if-range")
    is_current = if_range is None or if_range == file.etag
    part = byte_range(wanted, file.size) if wanted is not None and is_current else None
    if part is None:
        return answer_whole(store, file, headers)
    start, stop = part
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
    return _answer(store, file, start, stop, 206, headers)


def answer_whole(store: JobStore, file: StoredFile, headers: Mapping[str, str] | None = None) -> Response:
    """200 with all of it."""
    return _answer(store, file, 0, file.size, 200, headers or {})


def _answer(
    store: JobStore, file: StoredFile, start: int, stop: int, status: int, headers: Mapping[str, str]
) -> Response:
    shown = {
        **headers,
        "Content-Disposition": f'inline; filename="{file.file_name}"',
        "Content-Length": str(stop - start),
    }
    blocks = _blocks(store, file.uri, start, stop)
    return StreamingResponse(blocks, status, shown, media_type=file.media_type)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Bytes [start, stop) of a Range header; None where it does not count, `ApiError` 416 past the end.

    Several ranges at once, other units and texts that make no sense do not count: the answer is the whole.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        return None
    first, last, suffix = match.groups()
    if first is None:
        start, stop = max(0, size - int(suffix)), size
    else:
        if last is not None and int(last) < int(first):
            return None
        start, stop = int(first), size if last is None else min(int(last) + 1, size)
    if start >= stop:
        raise ApiError(
            416,
            "range_not_satisfiable",
            f"The file has {size} bytes; ask for a range inside it.",
            {"Content-Range": f"bytes */{size}"},
        )
    return start, stop


async def _blocks(store: JobStore, uri: str, start: int, stop: int) -> AsyncIterator[bytes]:
    blocks = store.read_range(uri, start, stop)
    while (block := await in_thread(next, blocks, None)) is not None:
        yield block


def names_etag(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names the tag, weak or strong, or any."""
    if header is None:
        return False
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in header.split(","))
