"""What replicas do, without a cluster around them."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from segtalker.config import to_dict
from segtalker.dub_config import DubConfig, NetworkConfig
from serve import deployments
from serve.asking import pack
from serve.config import StageConfig
from serve.deployments import Generator
from tests.dubbing import tiny_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, Path]:
    return tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def generator(weights) -> Generator:
    networks = {name: NetworkConfig(weights=str(path)) for name, path in weights.items()}
    return Generator(to_dict(DubConfig(**networks)), StageConfig(ongoing=2))


@pytest.fixture
def call(generator) -> tuple[np.ndarray, np.ndarray]:
    """Two maps, and the codes of one person."""
    painter = generator._stages.networks.painter
    maps = np.random.default_rng(0).integers(0, 12, (2, painter.size, painter.size)).astype(np.uint8)
    crops = np.random.default_rng(1).integers(0, 255, (1, painter.size, painter.size, 3)).astype(np.uint8)
    return maps, painter.encode(crops, maps[:1])


def test_calls_of_several_callers_make_one_batch_with_the_frames_of_each(generator, call):
    maps, codes = call
    each = np.repeat(codes[None] * 1.1, 2, 0)
    alone = [generator._together([part])[0]["value"] for part in ((maps, codes), (maps[::-1], each))]
    together = generator._together([(maps, codes), (maps[::-1], each)])
    for own, shared in zip(alone, together, strict=True):
        assert np.abs(own.astype(int) - shared["value"]).max() <= 1
    stats = asyncio.run(generator.stats())
    assert (stats["calls"], stats["batches"], stats["largest_batch"], stats["frames"]) == (4, 3, 2, 8)


def test_a_call_that_cannot_be_worked_on_costs_no_other_call_of_its_batch(generator, call):
    maps, codes = call
    spoiled = (maps, codes[:, :, :3])
    good, bad, another = generator._together([call, spoiled, call])
    assert isinstance(bad, Exception)
    for answer in (good, another):
        assert np.array_equal(answer["value"], generator._together([call])[0]["value"])
    with pytest.raises(type(bad)):
        asyncio.run(generator.run("paint", pack(spoiled)))
    stats = asyncio.run(generator.stats())
    assert stats["failures"] == 2 and stats["waiting"] == 0


def test_health_is_told_while_all_threads_are_at_work(generator, call):
    begun, go = threading.Event(), threading.Event()

    def slowly(calls):
        begun.set()
        assert go.wait(30)
        return calls[0][0]

    generator._compute = slowly

    async def crowd() -> float:
        calls = [asyncio.create_task(generator.run("paint", pack(call))) for _ in range(6)]
        await asyncio.to_thread(begun.wait, 30)
        start = time.monotonic()
        await generator.check_health()
        took = time.monotonic() - start
        go.set()
        await asyncio.gather(*calls)
        return took

    assert asyncio.run(crowd()) < 5


def test_a_replica_whose_work_never_ends_is_not_healthy(generator, monkeypatch):
    begun, go = threading.Event(), threading.Event()

    def hang(calls):
        begun.set()
        assert go.wait(30)
        return calls[0][0]

    generator._compute = hang
    thread = threading.Thread(target=generator._together, args=([(np.zeros((1, 4, 4), np.uint8), None)],))
    thread.start()
    assert begun.wait(30)
    asyncio.run(generator.check_health())
    monkeypatch.setattr(deployments, "ANSWER_S", 0.01)
    time.sleep(0.05)
    with pytest.raises(RuntimeError, match="has not ended"):
        asyncio.run(generator.check_health())
    go.set()
    thread.join()
    asyncio.run(generator.check_health())


def test_a_device_that_fails_makes_the_replica_unhealthy(generator, call, monkeypatch):
    def fail(stages):
        raise RuntimeError("device lost")

    monkeypatch.setattr(deployments, "warm_up_painter", fail)
    asyncio.run(generator.check_health())  # it has just worked
    generator._together([(call[0], call[1][:, :, :3])])  # one that fails may be the device's fault
    for _ in range(2):
        with pytest.raises(RuntimeError, match="device lost"):
            asyncio.run(generator.check_health())
