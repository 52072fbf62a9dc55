"""What a driver does beside its jobs: tell callers that theirs have ended, and clear away what is over."""

from __future__ import annotations

import logging
import threading
import time

from segtalker.errors import SegTalkerError
from serve.config import CallbacksConfig
from serve.jobs import JobStore
from serve.jobs.callbacks import deliver_due

_log = logging.getLogger("segtalker.jobs")
_CALLS_S = 2.0
_SWEEP_S = 600.0


class Housekeeper:
    """A thread of its own, so that neither a slow receiver nor a long listing holds up a job.

    Every driver has one: calls are made by one of them at a time, and sweeping twice does no harm.
    """

    def __init__(self, store: JobStore, callbacks: CallbacksConfig) -> None:
        self._store, self._callbacks = store, callbacks
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="housekeeping", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End after what is being done."""
        self._over.set()
        self._thread.join(timeout_s)

    def _work(self) -> None:
        swept = time.monotonic() - _SWEEP_S
        while not self._over.wait(_CALLS_S):
            try:
                if self._callbacks.https_hosts:
                    deliver_due(self._store, self._callbacks)
                if time.monotonic() - swept >= _SWEEP_S:
                    swept = time.monotonic()
                    self._store.sweep(time.time())
            except SegTalkerError as error:  # the storage may be away for a while
                _log.warning("housekeeping: %s", error)
            except Exception:  # a mistake of ours must not end all calls and all sweeping
                _log.exception("housekeeping")
