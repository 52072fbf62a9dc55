"""What is known of a batch while it runs, kept in its folder: the table of outcomes and a page for people."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from segtalker.batch.outcome import Outcome, write_outcomes
from segtalker.batch.standing import Standing
from segtalker.batch.summary import PAGE_NAME, progress_line, render_page
from segtalker.errors import StorageError
from segtalker.progress import OnProgress, Progress
from segtalker.storage import Uri, join, write_bytes

_EVERY_S = 3.0
_SAID_EVERY_S = 60.0
_SHARE = 20  # the books take at most about this part of the time
_log = logging.getLogger("segtalker.batch")
_pace = logging.getLogger("segtalker.batch.pace")


class Books:
    """Takes outcomes as rows end, and rewrites table and page every few seconds; whole at the end.

    The log "segtalker.batch.pace" gets a line a minute, for where no bar can be drawn.
    """

    def __init__(
        self, ids: Sequence[str], out: Uri, tell: OnProgress, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        """ids: of all rows, in the order of the table. may_write: False once the folder is another run's."""
        self._ids, self._out, self._tell, self._may_write = list(ids), out, tell, may_write
        self._found: dict[str, Outcome] = {}
        self._moving: dict[str, float] = {}
        self._lock, self._over = threading.Lock(), threading.Event()
        self._began, self._ended = time.monotonic(), 0.0
        self._thread = threading.Thread(target=self._keep_writing, name="books", daemon=True)

    def add(self, outcome: Outcome) -> None:
        """A row has ended."""
        with self._lock:
            self._found[outcome.id] = outcome
            self._moving.pop(outcome.id, None)
        self._tell(Progress("dubbing", len(self._found), len(self._ids), "row"))

    def move(self, row: str, share: float) -> None:
        """A share 0..1 of a long row is rendered."""
        with self._lock:
            self._moving[row] = share

    def outcomes(self) -> list[Outcome]:
        """Of all rows that have ended, in order."""
        with self._lock:
            return [self._found[name] for name in self._ids if name in self._found]

    def __enter__(self) -> Books:
        self._write()  # what cannot be written is told before any work
        _log.info("%d rows; progress: %s", len(self._ids), join(self._out, PAGE_NAME))
        self._tell(Progress("dubbing", 0, len(self._ids), "row"))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended = time.monotonic()
        self._over.set()
        self._thread.join()
        self._write()

    def _keep_writing(self) -> None:
        pause, said = _EVERY_S, self._began
        while not self._over.wait(pause):
            start = time.monotonic()
            if start - said >= _SAID_EVERY_S:
                said = start
                _pace.info("%s", progress_line(self.standing()))
            try:
                self._write()
            except StorageError as error:  # the rows go on; at the end it is an error
                _log.warning("%s", error)
            pause = max(_EVERY_S, _SHARE * (time.monotonic() - start))

    def standing(self) -> Standing:
        """How far the batch is."""
        with self._lock:
            moving = sum(self._moving.values())
        elapsed = (self._ended or time.monotonic()) - self._began
        return Standing(len(self._ids), self.outcomes(), moving, elapsed, self._over.is_set())

    def _write(self) -> None:
        if not self._may_write():
            return
        standing = self.standing()
        write_outcomes(standing.outcomes, self._out)
        write_bytes(join(self._out, PAGE_NAME), render_page(standing).encode())
