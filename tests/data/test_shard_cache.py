"""A corpus in a bucket is read as if it lay on the disk, fetched once a machine, and never by half."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segtalker.data import shard_cache
from segtalker.data.packing import Packing
from segtalker.data.shard_cache import shard_cache_dir
from segtalker.data.shards import INDEX_NAME, ShardReader, ShardWriter
from segtalker.errors import DataError, StorageError
from segtalker.storage import MANIFEST, join, put_folder, read_bytes, remove, write_bytes
from tests.data.test_shards import sample
from tests.s3 import Fault, FaultyS3, answers

PARTS = ("b", "a-1", "a")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of this machine, for one test."""
    monkeypatch.setenv("SEGTALKER_SHARD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three parts, as three clips of a preparation, one with compressed maps; two shards in the first."""
    for part in PARTS:
        packing = Packing(zlib=part == "a")
        with ShardWriter(tmp_path / "corpus" / part, shard_bytes=20_000, packing=packing) as writer:
            for i in range(4 if part == "b" else 1):
                writer.add(sample(f"{part}{i}"))
    return tmp_path / "corpus"


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.slow)])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place that is not this machine's disk."""
    name = tmp_path.parent.name + tmp_path.name
    if request.param == "memory":
        return f"memory://{name}"
    return f"s3://{request.getfixturevalue('s3_server').bucket}/{name}"


def put_parts(corpus: Path, uri: str) -> None:
    """Upload as a preparation does: every part sealed for itself."""
    for part in PARTS:
        put_folder(corpus / part, join(uri, part))


def cached(cache: Path) -> list[str]:
    """Names of the shards in the cache, and of what was left beside them."""
    return sorted(path.name for path in cache.glob("*") if path.is_file() and path.suffix != ".json")


@pytest.mark.parametrize("sealed", ["parts", "whole", "single"])
def test_a_corpus_in_a_bucket_equals_the_one_on_the_disk(corpus, bucket, sealed):
    if sealed == "single":
        corpus = corpus / "b"
    put_parts(corpus, bucket) if sealed == "parts" else put_folder(corpus, bucket)
    local, remote = ShardReader(corpus), ShardReader(bucket)
    assert [row.key for row in remote.rows] == [row.key for row in local.rows]
    for i, row in enumerate(local.rows):
        assert remote.rows[i].phones == row.phones and remote.rows[i].fields == row.fields
        for name in row.fields:
            assert np.array_equal(remote.read(i, name), local.read(i, name))
            assert np.array_equal(remote.take(i, name, [7, 2]), local.take(i, name, [7, 2]))


def test_what_is_not_sealed_is_not_there(corpus, bucket):
    with pytest.raises(DataError, match=f"no sealed folder with an {INDEX_NAME}"):
        ShardReader(bucket)
    put_parts(corpus, bucket)
    remove(join(bucket, "a", MANIFEST))
    assert [row.key for row in ShardReader(bucket).rows] == ["a-10", "b0", "b1", "b2", "b3"]


def test_a_corpus_that_was_made_anew_is_seen(corpus, bucket, tmp_path):
    put_parts(corpus, bucket)
    assert ShardReader(bucket).length(0, "maps") == 30
    with ShardWriter(tmp_path / "again") as writer:
        writer.add(sample("a0", frames=35))
    put_folder(tmp_path / "again", join(bucket, "a"))
    assert ShardReader(bucket).length(0, "maps") == 35


@pytest.mark.parametrize("damage", ["cut", "changed", "absent"])
def test_a_shard_that_is_not_as_sealed_is_refused_and_not_kept(corpus, bucket, cache, damage):
    put_parts(corpus, bucket)
    name = join(bucket, "a", "shard-00000.safetensors")
    data = read_bytes(name)
    remove(name)
    if damage != "absent":
        write_bytes(name, data[:-1] + (b"" if damage == "cut" else bytes([data[-1] ^ 1])))
    reader = ShardReader(bucket)
    with pytest.raises(StorageError, match=r"a/shard-00000\.safetensors: ") as caught:
        reader.read(0, "maps")
    assert "\n" not in str(caught.value) and cached(cache) == []
    assert len(reader.read(1, "maps")) == 30  # the other parts are unharmed


def test_an_index_that_is_not_as_sealed_is_refused(corpus, bucket):
    put_parts(corpus, bucket)
    name = join(bucket, "a", INDEX_NAME)
    write_bytes(name, read_bytes(name).replace(b"id-a0", b"id-b0"))
    with pytest.raises(StorageError, match=r"a/index\.jsonl: not the file that was sealed"):
        ShardReader(bucket)


def test_an_index_of_a_foreign_version_is_named_where_it_lies(corpus, bucket):
    index = corpus / "a" / INDEX_NAME
    index.write_text(json.dumps({**json.loads(index.read_text()), "version": 9}))
    put_parts(corpus, bucket)
    with pytest.raises(DataError, match=rf"{bucket}/a/index\.jsonl, line 1: prepared in format 9"):
        ShardReader(bucket)


def test_a_disk_without_room_and_a_cache_that_cannot_be_written_say_what_to_change(
    corpus, bucket, cache, monkeypatch
):
    put_parts(corpus, bucket)
    reader = ShardReader(bucket)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 0))
        with pytest.raises(StorageError, match="0.0 GB are free.*SEGTALKER_SHARD_CACHE"):
            reader.read(0, "maps")
    (cache / "file").write_text("")
    monkeypatch.setenv("SEGTALKER_SHARD_CACHE", str(cache / "file"))
    with pytest.raises(StorageError, match="cannot write the cache of shards.*SEGTALKER_SHARD_CACHE"):
        ShardReader(bucket)


def test_a_file_that_lost_its_end_with_the_power_is_fetched_again(corpus, bucket, cache):
    put_parts(corpus, bucket)
    before = ShardReader(bucket).read(0, "maps")
    (name,) = cached(cache)
    (cache / name).write_bytes(b"")
    assert np.array_equal(ShardReader(bucket).read(0, "maps"), before)


def test_the_cache_lies_beside_the_weights_unless_named(monkeypatch, tmp_path):
    monkeypatch.delenv("SEGTALKER_SHARD_CACHE")
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path))
    assert shard_cache_dir() == tmp_path / "shards"


def fetches(proxy: FaultyS3, name: str) -> list[str]:
    """Objects of this name that were asked for."""
    return [path.partition("?")[0] for method, path in proxy.requests if method == "GET" and name in path]


@pytest.mark.slow
def test_a_machine_fetches_indices_once_and_a_shard_when_it_is_first_read(corpus, faulty_s3, tmp_path):
    uri = f"s3://{faulty_s3.server.bucket}/{tmp_path.name}-lazy"
    put_parts(corpus, uri)
    faulty_s3.requests.clear()
    first = ShardReader(uri)
    assert len(fetches(faulty_s3, INDEX_NAME)) == len(fetches(faulty_s3, MANIFEST)) == 3
    assert fetches(faulty_s3, "shard-") == []
    first.read(0, "maps")
    second = ShardReader(uri)
    second.read(0, "mel")
    assert len(fetches(faulty_s3, INDEX_NAME)) == len(fetches(faulty_s3, MANIFEST)) == 3
    assert fetches(faulty_s3, "shard-") == [f"/{uri.removeprefix('s3://')}/a/shard-00000.safetensors"]


def _read_all(uri: str) -> int:
    reader = ShardReader(uri)
    return sum(int(reader.read(i, "maps").sum()) for i in range(len(reader)))


@pytest.mark.slow
def test_of_several_processes_one_fetches_and_all_read(corpus, faulty_s3, tmp_path):
    uri = f"s3://{faulty_s3.server.bucket}/{tmp_path.name}-many"
    put_parts(corpus, uri)
    faulty_s3.requests.clear()
    # A slow store, so that all have come before the first shard is there.
    faulty_s3.rule = lambda method, path: Fault("stall", stall_s=0.5) if "shard-" in path else None
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        sums = pool.map(_read_all, [uri] * 3, chunksize=1)
    asked = fetches(faulty_s3, "shard-")
    assert sums == [_read_all(str(corpus))] * 3
    assert len(asked) == len(set(asked)) == len({row.shard for row in ShardReader(corpus).rows})
    assert len(fetches(faulty_s3, INDEX_NAME)) == 3


@pytest.mark.slow
def test_a_fetch_that_is_killed_leaves_nothing_that_counts_and_no_lock(corpus, faulty_s3, tmp_path, cache):
    uri = f"s3://{faulty_s3.server.bucket}/{tmp_path.name}-killed"
    put_parts(corpus, uri)
    faulty_s3.requests.clear()
    faulty_s3.rule = lambda method, path: (
        Fault("stall", stall_s=60) if method == "GET" and "shard-" in path else None
    )
    read = f"from segtalker.data.shards import ShardReader; ShardReader({uri!r}).read(0, 'maps')"
    process = subprocess.Popen([sys.executable, "-c", read])
    try:
        deadline = time.monotonic() + 60
        while not fetches(faulty_s3, "shard-") and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    assert fetches(faulty_s3, "shard-")
    assert not [name for name in cached(cache) if not name.startswith(".")]
    faulty_s3.rule = lambda method, path: None
    assert np.array_equal(ShardReader(uri).read(0, "maps"), ShardReader(corpus).read(0, "maps"))
    assert len(cached(cache)) == 1  # and what the killed process left is gone


@pytest.mark.slow
@pytest.mark.parametrize("fault", [answers(403, "AccessDenied"), answers(500, "InternalError"), Fault("cut")])
def test_a_store_that_breaks_while_a_shard_is_fetched_is_one_line_and_leaves_nothing(
    corpus, faulty_s3, tmp_path, cache, fault
):
    uri = f"s3://{faulty_s3.server.bucket}/{tmp_path.name}-broken"
    put_parts(corpus, uri)
    reader = ShardReader(uri)
    faulty_s3.rule = lambda method, path: fault if "shard-" in path else None
    with pytest.raises(StorageError, match=r"a/shard-00000\.safetensors: cannot fetch it") as caught:
        reader.read(0, "maps")
    assert "\n" not in str(caught.value) and cached(cache) == []
    faulty_s3.rule = lambda method, path: None
    assert len(reader.read(0, "maps")) == 30


@pytest.mark.slow
def test_an_error_that_passes_is_only_a_delay(corpus, faulty_s3, tmp_path):
    uri = f"s3://{faulty_s3.server.bucket}/{tmp_path.name}-shaky"
    put_parts(corpus, uri)
    failures: list[Any] = [answers(500, "InternalError"), Fault("cut"), answers(503, "SlowDown")]
    faulty_s3.rule = lambda method, path: failures.pop() if failures and "shard-" in path else None
    assert np.array_equal(ShardReader(uri).read(0, "maps"), ShardReader(corpus).read(0, "maps"))
    assert failures == []


def test_waiting_processes_take_what_the_first_has_fetched(corpus, bucket, monkeypatch):
    put_parts(corpus, bucket)
    readers = [ShardReader(bucket), ShardReader(bucket)]
    readers[0].read(0, "maps")
    monkeypatch.setattr(shard_cache, "get_file", None)
    assert len(readers[1].read(0, "maps")) == 30
