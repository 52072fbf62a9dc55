"""One file over HTTP(S), in as many tries as it takes: what has arrived is kept, and continued if it may be.

A part is continued only if the server says that the file is still the same: by its ETag or its date in
`If-Range` (RFC 9110), and by its length. A server that knows no ranges, or whose file has changed, begins
anew. Certificates are checked, proxies are those of the environment, and an address of https never leads to
one without.
"""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from segtalker.errors import StorageError, WeightsError
from segtalker.progress import OnProgress, Progress, ignore_progress
from segtalker.weights.addresses import is_http, require_address, shown
from segtalker.weights.part import Part, Said, digest

TIMEOUT_S = 30.0
"""For the connection and for every wait for more bytes."""
TRIES = 5
"""In a row without a new byte."""
FIRST_PAUSE_S = 1.0
"""Before the second try; doubled before each further one."""
_AGENT = "segtalker"
"""Some servers turn away Python's own name."""
_BLOCK_BYTES = 1 << 20
_TRY_AGAIN = (408, 425, 429)
"""Statuses that mean another time; so do those of 500 and more."""
_ELSEWHERE = "Get the file in another way and use --from FOLDER or 'segtalker weights import FILE'."


class _Cut(Exception):
    """The file did not come to its end; another try may bring more."""


def download(
    url: str,
    target: Path,
    size: int | None = None,
    tell: OnProgress = ignore_progress,
    keeps_parts: bool = True,
) -> None:
    """Fetch `url` to `target`, going on from an earlier part; nothing is done if `target` is there.

    size: bytes where known; a server that announces another length is refused. keeps_parts: the caller
    leaves what has arrived for the next call. Raises `WeightsError` if nobody can be asked at this address,
    the server refuses or `TRIES` in a row bring nothing, and `StorageError` if the disk is full.
    """
    require_address(url)
    if target.exists():
        return
    part, failures = Part(url, target), 0
    while True:
        before = part.size
        try:
            _transfer(part, size, tell)
            break
        except (_Cut, http.client.HTTPException, OSError) as error:
            failures = 1 if part.size > before else failures + 1
            if failures >= TRIES:
                kept = f"{part.size} bytes are kept: run the same command again to go on. "
                raise WeightsError(
                    f"{shown(url)}: {_reason(error)}; tried {TRIES} times. "
                    f"{kept if keeps_parts else ''}{_ELSEWHERE}"
                ) from error
            time.sleep(FIRST_PAUSE_S * 2 ** (failures - 1))
    part.finish(target)


def _transfer(part: Part, size: int | None, tell: OnProgress) -> None:
    """One connection: bring the part as far as it comes; `_Cut` if that is not the end."""
    if part.said.total is not None and part.size >= part.said.total:
        if part.size == part.said.total:
            return
        part.drop()  # it cannot be the file's beginning: another process may have written to it
    url = part.url
    with _open(part) as answer:
        said, start = _read_headers(answer, url)
        if answer.status == 206 and (start != part.size or said.is_of_another_file(part.said)):
            part.drop()
            raise _Cut("the file has changed on the server")
        if size is not None and said.total not in (None, size):
            part.drop()
            raise WeightsError(
                f"{shown(url)}: has {said.total} bytes, expected {size}: not the published file. {_ELSEWHERE}"
            )
        if start == 0:
            part.begin(said)
        _require_room(part, said)
        _receive(answer, part, said.total, tell)
    if said.total is not None and part.size != said.total:
        raise _Cut(f"the connection ended after {part.size} of {said.total} bytes")


def _receive(answer: Any, part: Part, total: int | None, tell: OnProgress) -> None:
    stage, done = f"fetching {part.path.name.removesuffix('.part')}", part.size
    tell(Progress(stage, done, total, "B"))
    with part.path.open("ab") as file:
        while block := answer.read1(_BLOCK_BYTES):
            try:
                file.write(block)
                file.flush()  # a killed process keeps what it has shown
            except OSError as error:
                raise StorageError(f"{part.path}: {error.strerror}. Free some space and go on.") from error
            done += len(block)
            tell(Progress(stage, done, total, "B"))


def _open(part: Part) -> Any:
    """The server's answer to a request for what is lacking."""
    url, headers = part.url, {"User-Agent": _AGENT}
    if part.size:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.said.validator}
    try:
        request = urllib.request.Request(url, headers=headers)
        return _OPENER.open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        told = f"the server answers {error.code} ({_reason(error)})"
        if 300 <= error.code < 400:  # its reason quotes the address
            told = f"the server answers {error.code}, leading in a circle or to no address of https or http"
        if error.code == 416:  # the part is longer than the file
            part.drop()
        if error.code == 416 or error.code in _TRY_AGAIN or error.code >= 500:
            raise _Cut(told) from error
        raise WeightsError(f"{shown(url)}: {told}. {_ELSEWHERE}") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, (socket.gaierror, ssl.SSLError)):
            raise WeightsError(
                f"{shown(url)}: {_reason(error)}. Check the network, or: {_ELSEWHERE}"
            ) from error
        if isinstance(error.reason, str):  # found wrong before anybody was asked
            raise _unaskable(url) from error
        raise
    except (http.client.InvalidURL, ValueError) as error:
        raise _unaskable(url) from error


def _unaskable(url: str) -> WeightsError:
    """The error for an address that no further try reaches; the reason may quote a password of the proxy."""
    return WeightsError(
        f"{shown(url)}: nobody can be asked there. Correct the address, or the proxy in the environment; it "
        f"may also lead to a malformed one. {_ELSEWHERE}"
    )


def _read_headers(answer: Any, url: str) -> tuple[Said, int]:
    """What the server says of the file, and at which byte its answer begins."""
    headers = answer.headers
    if headers.get_content_type() == "text/html":
        raise WeightsError(f"{shown(url)}: answers with a web page, not with the file. {_ELSEWHERE}")
    tag, date = headers.get("ETag", ""), headers.get("Last-Modified", "")
    validator = tag if tag and not tag.startswith("W/") else date
    if answer.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
        if match is None:
            raise WeightsError(f"{shown(url)}: the server sends a part of the file without saying which.")
        total = None if match[2] == "*" else int(match[2])
        return Said(digest(url), validator, total), int(match[1])
    return Said(digest(url), validator, answer.length), 0


def _require_room(part: Part, said: Said) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if said.total is not None and free < said.total - part.size:
        raise StorageError(
            f"{part.path.parent}: {free / 1e9:.1f} GB are free, {shown(part.url)} "
            f"needs {said.total / 1e9:.1f}. Set SEGTALKER_CACHE to a folder on a larger disk."
        )


def _reason(error: BaseException) -> str:
    """Why, in the words of whoever said it."""
    reason = getattr(error, "reason", None) or error
    told = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return "".join(c if c.isprintable() else " " for c in str(told))


class _StayEncrypted(urllib.request.HTTPRedirectHandler):
    """Follows redirections to https, and from http to http; never to ftp or to files of this machine."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """The request for the new address."""
        require_address(newurl)
        if not newurl.lower().startswith("https:" if req.type == "https" else ("https:", "http:")):
            known = "not encrypted" if is_http(newurl) else "no address of https or http"
            raise WeightsError(
                f"{shown(req.full_url)}: leads to {shown(newurl)}, which is {known}. {_ELSEWHERE}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_StayEncrypted)
