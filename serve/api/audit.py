"""Who did what to which job: a JSON line for each event, in the log `segtalker.audit` and perhaps a file."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal

from segtalker.errors import ConfigError
from serve.api.auth import Caller

Event = Literal["accepted", "repeated", "refused", "cancelled", "deleted", "ended"]
_log = logging.getLogger("segtalker.audit")
_REMEMBERED = 10_000


def show_audit() -> None:
    """Write the lines to standard error where nobody has said where the logs of this process go.

    Python drops lines of this level otherwise, and Serve's own logging takes those of Serve alone.
    """
    if _log.level == logging.NOTSET:
        _log.setLevel(logging.INFO)
    if not _log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
        _log.addHandler(handler)


class Audit:
    """Writes the lines; several processes may share a file, and somebody may move it away at any time."""

    def __init__(self, file: str | None = None) -> None:
        """`ConfigError` if the file cannot be written."""
        self._path = Path(file).expanduser() if file is not None else None
        self._ended: OrderedDict[str, None] = OrderedDict()
        try:
            self._append(b"")
        except OSError as error:
            raise ConfigError(f"api.audit_file: {file} cannot be written ({error.strerror}).") from error

    def write(self, event: Event, caller: Caller, job: str | None = None, **facts: Any) -> None:
        """One line; facts: sizes, a code, a state. Never the content or a token."""
        if job is not None and event in ("ended", "cancelled"):
            self._ended[job] = None
            if len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)
        line = {"time": round(time.time(), 3), "event": event, "token": caller.name, "client": caller.address}
        text = json.dumps({**line, "job": job, **facts})
        _log.info("%s", text)
        try:
            self._append(text.encode() + b"\n")
        except OSError as error:  # the log has the line; no request fails for it
            _log.error("%s cannot be written: %s", self._path, error)

    def ended(self, caller: Caller, job: str, state: str) -> None:
        """The end of a job, the first time that this process shows it to its owner."""
        if job not in self._ended:
            self.write("ended", caller, job, state=state)

    def _append(self, line: bytes) -> None:
        """One write at the end of the file, so that lines of several processes do not mix."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            os.write(file, line)
        finally:
            os.close(file)
