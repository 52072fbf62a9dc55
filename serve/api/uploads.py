"""Read a form as it arrives, files straight to disk.

A form that grows too large or has too many parts is refused at that point; the rest of it is never read.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serve.api.bodies import MAX_FIELD_BYTES, Room, timed_body
from serve.api.edits import MAX_REFERENCES, reference_name
from serve.api.errors import ApiError
from serve.api.threads import in_thread
from serve.config import LimitsConfig

REFERENCE = "reference"
"""The one part that may come several times: files that edits name, each by its file name."""
_MAX_PARTS = 8
"""Besides references."""
_MAX_HEADERS = 8
_MAX_HEADER_BYTES = 4096
_FLUSH_BYTES = 1 << 20


@dataclass(frozen=True)
class Upload:
    """One file of a request, on disk."""

    path: Path
    file_name: str
    """What the caller calls it; shown to people, never used as a path."""
    num_bytes: int
    sha256: str

    def record(self) -> dict[str, Any]:
        """As a stored job names it."""
        return {"file_name": self.file_name, "bytes": self.num_bytes, "sha256": self.sha256}


@dataclass
class Form:
    """All parts of a request."""

    files: dict[str, Upload] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def num_bytes(self) -> int:
        """Of the files."""
        return sum(upload.num_bytes for upload in self.files.values())


async def read_form(
    request: Request,
    limits: LimitsConfig,
    folder: Path,
    files: Collection[str],
    fields: Collection[str],
    room: Room,
    max_field_bytes: int = MAX_FIELD_BYTES,
) -> Form:
    """Read multipart/form-data into `folder`; only the named `files` and `fields` are taken, each once.

    `REFERENCE` among the files may come several times: they are `reference-1`, `reference-2`... of the form.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise ApiError(
            415, "unsupported_media_type", "Send multipart/form-data, as `curl -F file=@NAME` does."
        )
    parts = _Parts(folder, files, fields, room, max_field_bytes)
    try:
        parser = MultipartParser(
            boundary, parts.callbacks(), max_header_count=_MAX_HEADERS, max_header_size=_MAX_HEADER_BYTES
        )
        async for piece in timed_body(request, limits, room):
            parser.write(piece)
            if parts.held_bytes >= _FLUSH_BYTES:
                await in_thread(parts.flush)
        parser.finalize()
        if not parts.ended:
            raise FormParserError("the closing boundary is missing")
        await in_thread(parts.flush)
        return parts.form()
    except FormParserError as error:
        raise ApiError(
            400, "malformed_multipart", f"The multipart body cannot be read ({str(error).rstrip('.')})."
        ) from None
    finally:
        parts.close()


@dataclass
class _Part:
    """A part that is arriving."""

    name: str
    file_name: str
    file: BinaryIO | None
    path: Path
    num_bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    text: bytearray = field(default_factory=bytearray)


class _Parts:
    """Collects what the parser finds; what belongs to a file waits in memory for `flush`."""

    def __init__(
        self,
        folder: Path,
        files: Collection[str],
        fields: Collection[str],
        room: Room,
        max_field_bytes: int,
    ) -> None:
        self.ended = False
        self.held_bytes = 0
        self._folder, self._files, self._fields = folder, files, fields
        self._room, self._file_bytes = room, 0
        self._max_field_bytes = max_field_bytes
        self._held: list[tuple[_Part, bytes]] = []
        self._parts: dict[str, _Part] = {}
        self._part: _Part | None = None
        self._headers: dict[str, bytes] = {}
        self._header_name, self._header_value = bytearray(), bytearray()
        self._num_parts = 0
        self._most_parts = _MAX_PARTS + (MAX_REFERENCES if REFERENCE in files else 0)

    def callbacks(self) -> Any:
        """For the parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header_value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._take,
            "on_end": self._end,
        }

    def flush(self) -> None:
        """Write what has arrived; called in a thread while the loop does nothing with this object."""
        for part, data in self._held:
            assert part.file is not None
            part.file.write(data)
            part.digest.update(data)
        self._held.clear()
        self.held_bytes = 0

    def form(self) -> Form:
        """Everything, once it is written."""
        form = Form()
        for name, part in self._parts.items():
            if part.file is None:
                try:
                    form.fields[name] = part.text.decode()
                except UnicodeDecodeError:
                    raise ApiError(422, "invalid_request", f"{name}: not UTF-8 text.") from None
            else:
                part.file.flush()
                form.files[name] = Upload(part.path, part.file_name, part.num_bytes, part.digest.hexdigest())
        return form

    def close(self) -> None:
        """Let go of the files; the folder is the caller's."""
        for part in self._parts.values():
            if part.file is not None:
                part.file.close()

    def _begin(self) -> None:
        self._headers = {}
        self._num_parts += 1
        if self._num_parts > self._most_parts:
            raise ApiError(413, "too_many_parts", f"The request has more than {self._most_parts} parts.")

    def _end_header(self) -> None:
        self._headers[self._header_name.decode("latin-1").lower()] = bytes(self._header_value)
        self._header_name, self._header_value = bytearray(), bytearray()

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name not in self._files and name not in self._fields:
            known = ", ".join([*self._files, *self._fields])
            raise ApiError(422, "unknown_part", f"Unknown part {name[:60]!r}; there are: {known}.")
        is_file = name in self._files
        if name == REFERENCE:
            name = self._next_reference()
        if name in self._parts:
            raise ApiError(422, "repeated_part", f"The part {name!r} is there twice; send it once.")
        path = self._folder / name  # one of our own names
        file = path.open("xb") if is_file else None
        self._part = _Part(name, _shown_name(options.get(b"filename", b"")) or name, file, path)
        self._parts[name] = self._part

    def _next_reference(self) -> str:
        number = 1 + sum(name.startswith(f"{REFERENCE}-") for name in self._parts)
        if number > MAX_REFERENCES:
            raise ApiError(413, "too_many_parts", f"The request has more than {MAX_REFERENCES} references.")
        return reference_name(number)

    def _take(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        assert part is not None
        part.num_bytes += end - start
        if part.file is not None:
            self._file_bytes += end - start
            self._room.check_files(self._file_bytes)
            self._held.append((part, data[start:end]))
            self.held_bytes += end - start
            return
        part.text += data[start:end]
        if len(part.text) > self._max_field_bytes:
            raise ApiError(
                413, "too_large", f"{part.name}: longer than {self._max_field_bytes >> 10} KiB of text."
            )

    def _end(self) -> None:
        self.ended = True


def _shown_name(raw: bytes) -> str:
    """The last part of what a browser calls the file, printable and short."""
    text = raw.decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in text if letter.isprintable())[:120]
