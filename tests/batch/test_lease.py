"""Two batches into one folder or bucket: the second is told so, a dead one is replaced by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from segtalker import storage
from segtalker.batch import lease as leases
from segtalker.batch import run as runs
from segtalker.batch.config import BatchConfig
from segtalker.batch.lease import Lease
from segtalker.batch.rows import DubRow
from segtalker.batch.run import dub_rows
from segtalker.batch.tasks import Answer
from segtalker.dub_config import DubConfig
from segtalker.errors import StorageError

_KILLED = """
import os, signal, sys
from segtalker.batch.lease import Lease
Lease(sys.argv[1]).__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def times(monkeypatch) -> Callable[[float], None]:
    """Beats come every 50 ms; the test says after how many seconds without one a run is dead."""
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    monkeypatch.setattr(leases, "_LOOK_S", 0.02)
    return lambda lease_s: monkeypatch.setattr(leases, "LEASE_S", lease_s)


def killed_run(out: str) -> None:
    """A process takes the lease and is killed."""
    assert subprocess.run([sys.executable, "-c", _KILLED, out]).returncode == -signal.SIGKILL
    assert storage.list_names(f"{out}/.lease") == ["000001.json"]


def test_a_second_batch_is_refused_in_one_line_while_the_first_lives(store, times):
    times(60)
    with Lease(store) as first:
        with pytest.raises(StorageError, match=r"the batch of .+ on .+ \(process \d+\), begun") as error:
            Lease(store)
        assert store in str(error.value) and "choose another --out" in str(error.value)
        assert "\n" not in str(error.value)
        first.check()


def test_what_was_given_back_is_free_at_once_and_leaves_nothing(store, times):
    times(60)
    for _ in range(2):
        with Lease(store):
            pass
    assert storage.list_files(store) == [] and not Path(store, ".lease").exists()


def test_the_lease_of_a_killed_run_is_taken_over(store, times):
    killed_run(store)
    times(0.3)
    began = time.monotonic()
    with Lease(store):
        assert 0.3 <= time.monotonic() - began < 10
        assert storage.list_names(f"{store}/.lease") == ["000002.json"]


def test_of_several_at_once_one_takes_over(store, times):
    killed_run(store)
    times(4)
    refused = threading.Semaphore(0)

    def start(_: int) -> bool:
        try:
            with Lease(store):
                return all(refused.acquire(timeout=100) for _ in range(3))
        except StorageError:
            refused.release()
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(start, range(4))) == 1


class Late(Lease):
    """Looked when nobody was there, and creates its record after others have come and gone."""

    looked = False

    def _last(self) -> int:
        self.looked, first = True, not self.looked
        return 0 if first else super()._last()


def test_who_comes_with_an_old_number_gives_way(store, times):
    times(0.2)
    storage.write_bytes(f"{store}/.lease/000006.json", b"{}")
    with Lease(store) as first:
        times(60)
        with pytest.raises(StorageError, match="works there"):
            Late(store)
        assert storage.list_names(f"{store}/.lease") == ["000007.json"]
        first.check()


def test_a_run_that_was_thought_dead_stops_and_writes_nothing_more(tmp_path, times, monkeypatch):
    out = tmp_path / "out"
    row = DubRow(id="a", video="/a.mp4", speech="/a.wav", output=str(out / "a.mp4"))
    times(0.2)
    awake, write, made = threading.Event(), leases.write_bytes, []
    monkeypatch.setattr(leases, "write_bytes", lambda uri, data: awake.wait() and write(uri, data))
    monkeypatch.setattr(runs, "Lease", lambda out: made.append(Lease(out)) or made[0])

    def sleep(tasks):
        """As on a machine that sleeps: no beat is written, until another batch has come."""
        with Lease(out):
            (out / "outcomes.jsonl").write_text("of the other")
            awake.set()
            end = time.monotonic() + 30
            while made[0].is_held:
                assert time.monotonic() < end
                time.sleep(0.02)
            yield Answer(task="a/begin")

    with pytest.raises(StorageError, match="another batch has taken over"):
        dub_rows([row], DubConfig(), BatchConfig(), out, sleep)
    assert (out / "outcomes.jsonl").read_text() == "of the other"


def test_a_batch_that_is_refused_leaves_the_tables_of_the_first_alone(tmp_path, times):
    times(60)
    row = DubRow(id="a", video="/a.mp4", speech="/a.wav", output=str(tmp_path / "a.mp4"))
    (tmp_path / "outcomes.jsonl").write_text(json.dumps({"id": "b"}) + "\n")
    with Lease(tmp_path), pytest.raises(StorageError, match="works there"):
        dub_rows([row], DubConfig(), BatchConfig(), tmp_path, lambda tasks: iter(()))
    assert json.loads((tmp_path / "outcomes.jsonl").read_text()) == {"id": "b"}
    assert not (tmp_path / "batch.yaml").exists() and os.listdir(tmp_path) == ["outcomes.jsonl"]
