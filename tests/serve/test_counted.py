"""The fused graph is measured as the split one: stage by stage."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segtalker.config import to_dict
from segtalker.local_stages import LocalStages
from serve import deployments
from serve.asking import pack
from serve.config import ServiceConfig
from serve.counted import STAGE_OF, CountedStages
from serve.deployments import STAGES, Verbs
from serve.driver import FusedDriver
from serve.local import open_store
from serve.metrics import StageMetrics
from tests.dubbing import BlobFaces, talking_clip, tiny_weights, write_speech
from tests.serve.running import end_of, small_service, submit

FRAMES = 6


class Plain(FusedDriver):
    """One that Serve does not end."""

    def __del__(self) -> None:
        pass


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, Path]:
    return tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def config(weights, tmp_path_factory) -> ServiceConfig:
    return replace(small_service(tmp_path_factory.mktemp("service"), weights), graph="fused")


@pytest.fixture
def driver(config, monkeypatch):
    monkeypatch.setattr(deployments, "LocalStages", lambda dub: LocalStages(dub, BlobFaces()))
    driver = Plain(to_dict(config))
    yield driver
    driver._runner.stop(2.0)


def stats_of(driver: FusedDriver) -> dict[str, dict[str, float]]:
    """Stage -> its counts."""
    return {STAGE_OF[verb]: metrics.stats() for verb, metrics in driver._metrics.items()}


def test_every_verb_is_counted_under_a_deployment_of_the_split_graph(config):
    assert set(STAGE_OF.values()) == {kind.__name__ for kind in STAGES.values()}
    stages = LocalStages(config.dub, BlobFaces())
    with pytest.raises(AttributeError, match="no stage has a verb"):
        Verbs(stages)("dream", ())


def test_a_job_of_the_fused_graph_counts_at_every_stage(driver, config, tmp_path):
    assert all(stats["calls"] == 0 for stats in stats_of(driver).values()), "a warm-up is nobody's call"
    speech = write_speech(tmp_path / "speech.wav", FRAMES / 25)
    store = open_store(config)
    job = submit(store, {"video": talking_clip(tmp_path / "clip.mp4", FRAMES), "speech": speech})
    assert end_of(store, job).state == "done"
    stats = stats_of(driver)
    assert stats["Talker"]["frames"] == FRAMES and stats["Talker"]["calls"] == FRAMES / 3
    assert stats["Generator"]["frames"] >= FRAMES and stats["Encoder"]["calls"] == 1
    assert stats["Faces"]["frames"] >= FRAMES and stats["Faces"]["batches"] == stats["Faces"]["calls"]
    assert all(one["waiting"] == one["failures"] == 0 for one in stats.values())
    assert asyncio.run(driver.stats())["frames"] == sum(one["frames"] for one in stats.values())


def test_a_picture_of_the_fused_graph_counts_where_a_job_does(driver):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    asyncio.run(driver.run("mattes", pack((images,))))
    with pytest.raises(TypeError):
        asyncio.run(driver.run("talk", pack((images,))))
    stats = stats_of(driver)
    assert (stats["Faces"]["frames"], stats["Talker"]["failures"]) == (2, 1)
    assert stats["Generator"]["calls"] == 0


def test_counted_stages_are_the_stages_in_all_else(config):
    inner = LocalStages(config.dub, BlobFaces())
    metrics = {verb: StageMetrics(stage) for verb, stage in STAGE_OF.items()}
    counted = CountedStages(inner, metrics)
    assert counted.networks.painter.size == inner.networks.painter.size
    assert counted.networks.hashes == inner.networks.hashes
    assert hasattr(counted.backend, "embed") == hasattr(inner.backend, "embed")
