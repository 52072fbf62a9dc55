"""Replicas of the inference graph: each answers some of the verbs of a dub, with the objects of a local one.

A replica keeps nothing between calls, so a call can be made again anywhere. Networks are loaded and warmed
up once; talking and painting put the frames of several callers into one batch.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray import serve

from segtalker.audio.source import SAMPLE_RATE, ArraySource
from segtalker.config import parse_config
from segtalker.dub_config import DubConfig
from segtalker.faces.ahead import follow_through
from segtalker.local_stages import LocalStages
from segtalker.regions import NUM_REGIONS, Region
from segtalker.stages import SpeechWindows, Stages
from serve.config import StageConfig
from serve.metrics import StageMetrics
from serve.remote import Packet, pack, unpack

# Shape legend: N frames, S side of the crop, R 12 regions, L style layers, D style dim


class Verbs:
    """The verbs of a dub on plain values, as `serve.remote` asks them."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages

    def __call__(self, verb: str, args: Sequence[Any]) -> Any:
        """The answer to one question; `AttributeError` for a verb that is none."""
        if verb in ("detect", "follow", "matte", "landmarks68", "embed"):
            return getattr(self._stages.backend, verb)(*args)
        if verb == "follow_through":
            return list(follow_through(self._stages.backend, *args))
        if verb in ("mattes", "fit", "parse"):
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
        self._metrics = StageMetrics(type(self).__name__)
        self._working = threading.Lock()
        self._warm_up()

    async def run(self, verb: str, packet: Packet) -> Packet:
        """Answer one question of `serve.remote`."""
        with self._metrics.waiting():
            return await asyncio.to_thread(self._answer, verb, packet)

    async def stats(self) -> dict[str, float]:
        """What this replica has done so far; see `StageMetrics.stats`."""
        return self._metrics.stats()

    async def check_health(self) -> None:
        """Fails when the device does, so that Serve replaces the replica."""
        if self._working.acquire(blocking=False):  # one that is at work is alive
            try:
                await asyncio.to_thread(self._warm_up)
            finally:
                self._working.release()

    def _warm_up(self) -> None:
        """Load the networks; the first pass of one is much slower than those after it."""

    def _answer(self, verb: str, packet: Packet) -> Packet:
        args = [unpack(arg) if _is_packet(arg) else arg for arg in unpack(packet)]
        frames = len(args[0]) if verb in ("mattes", "parse", "encode") else 1
        with self._working, self._metrics.batch(calls=1, frames=frames):
            return pack(self._verbs(verb, args))


class Faces(Replica):
    """Finds, follows and parses faces."""

    def _warm_up(self) -> None:
        grey = np.full((64, 64, 3), 128, np.uint8)
        self._stages.backend.detect(grey, False)
        self._stages.parser.mattes(grey[None])


class Encoder(Replica):
    """Pictures to style codes."""

    def _warm_up(self) -> None:
        size = self._stages.networks.painter.size
        self._stages.networks.painter.encode(np.zeros((1, size, size, 3), np.uint8), _blank(1, size))


class Batching(Replica):
    """A stage that makes one batch of the frames of several callers."""

    def __init__(self, dub: dict[str, Any], cfg: StageConfig) -> None:
        super().__init__(dub, cfg)
        gather: Any = self._gather  # the decorator adds setters
        gather.set_max_batch_size(cfg.batch)
        gather.set_batch_wait_timeout_s(cfg.batch_wait_s)

    async def run(self, verb: str, packet: Packet) -> Packet:
        """Answer one question of `serve.remote`, together with others that wait."""
        with self._metrics.waiting():
            args = await asyncio.to_thread(lambda: unpack(packet))
            if "ref" not in packet:  # local testing has no batches
                return pack((await self._gather_all([args]))[0])
            return pack(await self._gather(args))

    @serve.batch(batch_size_fn=lambda calls: sum(len(call[0]) for call in calls))
    async def _gather(self, calls: list[Any]) -> list[Any]:
        return await self._gather_all(calls)

    async def _gather_all(self, calls: list[Any]) -> list[Any]:
        return await asyncio.to_thread(self._together, calls)

    def _together(self, calls: list[Any]) -> list[NDArray[np.uint8]]:
        counts = [len(call[0]) for call in calls]
        with self._working, self._metrics.batch(calls=len(calls), frames=sum(counts)):
            answer = self._compute(calls)
        return np.split(answer, np.cumsum(counts)[:-1])

    def _compute(self, calls: list[Any]) -> NDArray[np.uint8]:
        """Frames of all calls, one after the other; the first argument of a call has its frames."""
        raise NotImplementedError


class Talker(Batching):
    """Speech moves the mouth of region maps."""

    def _warm_up(self) -> None:
        size = self._stages.networks.painter.size
        self._stages.networks.talker.talk(_blank(1, size), _blank(1, size), _silence())

    def _compute(self, calls: list[Any]) -> NDArray[np.uint8]:
        maps, references, heard = zip(*calls, strict=True)
        return self._stages.networks.talker.talk(
            np.concatenate(maps), np.concatenate(references), SpeechWindows.join(heard)
        )


class Generator(Batching):
    """Region maps and style codes to pictures."""

    def _warm_up(self) -> None:
        painter = self._stages.networks.painter
        size = painter.size
        codes = painter.encode(np.zeros((1, size, size, 3), np.uint8), _blank(1, size))
        painter.paint(_blank(1, size), codes)

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


def _is_packet(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() <= {"ref", "value"} and len(value) == 1


def _silence() -> SpeechWindows:
    """What one frame hears of a silent second."""
    return SpeechWindows.read(ArraySource(np.zeros(SAMPLE_RATE, np.float32)), [Fraction(0)])


def _blank(count: int, size: int) -> NDArray[np.uint8]:
    """Maps [N, S, S] with a border in the middle: a map of one region would take another path."""
    maps = np.full((count, size, size), Region.SKIN, np.uint8)
    maps[:, size // 2 :, : size // 2] = NUM_REGIONS - 1
    return maps
