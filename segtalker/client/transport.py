"""HTTP requests that never hang and are tried again where that is safe.

Every request has a connection of its own and a time limit on each step. A lost connection and an error of the
server are tried again a few times; a server that is busy (429, or 503 with `Retry-After`) is asked again when
it says, as long as patience lasts. All requests of the service may be repeated: those that make something
carry an idempotency key.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from segtalker.client.bodies import Body
from segtalker.errors import SegTalkerError

T = TypeVar("T")
_BLOCK = 1 << 16
_LONGEST_LINE = 1 << 22  # of an event


class ServiceError(SegTalkerError):
    """The service refused or failed; the message is its own sentence."""

    def __init__(self, message: str, status: int | None = None, code: str | None = None) -> None:
        """status: of HTTP, where there was an answer. code: the service's word for the reason."""
        super().__init__(message)
        self.status = status
        self.code = code


class Unavailable(ServiceError):
    """No answer, or one that says that another attempt may go better."""

    def __init__(
        self,
        message: str,
        status: int | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, status, code)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Retries:
    """How much a client puts up with before it gives up."""

    errors: int = 5
    """Lost connections and errors of the server, of one request and in a row."""
    within_s: float = 120.0
    """Seconds after which nothing is tried again, waiting for a busy service included."""
    first_wait_s: float = 0.5
    """Pause after the first error; doubles with each one."""


class Patience:
    """Counts what went wrong with one piece of work, and waits before the next attempt."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self.renew()

    def renew(self) -> None:
        """Forget past errors: there was progress."""
        self._errors = 0
        self._end = time.monotonic() + self._retries.within_s

    def wait_after(self, error: Unavailable) -> None:
        """Sleep, or raise `error` where another attempt would be one too many."""
        if error.retry_after_s is None:
            wait = self._retries.first_wait_s * 2**self._errors
            self._errors += 1
        else:
            wait = error.retry_after_s
        if self._errors > self._retries.errors or time.monotonic() + wait > self._end:
            raise error
        time.sleep(wait)


class Answer:
    """The head of a response with status 2xx; its content is read in blocks. Close it."""

    def __init__(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, where: str
    ) -> None:
        self._connection = connection
        self._response = response
        self._where = where
        self.status = response.status
        self.headers = response.headers

    def blocks(self) -> Iterator[bytes]:
        """The content as it arrives; `Unavailable` where it is cut or pauses for too long."""
        while True:
            try:
                block = self._response.read1(_BLOCK)
                if not block and self._response.length:
                    raise http.client.IncompleteRead(b"", self._response.length)
            except (OSError, http.client.HTTPException) as error:
                raise _lost(self._where, error) from error
            if not block:
                return
            yield block

    def read(self, within_s: float) -> bytes:
        """The whole content, which must arrive within so many seconds."""
        end = time.monotonic() + within_s
        blocks = []
        for block in self.blocks():
            blocks.append(block)
            if time.monotonic() > end:
                raise _lost(self._where, TimeoutError("timed out"))
        return b"".join(blocks)

    def lines(self) -> Iterator[str]:
        """Lines of text as they arrive, without their ends."""
        rest = b""
        for block in self.blocks():
            *lines, rest = (rest + block).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise ServiceError(f"{self._where}: sent a line without an end. Is this a SegTalker service?")
            for line in lines:
                yield line.decode(errors="replace").rstrip("\r")

    def close(self) -> None:
        """Drop the connection."""
        self._response.close()
        self._connection.close()


class Transport:
    """Requests to one service."""

    def __init__(self, url: str, token: str | None, timeout_s: float, retries: Retries) -> None:
        """url: `http(s)://host[:port][/prefix]`. timeout_s: of every step of a request."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServiceError(f"{url!r} is not the address of a service. Write http://HOST:PORT.")
        self._connection_type = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._url = url.rstrip("/")
        self._token = token
        self.timeout_s = timeout_s
        self.retries = retries

    def json(self, method: str, path: str, body: Body | None = None, key: str | None = None) -> Any:
        """The JSON answer to a request, tried again as `retries` says; None where the answer is empty."""
        data = self.content(method, path, body, key)
        try:
            return json.loads(data) if data else None
        except ValueError as error:
            raise ServiceError(
                f"{self._url}{path}: answered no JSON. Is this a SegTalker service?"
            ) from error

    def content(self, method: str, path: str, body: Body | None = None, key: str | None = None) -> bytes:
        """As `json`, the bytes of the answer."""

        def attempt() -> bytes:
            with closing(self.open(method, path, body, key)) as answer:
                return answer.read(self.retries.within_s)

        return self.retrying(attempt)

    def retrying(self, attempt: Callable[[], T]) -> T:
        """Call until it succeeds or patience is at its end."""
        patience = Patience(self.retries)
        while True:
            try:
                return attempt()
            except Unavailable as error:
                patience.wait_after(error)

    def open(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        pause_s: float | None = None,
    ) -> Answer:
        """Send one request, once.

        key: its idempotency key. pause_s: longest time without a byte, where not the usual. Raises
        `Unavailable` where the connection fails or the server has an error or is busy, `ServiceError` for all
        other answers than 2xx.
        """
        where = f"{self._url}{path}"
        sent = {"Accept-Encoding": "identity", "Connection": "close", **(headers or {})}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        if key:
            sent["Idempotency-Key"] = key
        if body:
            sent |= {"Content-Type": body.content_type, "Content-Length": str(body.length)}
        connection = self._connection_type(self._host, self._port, timeout=pause_s or self.timeout_s)
        try:
            response = self._exchange(connection, method, path, body, sent)
            answer = Answer(connection, response, where)
            if not 200 <= response.status < 300:
                raise _refusal(answer, response.reason, where, self.timeout_s)
            return answer
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _lost(where, error) from error
        except BaseException:
            connection.close()
            raise

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Body | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        blocks = body.blocks() if body else None
        try:
            connection.request(method, self._prefix + path, blocks, dict(headers))
        except (BrokenPipeError, ConnectionResetError) as error:
            try:  # a server that does not want all of it answers before the end
                return connection.getresponse()
            except (OSError, http.client.HTTPException):
                raise error from None
        return connection.getresponse()


def _refusal(answer: Answer, reason: str, where: str, timeout_s: float) -> ServiceError:
    """The error that an answer other than 2xx stands for."""
    status = answer.status
    try:
        told = json.loads(answer.read(timeout_s))["error"]
        message, code = str(told["message"]), str(told["code"])
    except (ServiceError, ValueError, KeyError, TypeError):
        message, code = f"{where}: answered {status} {reason}. Look into the log of the service.", None
    if status >= 500 or status == 429:
        return Unavailable(message, status, code, _seconds(answer.headers.get("Retry-After")))
    return ServiceError(message, status, code)


def _seconds(retry_after: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number, or a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def _lost(where: str, error: BaseException) -> Unavailable:
    cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Unavailable(f"{where}: no answer, or only a part of it ({cause}). Check that the service runs.")
