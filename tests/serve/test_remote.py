"""Questions to replicas are asked again when that can help, and only then."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from ray import exceptions as ray_errors
from ray.serve import exceptions as serve_errors

from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.errors import ConfigError, FaceNotFound, MediaError
from segtalker.local_stages import LocalStages
from segtalker.stages import Stages
from segtalker.training.adapt import AdaptConfig
from segtalker.types import Face
from serve import asking, remote
from serve.asking import Stage
from serve.remote import RemoteEmbeddingFaces, RemoteFaces, RemoteStages
from serve.runner import Deadly, Unavailable
from tests.dubbing import BlobFaces, tiny_weights


@dataclass
class Handle:
    """A handle whose calls are answered by `script`, one entry a call; an exception is raised."""

    script: list[Any]
    deployment_name: str = "Generator"
    asked: list[tuple[str, Any]] = field(default_factory=list)
    cancelled: int = 0

    @property
    def run(self) -> Handle:
        return self

    def remote(self, verb: str, packet: dict[str, Any]) -> Response:
        self.asked.append((verb, packet["value"]))
        return Response(self, self.script[min(len(self.asked), len(self.script)) - 1])


@dataclass
class Response:
    handle: Handle
    answer: Any

    def result(self, timeout_s: float) -> dict[str, Any]:
        assert 0 < timeout_s < 3600
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"value": self.answer}

    def cancel(self) -> None:
        self.handle.cancelled += 1


def raised_in_a_replica(cause: Exception) -> Exception:
    """What a caller gets of an exception in a replica."""
    return ray_errors.RayTaskError("run", "Traceback ...\n  File ...\n", cause).as_instanceof_cause()


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(asking, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(asking, "_LONGEST_WAIT_S", 0.01)


@pytest.mark.parametrize(
    "problem",
    [
        ray_errors.ActorDiedError(),
        ray_errors.ActorUnavailableError("busy", b"\0" * 16),
        ray_errors.OwnerDiedError("00" * 28, b"", ""),
        ray_errors.TaskCancelledError(),
        serve_errors.BackPressureError(num_queued_requests=65, max_queued_requests=64),
        serve_errors.DeploymentUnavailableError("Generator"),
        serve_errors.RequestCancelledError("1"),
        raised_in_a_replica(serve_errors.BackPressureError(num_queued_requests=9, max_queued_requests=8)),
        raised_in_a_replica(ray_errors.GetTimeoutError("the frames did not arrive")),
    ],
    ids=lambda problem: type(problem).__name__,
)
def test_a_question_is_asked_again_with_the_same_arguments(problem):
    handle = Handle([problem, problem, "answer"])
    assert Stage(handle, patience_s=5).ask("paint", 1, 2) == "answer"
    assert handle.asked == [("paint", (1, 2))] * 3


def test_a_call_that_nobody_waits_for_any_more_is_cancelled():
    handle = Handle([FutureTimeout(), "answer"])
    assert Stage(handle, patience_s=5).ask("paint") == "answer"
    assert handle.cancelled == 1


def test_after_its_patience_a_stage_is_unavailable_in_one_line():
    handle = Handle([ray_errors.ActorDiedError()])
    with pytest.raises(Unavailable) as caught:
        Stage(handle, patience_s=0.05).ask("paint")
    assert str(caught.value) == "Generator has not answered for 0 s (ActorDiedError)."
    assert len(handle.asked) > 2


def died(replica: int) -> Exception:
    """What a caller gets when this replica ends while it works."""
    error = ray_errors.ActorDiedError()
    error.actor_id = f"{replica:032x}"
    return error


def test_a_question_that_ends_one_replica_after_another_is_deadly():
    handle = Handle([died(1), died(1), died(2), died(2), died(3), "answer"])
    with pytest.raises(Deadly, match="3 replicas of Generator have died of the same question"):
        Stage(handle, patience_s=5).ask("paint")
    assert len(handle.asked) == 5


def test_a_replica_that_is_found_dead_again_and_again_is_one():
    handle = Handle([*[died(1)] * 5, died(2), "answer"])
    assert Stage(handle, patience_s=5).ask("paint") == "answer"


def test_an_error_of_the_stage_is_raised_as_it_would_be_at_home():
    handle = Handle([raised_in_a_replica(FaceNotFound("clip.mp4: no face in 9 frames."))])
    with pytest.raises(FaceNotFound) as caught:
        Stage(handle).ask("detect")
    assert type(caught.value) is FaceNotFound and str(caught.value) == "clip.mp4: no face in 9 frames."
    assert len(handle.asked) == 1


def test_a_mistake_of_ours_is_not_tried_again_and_has_no_remote_trace():
    handle = Handle([raised_in_a_replica(ValueError("shapes differ"))])
    with pytest.raises(RuntimeError) as caught:
        Stage(handle).ask("paint")
    assert str(caught.value) == "ValueError: shapes differ" and len(handle.asked) == 1


def test_in_local_testing_errors_of_a_stage_pass_as_they_are():
    handle = Handle([MediaError("a.mp4: cannot be read.")])
    with pytest.raises(MediaError, match=r"a\.mp4"):
        Stage(handle).ask("detect")
    assert len(handle.asked) == 1


def test_a_frame_is_put_once_for_several_questions_and_let_go_with_its_image(monkeypatch):
    put: list[int] = []
    monkeypatch.setattr(remote, "pack", lambda value: put.append(id(value)) or {"value": "a reference"})
    handle = Handle([[]])
    faces = RemoteFaces(Stage(handle))

    first, second = (np.zeros((4, 4, 3), np.uint8) for _ in range(2))
    for image in (first, first, second, first):
        faces.detect(image)
        faces.matte(image)
    assert [put.count(id(image)) for image in (first, second)] == [2, 1]

    handle.asked.clear()
    del first, image
    gc.collect()
    assert faces._latest.__dict__.get("packet") is None, "the store keeps a frame that nobody has"


def answer_of_the_store(verb: str) -> tuple[Any, weakref.ref]:
    """What a replica says, in read-only arrays that share a buffer, and the buffer."""
    buffer = np.zeros(8 * (4 + 3 * 468), np.float32)
    buffer.flags.writeable = False
    faces = [Face(row[:4], 0.9, row[4:940].reshape(468, 2), row[940:]) for row in buffer.reshape(8, -1)]
    answers = {"detect": faces, "follow_through": faces, "follow": faces[0]}
    return answers.get(verb, faces[0].landmarks), weakref.ref(buffer)


@pytest.mark.parametrize("verb", ["detect", "follow", "follow_through", "landmarks68", "embed"])
def test_what_is_told_of_faces_holds_nothing_of_the_store(verb):
    answer, buffer = answer_of_the_store(verb)
    image, handle = np.zeros((4, 4, 3), np.uint8), Handle([answer])
    previous = Face(np.zeros(4, np.float32), 1.0, np.zeros((468, 2), np.float32), np.zeros(468, np.float32))
    arguments = {"detect": (image,), "follow_through": ([image], previous)}
    kept = getattr(RemoteEmbeddingFaces(Stage(handle)), verb)(*arguments.get(verb, (image, previous)))
    assert kept is not None and buffer() is not None
    handle.script.clear()
    del answer
    gc.collect()
    assert buffer() is None


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> LocalStages:
    weights = tiny_weights(tmp_path_factory.mktemp("weights"))
    networks = {name: NetworkConfig(weights=str(path)) for name, path in weights.items()}
    return LocalStages(DubConfig(**networks, threads=1), BlobFaces())


def behind_handles(local: LocalStages) -> Stages:
    from serve.deployments import Verbs

    verbs = Verbs(local)

    class Answering(Handle):
        def remote(self, verb: str, packet: dict[str, Any]) -> Response:
            args = [arg["value"] if isinstance(arg, dict) else arg for arg in packet["value"]]
            return Response(self, verbs(verb, args))

    stages = {name: Stage(Answering([])) for name in ("faces", "talker", "encoder", "generator")}
    return RemoteStages(local._cfg, **stages)


def test_remote_stages_answer_as_local_ones(local):
    from tests.dubbing import talking_frame

    stages, image = behind_handles(local), talking_frame(0)
    (face,), (own,) = stages.backend.detect(image), local.backend.detect(image)
    assert np.array_equal(face.landmarks, own.landmarks)
    assert np.array_equal(stages.backend.follow(image, face).bbox, local.backend.follow(image, own).bbox)
    assert np.array_equal(stages.parser.mattes(image[None]), local.parser.mattes(image[None]))

    networks, at_home = stages.networks, local.networks
    size = networks.painter.size
    assert size == at_home.painter.size and dict(networks.hashes) == dict(at_home.hashes)
    maps = np.random.default_rng(0).integers(0, 12, (3, size, size)).astype(np.uint8)
    crops = np.random.default_rng(1).integers(0, 255, (3, size, size, 3)).astype(np.uint8)
    codes = networks.painter.encode(crops, maps)
    assert np.array_equal(codes, at_home.painter.encode(crops, maps))
    assert np.array_equal(networks.painter.paint(maps, codes), at_home.painter.paint(maps, codes))


def test_replicas_are_fitted_to_nobody(local):
    painter = behind_handles(local).networks.painter
    blank = np.zeros((1, painter.size, painter.size), np.uint8)
    with pytest.raises(ConfigError, match="does not fit"):
        painter.fit(np.zeros((*blank.shape, 3), np.uint8), blank, AdaptConfig(), lambda *step: None)
