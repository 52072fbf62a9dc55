"""The stages of a dub behind deployments: the same verbs, answered by replicas."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtalker import storage
from segtalker.dub_config import DubConfig
from segtalker.errors import ConfigError
from segtalker.parsing.colours import ColourModel
from segtalker.stages import Networks, OnStep, SpeechWindows
from segtalker.training.adapt import AdaptConfig, Adapted
from segtalker.types import Face, Image, Points
from segtalker.weights.checkpoint import weights_info, weights_path
from serve.asking import Packet, Stage, pack


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
    """A `FaceBackend` of replicas; one question goes with the frames of a third of a second.

    Faces are kept for as long as a block of frames is tracked: they are copied out of the object store, which
    would hold all of each answer as long as one of its arrays is looked at.
    """

    frames_ahead = 8

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._latest = threading.local()

    def detect(self, image: Image, thorough: bool = True) -> list[Face]:
        """See `FaceBackend.detect`."""
        return [_own(face) for face in self._stage.ask("detect", self._frame(image), thorough)]

    def follow(self, image: Image, previous: Face) -> Face | None:
        """See `FaceBackend.follow`."""
        face: Face | None = self._stage.ask("follow", self._frame(image), previous)
        return None if face is None else _own(face)

    def follow_through(self, images: Sequence[Image], previous: Face) -> list[Face]:
        """See `FollowsThrough.follow_through`."""
        return [_own(face) for face in self._stage.ask("follow_through", list(images), previous)]

    def matte(self, image: Image) -> NDArray[np.float32]:
        """See `FaceBackend.matte`."""
        return self._stage.ask("matte", self._frame(image))

    def landmarks68(self, image: Image, face: Face) -> Points:
        """See `FaceBackend.landmarks68`."""
        return np.array(self._stage.ask("landmarks68", self._frame(image), face))

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
        return np.array(self._stage.ask("embed", self._frame(image), face))


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


def _own(face: Face) -> Face:
    """The face with arrays of this process."""
    return replace(
        face, bbox=np.array(face.bbox), landmarks=np.array(face.landmarks), depth=np.array(face.depth)
    )
