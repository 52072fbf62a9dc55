"""Request bodies that are read from disk while they are sent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from segtalker.errors import MediaError

_BLOCK = 1 << 18
_BYTES = "Content-Type: application/octet-stream"


@dataclass(frozen=True)
class Body:
    """What a request carries; `blocks` may be called again for another attempt."""

    content_type: str
    length: int
    """Bytes."""
    blocks: Callable[[], Iterator[bytes]]


def json_body(value: Any) -> Body:
    """A value as JSON."""
    data = json.dumps(value).encode()
    return Body("application/json", len(data), lambda: iter([data]))


def form_body(
    fields: Mapping[str, str],
    files: Mapping[str, Path | bytes],
    references: Mapping[str, Path] | None = None,
) -> Body:
    """A `multipart/form-data` form (RFC 7578): fields first, so that a server knows them before the files.

    Files are paths, or bytes where they are small. references: file name -> path of parts that are all called
    `reference`. `MediaError` for one that cannot be read.
    """
    boundary = secrets.token_hex(16)
    parts: list[bytes | _FilePart] = []
    for name, text in fields.items():
        parts += [_header(boundary, f'name="{name}"'), text.encode(), b"\r\n"]
    named = [
        (name, content.name if isinstance(content, Path) else name, content)
        for name, content in files.items()
    ]
    named += [("reference", file_name, path) for file_name, path in (references or {}).items()]
    for name, file_name, content in named:
        disposition = f'name="{name}"; filename="{_quoted(file_name)}"\r\n{_BYTES}'
        file = _FilePart.of(content) if isinstance(content, Path) else content
        parts += [_header(boundary, disposition), file, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    length = sum(len(part) if isinstance(part, bytes) else part.size for part in parts)
    return Body(f"multipart/form-data; boundary={boundary}", length, lambda: _sent(parts))


@dataclass(frozen=True)
class _FilePart:
    path: Path
    size: int

    @classmethod
    def of(cls, path: Path) -> _FilePart:
        with _readable(path) as file:
            return cls(path, file.seek(0, 2))

    def blocks(self) -> Iterator[bytes]:
        left = self.size
        with _readable(self.path) as file:
            while left:
                block = file.read(min(left, _BLOCK))
                if not block:
                    raise MediaError(f"{self.path}: became shorter while it was sent. Send it again.")
                left -= len(block)
                yield block


def _readable(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise MediaError(f"{path}: cannot read it ({error.strerror}). Check the path.") from error


def _sent(parts: list[bytes | _FilePart]) -> Iterator[bytes]:
    for part in parts:
        if isinstance(part, bytes):
            yield part
        else:
            yield from part.blocks()


def _header(boundary: str, disposition: str) -> bytes:
    return f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()


def _quoted(name: str) -> str:
    """A file name inside quotes, escaped as browsers do."""
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
