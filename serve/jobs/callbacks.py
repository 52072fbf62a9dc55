"""Telling a caller that its job has ended: at least once, each time under the same delivery id.

An attempt is announced by a file that is written by conditional create, so that of several processes one
makes it; if that one is lost on the way, the next attempt is made when its time has come.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from segtalker import storage
from segtalker.errors import SegTalkerError
from serve.addresses import INTERNET, AddressRefused, AddressUnreachable, Network, open_https
from serve.config import CallbacksConfig
from serve.jobs.layout import Job, read_json
from serve.jobs.record import JobView
from serve.jobs.store import JobStore

DELIVERY_HEADER = "X-SegTalker-Delivery"
CallbackState = Literal["none", "waiting", "delivered", "given_up"]
_AT_ONCE = 8  # calls that one process makes at a time
_log = logging.getLogger(__name__)


def deliver(
    store: JobStore,
    cfg: CallbacksConfig,
    job: str,
    network: Network = INTERNET,
    now: float | None = None,
) -> CallbackState:
    """Make the call of an ended job if it is due; at most one attempt, of at most `cfg.timeout_s`.

    `none`: there is nothing to tell, or not yet. now: UTC seconds.
    """
    view = store.view(job)
    found = store.layout.read_job(job) if view is not None and not view.is_open else None
    if view is None or found is None or found.request.callback_url is None:
        return "none"
    return _Call(store, cfg, found, network).attempt(view, time.time() if now is None else now)


def deliver_due(
    store: JobStore, cfg: CallbacksConfig, network: Network = INTERNET, now: float | None = None
) -> dict[str, CallbackState]:
    """Make all calls that are due, several at a time; returns how each stands. Call it every few seconds."""
    still_open = {name.text for name in store.layout.folders("open")}
    jobs = [name.job for name in store.layout.folders("calls") if name.text not in still_open]

    def one(job: str) -> CallbackState:
        try:
            return deliver(store, cfg, job, network, now)
        except SegTalkerError as error:
            _log.warning("callback of job %s: %s", job, error)
            return "waiting"

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(jobs, pool.map(one, jobs), strict=True))


def delivery_id(job: Job) -> str:
    """The same for each attempt, so that a receiver can tell a repetition."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, job.folder))


class _Call:
    """The call of one job."""

    def __init__(self, store: JobStore, cfg: CallbacksConfig, job: Job, network: Network) -> None:
        self._layout, self._cfg, self._job, self._network = store.layout, cfg, job, network
        self._state_uri = self._layout.data(job.folder, "callback.json")

    def attempt(self, view: JobView, now: float) -> CallbackState:
        """Call if it is time and nobody else is at it."""
        told = read_json(self._state_uri)
        if told is not None:
            return self._end(told["state"])
        number = len(storage.list_names(self._layout.data(self._job.folder, "calls")))
        if number and now < self._due(number):
            return "waiting"
        if number >= self._cfg.attempts:
            return self._give_up(f"{number} attempts failed")
        ticket = self._ticket(number + 1)
        if not storage.create(ticket, json.dumps({"time": now}).encode()):
            return "waiting"
        try:
            self._post(view)
        except AddressRefused as error:
            return self._give_up(str(error))
        except AddressUnreachable as error:
            _log.warning("callback of job %s, attempt %d: %s", view.id, number + 1, error)
            if number + 1 >= self._cfg.attempts:
                return self._give_up(str(error))
            storage.write_bytes(ticket, json.dumps({"time": now, "error": str(error)}).encode())
            return "waiting"
        return self._end("delivered", {"attempts": number + 1})

    def _due(self, number: int) -> float:
        """When the attempt after this one may be made."""
        last = read_json(self._ticket(number)) or {}
        begun = float(last.get("time", 0.0))
        ended = begun if "error" in last else begun + self._cfg.timeout_s  # it may still be in progress
        return ended + self._cfg.first_wait_s * 2 ** (number - 1)

    def _post(self, view: JobView) -> None:
        delivery = delivery_id(self._job)
        body = {"id": view.id, "state": view.state, "error": view.error, "delivery": delivery}
        with open_https(
            str(self._job.request.callback_url),
            self._cfg.https_hosts,
            timeout_s=self._cfg.timeout_s,
            method="POST",
            body=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", DELIVERY_HEADER: delivery},
            network=self._network,
        ) as answer:
            if not 200 <= answer.status < 300:
                raise AddressUnreachable(
                    f"The callback was answered with status {answer.status}; it wants 200 to 299."
                )

    def _give_up(self, error: str) -> CallbackState:
        _log.warning("callback of job %s: given up: %s", self._job.request.id, error)
        return self._end("given_up", {"error": error})

    def _end(self, state: CallbackState, told: dict[str, Any] | None = None) -> CallbackState:
        if told is not None:
            storage.write_bytes(self._state_uri, json.dumps({"state": state, **told}).encode())
        storage.remove(self._layout.marker("calls", self._job.folder))
        return state

    def _ticket(self, number: int) -> str:
        return self._layout.data(self._job.folder, "calls", f"{number:06d}.json")
