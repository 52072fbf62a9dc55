"""The stages of a dub behind deployments: the same verbs, answered by replicas.

Arrays travel as one object reference a call, inside a dict: references that stand bare, or values, stay
pinned in the object store until Python collects its garbage.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray import exceptions as ray_errors
from ray.serve import exceptions as serve_errors
from ray.serve.handle import DeploymentHandle

from segtalker import storage
from segtalker.dub_config import DubConfig
from segtalker.errors import ConfigError, SegTalkerError
from segtalker.parsing.colours import ColourModel
from segtalker.stages import Networks, OnStep, SpeechWindows
from segtalker.training.adapt import AdaptConfig, Adapted
from segtalker.types import Face, Image, Points
from segtalker.weights.checkpoint import weights_info, weights_path
from serve.runner import Unavailable

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
        """The answer to `verb`; `Unavailable` when there was none for long, the stage's own errors else."""
        return self.send(verb, pack(args))

    def send(self, verb: str, packet: Packet) -> Any:
        """The same for arguments that are packed already."""
        until = time.monotonic() + self.patience_s
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
            if time.monotonic() + wait > until:
                break
            time.sleep(wait)
        name = self.handle.deployment_name
        raise Unavailable(f"{name} has not answered for {self.patience_s:.0f} s ({type(problem).__name__}).")

    def _once(self, verb: str, packet: Packet) -> Any:
        response = self.handle.run.remote(verb, packet)
        try:
            return unpack(response.result(timeout_s=self.answer_s))
        except TimeoutError:
            response.cancel()  # what nobody waits for must not hold a place in a queue
            raise


class RemoteStages:
    """`Stages` whose networks are replicas; what is asked of them is what a local dub asks."""

    def __init__(self, cfg: DubConfig, faces: Stage, talker: Stage, encoder: Stage, generator: Stage) -> None:
        self._cfg = cfg
        self.parser = RemoteCropParser(faces)
        embeds = cfg.faces.backend == "insightface"
        self.backend = RemoteEmbeddingFaces(faces) if embeds else RemoteFaces(faces)
        self._talker, self._encoder, self._generator = talker, encoder, generator

    @cached_property
    def networks(self) -> Networks:
        """Talker and painter; sizes and hashes are those of the weights files that the replicas load."""
        cfg = self._cfg
        paths = {"tsg": weights_path(cfg.tsg.weights, "tsg"), "sgi": weights_path(cfg.sgi.weights, "sgi")}
        return Networks(
            talker=RemoteTalker(self._talker),
            painter=RemotePainter(self._encoder, self._generator, painter_size(cfg)),
            hashes={name: storage.fingerprint(path)["sha256"] for name, path in paths.items()},
        )


def painter_size(cfg: DubConfig) -> int:
    """Side of the crops that the configured SGI renders, out of its file's header."""
    model: Mapping[str, Any] = weights_info(weights_path(cfg.sgi.weights, "sgi"))["config"]
    return int(model["generator"]["size"])


class RemoteFaces:
    """A `FaceBackend` of replicas; one question goes with the frames of a third of a second."""

    frames_ahead = 8

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._latest = threading.local()

    def detect(self, image: Image, thorough: bool = True) -> list[Face]:
        """See `FaceBackend.detect`."""
        return self._stage.ask("detect", self._frame(image), thorough)

    def follow(self, image: Image, previous: Face) -> Face | None:
        """See `FaceBackend.follow`."""
        return self._stage.ask("follow", self._frame(image), previous)

    def follow_through(self, images: Sequence[Image], previous: Face) -> list[Face]:
        """See `FollowsThrough.follow_through`."""
        return self._stage.ask("follow_through", list(images), previous)

    def matte(self, image: Image) -> NDArray[np.float32]:
        """See `FaceBackend.matte`."""
        return self._stage.ask("matte", self._frame(image))

    def landmarks68(self, image: Image, face: Face) -> Points:
        """See `FaceBackend.landmarks68`."""
        return self._stage.ask("landmarks68", self._frame(image), face)

    def _frame(self, image: Image) -> Packet:
        """A frame, put into the store once however many questions there are about it."""
        held = self._latest.__dict__
        if "image" not in held or held["image"]() is not image:
            held.update(image=weakref.ref(image, lambda _: held.pop("packet", None)), packet=pack(image))
        return held["packet"]


class RemoteEmbeddingFaces(RemoteFaces):
    """A backend that also recognises people."""

    def embed(self, image: Image, face: Face) -> NDArray[np.float32]:
        """See `InsightFaceFaces.embed`."""
        return self._stage.ask("embed", self._frame(image), face)


class RemoteCropParser:
    """A `CropParser` of replicas."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def mattes(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `CropParser.mattes`."""
        return self._stage.ask("mattes", images)

    def fit(
        self, images: NDArray[np.uint8], landmarks: NDArray[np.float32], mattes: NDArray[np.float32]
    ) -> ColourModel | None:
        """See `CropParser.fit`."""
        return self._stage.ask("fit", images, landmarks, mattes)

    def parse(
        self,
        images: NDArray[np.uint8],
        landmarks: NDArray[np.float32],
        mattes: NDArray[np.float32],
        colours: ColourModel | None,
    ) -> NDArray[np.uint8]:
        """See `CropParser.parse`."""
        return self._stage.ask("parse", images, landmarks, mattes, colours)


class RemoteTalker:
    """`Talks` of replicas."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def talk(
        self, maps_NSS: NDArray[np.uint8], references_NSS: NDArray[np.uint8], heard: SpeechWindows
    ) -> NDArray[np.uint8]:
        """See `Talks.talk`."""
        return self._stage.ask("talk", maps_NSS, references_NSS, heard)


class RemotePainter:
    """`Paints` of replicas."""

    def __init__(self, encoder: Stage, generator: Stage, size: int) -> None:
        self._encoder, self._generator, self.size = encoder, generator, size

    def encode(self, crops_KSS3: NDArray[np.uint8], maps_KSS: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Paints.encode`."""
        return self._encoder.ask("encode", crops_KSS3, maps_KSS)

    def paint(self, maps_NSS: NDArray[np.uint8], codes: NDArray[np.float32]) -> NDArray[np.uint8]:
        """See `Paints.paint`."""
        return self._generator.ask("paint", maps_NSS, codes)

    def fit(
        self, crops_KSS3: NDArray[np.uint8], raws_KSS: NDArray[np.uint8], cfg: AdaptConfig, on_step: OnStep
    ) -> Adapted:
        """Replicas serve many people: none is fitted to one of them."""
        raise ConfigError("adapt: the service does not fit networks to single clips.")

    def adapted(self, fit: Adapted) -> RemotePainter:
        """As `fit`."""
        raise ConfigError("adapt: the service does not fit networks to single clips.")


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
