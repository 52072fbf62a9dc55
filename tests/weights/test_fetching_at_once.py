"""Several processes fetch, with locks and without, and one is killed."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from segtalker.errors import WeightsError
from segtalker.weights import store
from segtalker.weights.fetching import fetch
from segtalker.weights.registry import WeightsRow
from tests.weights.fetchers import PATIENCE_S, SPAWN, fetch_alone, fetch_together, leftovers, no_locks
from tests.weights.rows import DATA, list_rows, published, small_row
from tests.weights.web import Trouble, Web

pytestmark = pytest.mark.usefixtures("cache")


def test_two_processes_at_once_fetch_once_and_both_have_it(cache: Path, on_web: WeightsRow, web: Web):
    web.trouble = lambda count, path: Trouble(stall_s=0.5)
    assert sorted(fetch_together(on_web, 2)) == [(DATA, False), (DATA, True)]
    assert len(web.asked) == 1 and store.examine(on_web).state == "ready" and not leftovers(cache)


def test_without_locks_two_processes_fetch_twice_and_one_whole_file_stays(
    cache: Path, on_web: WeightsRow, web: Web
):
    web.trouble = lambda count, path: Trouble(stall_s=0.5)
    assert fetch_together(on_web, 2, with_locks=False) == [(DATA, False)] * 2
    assert len(web.asked) == 2 and store.examine(on_web).state == "ready" and not leftovers(cache)


def test_without_locks_a_failed_fetch_leaves_nothing_and_promises_nothing(
    cache: Path, on_web: WeightsRow, web: Web
):
    web.trouble = lambda count, path: Trouble(cut_after=5) if count == 0 else Trouble(status=503)
    with pytest.raises(WeightsError, match="5 bytes are kept: run the same command again"):
        fetch(["small"])
    assert len(leftovers(cache)) == 2
    shutil.rmtree(cache)
    before = len(web.asked)
    web.trouble = lambda count, path: Trouble(cut_after=5) if count == before else Trouble(status=503)
    with no_locks(), pytest.raises(WeightsError, match="tried 5 times") as caught:
        fetch(["small"])
    assert "are kept" not in str(caught.value) and not list((cache / ".downloads").iterdir())


def test_a_killed_fetch_goes_on_where_it_was(cache: Path, web: Web, monkeypatch: pytest.MonkeyPatch):
    data = os.urandom(4_000_000)
    web.files["/net.tflite"] = data
    row = small_row(source=published("net.tflite", f"{web.url}/net.tflite", data))
    list_rows(monkeypatch, row)
    web.trouble = lambda count, path: Trouble(stall_s=90) if count == 0 else None
    process = SPAWN.Process(target=fetch_alone, args=(row,))
    process.start()
    deadline = time.monotonic() + PATIENCE_S
    while (
        not (parts := list((cache / ".downloads").rglob("*.part")))
        or parts[0].stat().st_size < len(data) // 2
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(20)
    assert store.cached("small") is None
    assert fetch(["small"])[0].read_bytes() == data
    assert [asked.range for asked in web.asked] == ["", f"bytes={len(data) // 2}-"] and not leftovers(cache)
