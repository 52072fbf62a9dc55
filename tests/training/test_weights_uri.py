"""Weights that a training starts from may lie in a bucket: fetched once, always the version that is there."""

from __future__ import annotations

import pytest
import torch

from segtalker.errors import SegTalkerError, WeightsError
from segtalker.storage import join, put_file, write_bytes
from segtalker.training.loop import LocalContext
from segtalker.training.run import make_task
from segtalker.training.weights_uri import local_weights
from segtalker.weights.store import place_of
from tests.s3 import answers
from tests.training.recipes import smoke_config


@pytest.fixture(scope="module")
def weights(tiny_corpus, tmp_path_factory):
    """Weights of a SyncNet and of a TSG, fresh ones of seeds of their own."""
    folder = tmp_path_factory.mktemp("weights")
    for network, seed in (("syncnet", 11), ("tsg", 12)):
        task = make_task(network, smoke_config(network, tiny_corpus, f"run.seed={seed}"))
        task.save(task.build(LocalContext(folder, "cpu")), folder, {})
    return folder


@pytest.fixture
def bucket(faulty_s3, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGTALKER_SHARD_CACHE", str(tmp_path / "cache"))
    return f"s3://{faulty_s3.server.bucket}/{tmp_path.name}"


def build(cfg, folder):
    task = make_task("tsg", cfg)
    state = task.build(LocalContext(folder, "cpu"))
    return [*state.nets["tsg"].parameters(), *task._expert.parameters()]


def test_a_training_begins_with_the_weights_in_a_bucket_as_with_those_on_the_disk(
    store, weights, tiny_corpus, tmp_path
):
    for name in ("syncnet", "tsg"):
        put_file(weights / f"{name}.safetensors", join(store, f"{name}.safetensors"))
    begun = []
    for place in (str(weights), store):
        named = [f"syncnet={place}/syncnet.safetensors", f"start_from={place}/tsg.safetensors"]
        begun.append(build(smoke_config("tsg", tiny_corpus, *named), tmp_path))
    fresh = build(smoke_config("tsg", tiny_corpus, named[0]), tmp_path)
    assert all(torch.equal(one, other) for one, other in zip(*begun, strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(fresh, begun[1], strict=True))


def test_a_row_of_the_cache_is_named_without_its_path(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="irse50.safetensors is missing.*weights fetch irse50"):
        local_weights("cache:irse50")
    place = place_of("irse50")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x")
    assert local_weights("cache:irse50") == place
    with pytest.raises(WeightsError, match="no weights are called 'irse5'"):
        local_weights("cache:irse5")


@pytest.mark.slow
def test_a_file_is_fetched_once_and_again_when_it_was_written_again(bucket, faulty_s3):
    uri = f"{bucket}/syncnet.safetensors"
    write_bytes(uri, b"first")
    path = local_weights(uri)
    assert path.read_bytes() == b"first" and path.name.endswith("-syncnet.safetensors")
    faulty_s3.requests.clear()
    assert local_weights(uri) == path
    assert not [
        row for row in faulty_s3.requests if row[0] == "GET" and "syncnet.safetensors" in row[1].split("?")[0]
    ]
    write_bytes(uri, b"other")
    assert local_weights(uri).read_bytes() == b"other" and path.read_bytes() == b"first"
    path.write_bytes(b"fi")
    write_bytes(uri, b"first")
    assert local_weights(uri).read_bytes() == b"first"


@pytest.mark.slow
def test_what_is_not_there_or_no_weights_is_one_line(bucket, faulty_s3, weights, tiny_corpus, tmp_path):
    with pytest.raises(WeightsError, match=r"none\.safetensors: no weights, but nothing there"):
        local_weights(f"{bucket}/none.safetensors")
    for name in ("a", "b"):
        write_bytes(f"{bucket}/folder/{name}", b"x")
    with pytest.raises(WeightsError, match="folder: no weights, but a folder"):
        local_weights(f"{bucket}/folder")
    write_bytes(f"{bucket}/cut.safetensors", (weights / "syncnet.safetensors").read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"-cut\.safetensors: damaged weights"):
        build(smoke_config("tsg", tiny_corpus, f"syncnet={bucket}/cut.safetensors"), tmp_path)
    faulty_s3.rule = lambda method, path: answers(403, "AccessDenied")
    with pytest.raises(SegTalkerError, match="credentials") as error:
        local_weights(f"{bucket}/cut.safetensors")
    assert "\n" not in str(error.value)
