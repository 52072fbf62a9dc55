"""Questions to a deployment, asked again when its replica was lost or all are busy.

Arrays travel as one object reference a call, inside a dict: references that stand bare, or values, stay
pinned in the object store until Python collects its garbage.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ray
from ray import exceptions as ray_errors
from ray.serve import exceptions as serve_errors
from ray.serve.handle import DeploymentHandle

from segtalker.errors import SegTalkerError
from serve.runner import Deadly, Unavailable

_log = logging.getLogger("segtalker.stages")
_GONE = (
    ray_errors.RayActorError,
    ray_errors.ObjectLostError,
    ray_errors.WorkerCrashedError,
    ray_errors.GetTimeoutError,
    ray_errors.TaskCancelledError,
    ray_errors.ObjectStoreFullError,
    serve_errors.ReplicaUnavailableError,
    serve_errors.DeploymentUnavailableError,
    TimeoutError,
)
"""A replica was lost, or has not answered: a stage keeps no state, so it can be asked again."""
ANSWER_S = 300.0
"""Nobody waits longer for an answer."""
_DEADLY = 3
"""Replicas lost one after the other: a call that was near each of them is suspect."""
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 2.0

Packet = dict[str, Any]


def pack(value: Any) -> Packet:
    """A value on its way to another process; without a cluster, as in local testing, the value itself."""
    return {"ref": ray.put(value)} if ray.is_initialized() else {"value": value}


def unpack(packet: Packet) -> Any:
    """The value of a packet; arrays are read-only views of the object store."""
    return ray.get(packet["ref"], timeout=ANSWER_S) if "ref" in packet else packet["value"]


@dataclass(frozen=True)
class Stage:
    """Asks one deployment, from any thread; asks again when its replica was lost or all are busy."""

    handle: DeploymentHandle
    patience_s: float = 180.0
    """How long to go on asking; a replica with large networks takes its time to start."""
    answer_s: float = ANSWER_S
    """Longest wait for one answer, and for a replica to be there."""

    def ask(self, verb: str, *args: Any) -> Any:
        """The answer to `verb`; the stage's own errors as they are.

        `Unavailable` when there was no answer for long, `Deadly` when it costs one replica after another.
        """
        return self.send(verb, pack(args))

    def send(self, verb: str, packet: Packet) -> Any:
        """The same for arguments that are packed already."""
        until = time.monotonic() + self.patience_s
        dead: set[str] = set()
        for wait in _waits():
            try:
                return self._once(verb, packet)
            except serve_errors.BackPressureError as error:
                problem: Exception = error
            except ray_errors.RayTaskError as error:
                if not isinstance(error.cause, _GONE):
                    raise _in_one_line(error) from error
                problem = error.cause
            except _GONE as error:
                problem = error
                _log.warning("%s: asked again: %s", self.handle.deployment_name, type(error).__name__)
                if isinstance(error, ray_errors.ActorDiedError) and error.actor_id is not None:
                    dead.add(error.actor_id)
            name = self.handle.deployment_name
            if len(dead) >= _DEADLY:
                raise Deadly(f"{len(dead)} replicas of {name} have died of the same question.")
            if time.monotonic() + wait > until:
                break
            time.sleep(wait)
        raise Unavailable(f"{name} has not answered for {self.patience_s:.0f} s ({type(problem).__name__}).")

    def _once(self, verb: str, packet: Packet) -> Any:
        response = self.handle.run.remote(verb, packet)
        try:
            return unpack(response.result(timeout_s=self.answer_s))
        except TimeoutError:
            response.cancel()  # what nobody waits for must not hold a place in a queue
            raise


def _waits() -> Iterator[float]:
    wait = _FIRST_WAIT_S
    while True:
        yield wait
        wait = min(2 * wait, _LONGEST_WAIT_S)


def _in_one_line(error: ray_errors.RayTaskError) -> Exception:
    """What a stage raised, without the remote stack trace that Ray puts into its text."""
    cause = error.cause
    if isinstance(cause, SegTalkerError):
        return type(cause)(*cause.args)
    return RuntimeError(f"{type(cause).__name__}: {cause}")
