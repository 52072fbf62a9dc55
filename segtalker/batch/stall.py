"""Ends a worker whose task does not move: a damaged video can keep a decoder busy for ever."""

from __future__ import annotations

import faulthandler
import sys
import time

from segtalker.progress import Progress


class Stall:
    """An `OnProgress` that is also a context manager; inside, silence of `limit_s` seconds ends the process.

    The system's own timer does it, so that code which never gives the interpreter back is ended as well.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._armed_at = 0.0

    def __call__(self, event: Progress) -> None:
        """The task moves."""
        self.move()

    def move(self) -> None:
        """The task moves, by something that nobody counts."""
        if time.monotonic() - self._armed_at > min(1.0, self._limit_s / 10):
            self._arm()

    def __enter__(self) -> Stall:
        self._arm()
        return self

    def __exit__(self, *error: object) -> None:
        faulthandler.cancel_dump_traceback_later()

    def _arm(self) -> None:
        self._armed_at = time.monotonic()
        faulthandler.dump_traceback_later(self._limit_s, exit=True, file=sys.__stderr__ or sys.stderr)
