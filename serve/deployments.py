"""Replicas of the inference graph: each answers some of the verbs of a dub, with the objects of a local one.

A replica keeps nothing between calls, so a call can be made again anywhere. Networks are loaded and warmed
up once; talking and painting put the frames of several callers into one batch.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray import serve
from ray.serve.exceptions import RayServeException

from segtalker.config import parse_config
from segtalker.dub_config import DubConfig
from segtalker.faces.ahead import follow_through
from segtalker.local_stages import LocalStages
from segtalker.stages import SpeechWindows, Stages
from serve.asking import ANSWER_S, Packet, pack, unpack
from serve.batching import Batcher
from serve.config import StageConfig
from serve.counted import FACE_VERBS, PARSER_VERBS, STAGE_OF, frames_of
from serve.metrics import StageMetrics, total
from serve.warm_up import warm_up_encoder, warm_up_faces, warm_up_painter, warm_up_talker

_PROOF_S = 20.0  # work that succeeded so recently shows that the device is well

# Shape legend: N frames, S side of the crop, R 12 regions, L style layers, D style dim


class Verbs:
    """The verbs of a dub on plain values, as `serve.remote` asks them."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages

    def __call__(self, verb: str, args: Sequence[Any]) -> Any:
        """The answer to one question; `AttributeError` for a verb that is none."""
        if verb == "follow_through":
            return list(follow_through(self._stages.backend, *args))
        if verb in FACE_VERBS:
            return getattr(self._stages.backend, verb)(*args)
        if verb in PARSER_VERBS:
            return getattr(self._stages.parser, verb)(*args)
        if verb == "talk":
            return self._stages.networks.talker.talk(*map(_own, args))
        if verb in ("encode", "paint"):
            return getattr(self._stages.networks.painter, verb)(*map(_own, args))
        raise AttributeError(f"no stage has a verb {verb!r}")


def _own(value: Any) -> Any:
    """A copy of an array of the object store, which is read-only; torch warns of those."""
    return value.copy() if isinstance(value, np.ndarray) and not value.flags.writeable else value


class Replica:
    """What all stages share: packets in and out, one piece of work at a time, metrics, health."""

    def __init__(self, dub: dict[str, Any], cfg: StageConfig) -> None:
        torch.set_num_threads(cfg.threads)
        self._cfg = cfg
        dub_config = parse_config(DubConfig, dub)
        passes = replace(dub_config.render, batch=cfg.batch)
        self._dub = replace(dub_config, threads=cfg.threads, render=passes)
        self._stages = LocalStages(self._dub)
        self._verbs = Verbs(self._stages)
        self._metrics = self._count()
        self._working, self._since, self._proven = threading.Lock(), 0.0, time.monotonic()
        # Threads that only calls use: a check of health must not queue behind them.
        self._pool = ThreadPoolExecutor(cfg.ongoing + 1, "stage")
        self._warm_up()

    async def run(self, verb: str, packet: Packet) -> Packet:
        """Answer one question of `serve.remote`."""
        with self._metrics[verb].waiting():
            return await self._in_thread(self._answer, verb, packet)

    async def stats(self) -> dict[str, float]:
        """What this replica has done so far, see `StageMetrics.stats`, and its process id."""
        return {**total(set(self._metrics.values())), "pid": os.getpid()}

    async def check_health(self) -> None:
        """Fails when the device does, or hangs, so that Serve replaces the replica."""
        if not self._working.locked():
            if time.monotonic() - self._proven > _PROOF_S:
                await asyncio.to_thread(self._try)
        elif self._since and time.monotonic() - self._since > ANSWER_S:  # nobody waits for it any more
            raise RuntimeError(f"one piece of work has not ended for {ANSWER_S:.0f} s")

    def _count(self) -> dict[str, StageMetrics]:
        """Verb -> where its calls are counted."""
        return dict.fromkeys(STAGE_OF, StageMetrics(type(self).__name__))

    def _warm_up(self) -> None:
        """Load the networks; the first pass of one is much slower than those after it."""

    def _try(self) -> None:
        if self._working.acquire(blocking=False):  # one that is at work is alive
            try:
                self._warm_up()
                self._proven = time.monotonic()
            finally:
                self._working.release()

    def _answer(self, verb: str, packet: Packet) -> Packet:
        args = [unpack(arg) if _is_packet(arg) else arg for arg in unpack(packet)]
        with self._at_work(verb, calls=1, frames=frames_of(verb, args)):
            answer = self._verbs(verb, args)
        return pack(answer)

    @contextmanager
    def _at_work(self, verb: str, calls: int, frames: int) -> Iterator[None]:
        """Around the work on one batch: one at a time."""
        with self._working, self._metrics[verb].batch(calls, frames):
            self._since = time.monotonic()
            try:
                yield
                self._proven = time.monotonic()
            except Exception:
                self._proven = -math.inf  # the next check of health tries whether it was the device
                raise
            finally:
                self._since = 0.0

    async def _in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)


class Faces(Replica):
    """Finds, follows and parses faces."""

    def _warm_up(self) -> None:
        warm_up_faces(self._stages)


class Encoder(Replica):
    """Pictures to style codes."""

    def _warm_up(self) -> None:
        warm_up_encoder(self._stages)


class Batching(Replica):
    """A stage that makes one batch of the frames of several callers."""

    verb: str
    """The only one that it answers."""

    def __init__(self, dub: dict[str, Any], cfg: StageConfig) -> None:
        super().__init__(dub, cfg)
        self._gather: Batcher[Any, Packet | Exception] = Batcher(
            lambda calls: self._in_thread(self._together, calls),
            size_of=lambda call: len(call[0]),
            limit=cfg.batch,
            wait_s=cfg.batch_wait_s,
        )

    async def run(self, verb: str, packet: Packet) -> Packet:
        """Answer one question of `serve.remote`, together with others that wait."""
        with self._metrics[self.verb].waiting():
            answer = await self._gather(await self._in_thread(unpack, packet))
            if isinstance(answer, Exception):
                raise answer
            return answer

    def _together(self, calls: list[Any]) -> list[Packet | Exception]:
        """An answer to each call, or its error; a call that fails costs no other one of its batch."""
        counts = [len(call[0]) for call in calls]
        try:
            with self._at_work(self.verb, len(calls), sum(counts)):
                frames = self._compute(calls)
        except Exception as error:
            return [error] if len(calls) == 1 else [self._together([call])[0] for call in calls]
        return [pack(part) for part in np.split(frames, np.cumsum(counts)[:-1])]

    def _compute(self, calls: list[Any]) -> NDArray[np.uint8]:
        """Frames of all calls, one after the other; the first argument of a call has its frames."""
        raise NotImplementedError


class Talker(Batching):
    """Speech moves the mouth of region maps."""

    verb = "talk"

    def _warm_up(self) -> None:
        warm_up_talker(self._stages)

    def _compute(self, calls: list[Any]) -> NDArray[np.uint8]:
        maps, references, heard = zip(*calls, strict=True)
        return self._stages.networks.talker.talk(
            np.concatenate(maps), np.concatenate(references), SpeechWindows.join(heard)
        )


class Generator(Batching):
    """Region maps and style codes to pictures."""

    verb = "paint"

    def _warm_up(self) -> None:
        warm_up_painter(self._stages)

    def _compute(self, calls: list[Any]) -> NDArray[np.uint8]:
        maps, codes = zip(*calls, strict=True)
        each = [
            np.broadcast_to(own, (len(part), *own.shape[-3:])) for part, own in zip(maps, codes, strict=True)
        ]
        return self._stages.networks.painter.paint(np.concatenate(maps), np.concatenate(each))


STAGES: dict[str, Callable[..., Replica]] = {
    "faces": Faces,
    "talker": Talker,
    "encoder": Encoder,
    "generator": Generator,
}


def replica_name() -> str | None:
    """The replica that this process is; None in local testing."""
    try:
        return serve.get_replica_context().replica_id.unique_id
    except RayServeException:
        return None


def _is_packet(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() <= {"ref", "value"} and len(value) == 1
