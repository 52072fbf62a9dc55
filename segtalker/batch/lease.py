"""One batch at a time works into a folder or bucket: a second one is refused, a dead one is replaced.

`OUT/.lease/000007.json` is the seventh run's. It is made by conditional create, so that of two at once one
gets it, and the highest number counts. Its run writes it anew every few seconds. One that does not change
for a while is of a run that was killed: the next run takes the next number. A run that was only thought dead,
as on a machine that slept, meets the higher number and stops. Clocks of machines are not compared.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import re
import socket
import threading
import time
from contextlib import suppress
from datetime import datetime, timezone

from segtalker.errors import StorageError
from segtalker.storage import (
    Uri,
    create,
    is_local,
    join,
    list_names,
    local_path,
    read_if_exists,
    remove,
    write_bytes,
)

FOLDER = ".lease"
BEAT_S = 3.0
LEASE_S = 15.0
"""A run that showed no sign of life for so long is taken for dead."""
_LOOK_S = 0.25
_NAME = re.compile(r"([0-9]{6})\.json")
_log = logging.getLogger("segtalker.batch")


class Lease:
    """The right to work into `out`, from its making until the `with` block is left."""

    def __init__(self, out: Uri) -> None:
        """Take it; `StorageError` says who holds it. After a run that was killed this takes `LEASE_S`."""
        self._out, self._folder = out, join(out, FOLDER)
        self._holder = {
            "by": f"{_user()} on {socket.gethostname()} (process {os.getpid()})",
            "since": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
        }
        self._number = self._take()
        self._is_lost, self._over = False, threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name="lease", daemon=True)

    @property
    def is_held(self) -> bool:
        """Whether no other run has taken over; no request."""
        return not self._is_lost

    def check(self) -> None:
        """`StorageError` once another run has taken over; no request."""
        if self._is_lost:
            raise StorageError(
                f"{self._out}: another batch has taken over, since this one gave no sign of life for "
                f"{LEASE_S:g} s. What is done is kept; that batch goes on from it."
            )

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Give it back; nobody has to wait."""
        self._over.set()
        self._thread.join()
        try:
            remove(self._record(self._number))
        except StorageError as problem:  # whoever comes next waits for a while
            _log.warning("%s", problem)
        if is_local(self._folder):
            with suppress(OSError):  # somebody has the next one already
                local_path(self._folder).rmdir()

    def _take(self) -> int:
        """The number of this run's lease."""
        while True:
            last = self._last()
            if last:
                self._await_death(last)
            number = last + 1
            if not create(self._record(number), self._text(0)):
                time.sleep(_LOOK_S)  # somebody was faster
                continue
            if self._last() > number:  # `last` was of old, and later ones have come and gone
                remove(self._record(number))
                continue
            for name in list_names(self._folder):
                if name < f"{number:06d}.json":
                    remove(join(self._folder, name))
            return number

    def _await_death(self, number: int) -> None:
        """Return once a lease is given back or shows no sign of life; `StorageError` where it is alive."""
        first = now = read_if_exists(self._record(number))
        began, is_told = time.monotonic(), False
        while now is not None and time.monotonic() - began < LEASE_S:
            if now != first:
                raise StorageError(
                    f"{self._out}: the batch of {_told(now)} works there. Wait until it ends, or choose "
                    "another --out."
                )
            if not is_told and time.monotonic() - began > 2 * BEAT_S:
                is_told = True
                _log.warning("%s: waiting %g s for a batch that seems to be dead.", self._out, LEASE_S)
            time.sleep(_LOOK_S)
            now = read_if_exists(self._record(number))

    def _keep_beating(self) -> None:
        count = 0
        while not self._over.wait(BEAT_S):
            try:
                if self._last() != self._number:
                    self._is_lost = True
                    return
                count += 1
                write_bytes(self._record(self._number), self._text(count))
            except StorageError as error:  # a store that is away for a while ends nothing
                _log.warning("%s", error)

    def _last(self) -> int:
        """The highest number; 0 where nobody is."""
        matches = map(_NAME.fullmatch, list_names(self._folder))
        return max((int(match[1]) for match in matches if match), default=0)

    def _record(self, number: int) -> str:
        return join(self._folder, f"{number:06d}.json")

    def _text(self, beat: int) -> bytes:
        return json.dumps({**self._holder, "beat": beat}).encode()


def _told(record: bytes) -> str:
    try:
        values = json.loads(record)
        return f"{values['by']}, begun {values['since']},"
    except (ValueError, KeyError, TypeError):
        return "somebody else"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a number without a name
        return f"user {os.getuid()}"
