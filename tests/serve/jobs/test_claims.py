"""One driver at a time holds a job, and only the newest one can publish."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from segtalker import storage
from segtalker.progress import Progress
from serve.jobs import Claim, JobStore
from tests.serve.jobs.helpers import Clock, accept, make_store

_CLAIMER = """
import sys
from serve.config import JobsConfig
from serve.jobs import JobStore
root, *jobs = sys.argv[1:]
store = JobStore(root, JobsConfig())
print("ready", flush=True)
sys.stdin.readline()
print(*[job for job in jobs if store.claim(job, "process")])
"""


def end(claim: Claim, tmp_path: Path, content: bytes = b"film") -> bool:
    path = tmp_path / f"out-{claim.fence}.mp4"
    path.write_bytes(content)
    return claim.finish("done", files={"video": path}, report={"fence": claim.fence})


def take_over(jobs: JobStore, clock: Clock, job: str) -> Claim:
    """Claim a job whose holder is silent."""
    assert jobs.claim(job, "next") is None
    clock.now += jobs.cfg.lease_s
    claim = jobs.claim(job, "next")
    assert claim is not None
    return claim


def test_of_many_threads_exactly_one_wins_each_job(store, tmp_path):
    jobs = [accept(make_store(store), tmp_path) for _ in range(3)]
    won: list[str] = []
    barrier = threading.Barrier(6)

    def compete() -> None:
        mine = make_store(store)
        barrier.wait()
        won.extend(job for job in jobs if mine.claim(job, "thread"))

    threads = [threading.Thread(target=compete) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == sorted(jobs)


def test_of_two_processes_exactly_one_wins_each_job(store, tmp_path):
    jobs = [accept(make_store(store), tmp_path) for _ in range(4)]
    command = [sys.executable, "-c", _CLAIMER, store, *jobs]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdin is not None and other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    mine = make_store(store)
    other.stdin.write("go\n")
    other.stdin.flush()
    won = [job for job in jobs if mine.claim(job, "this process")]
    assert sorted(won + other.communicate()[0].split()) == sorted(jobs)


def test_a_driver_that_was_replaced_can_neither_publish_nor_leave_anything_visible(store, tmp_path):
    clock = Clock()
    jobs = make_store(store, clock)
    job = accept(jobs, tmp_path)
    old = jobs.claim(job, "old")
    new = take_over(jobs, clock, job)
    assert (old.fence, new.fence) == (1, 2)
    assert not end(old, tmp_path, b"stale") and not old.release()
    assert jobs.view(job).state == "running" and jobs.open_result(job, "video") is None
    assert end(new, tmp_path, b"fresh")
    uri, size = jobs.open_result(job, "video")
    assert storage.read_bytes(uri) == b"fresh" and size == 5
    assert not end(old, tmp_path, b"stale") and jobs.view(job).report == {"fence": 2}
    assert not any(b"stale" in data for data in storage.read_files(_all_files(store)))


def test_a_beat_tells_a_driver_that_it_was_replaced(store, tmp_path):
    clock = Clock()
    jobs = make_store(store, clock)
    job = accept(jobs, tmp_path)
    old = jobs.claim(job, "old")
    new = take_over(jobs, clock, job)
    assert not old.beat() and not old.held
    assert new.beat(Progress("rendering", 1, 2)) and new.held
    assert not old.beat(Progress("rendering", 2, 2))
    assert jobs.view(job).progress[-1]["done"] == 1


def test_a_lease_expires_only_by_the_clock_of_the_observer(store, tmp_path, monkeypatch):
    clock = Clock()
    jobs = make_store(store, clock)
    job = accept(jobs, tmp_path)
    monkeypatch.setattr(time, "time", lambda: 1e9)  # the holder's wall clock is decades behind
    holder = make_store(store, Clock()).claim(job, "holder")
    monkeypatch.setattr(time, "time", lambda: 4e9)  # and the observer's is ahead
    clock.now += 1e6
    assert jobs.claim(job, "x") is None, "seen for the first time, however old it is"
    clock.now += 14.9
    assert jobs.claim(job, "x") is None
    fresh = make_store(store, clock)
    clock.now += 0.2
    assert fresh.claim(job, "x") is None, "another observer counts from its own first look"
    assert jobs.claim(job, "x") is not None
    assert not holder.finish("done")


def test_signs_of_life_keep_a_job(store, tmp_path):
    clock = Clock()
    jobs, driver = make_store(store, clock), make_store(store, clock)
    job = accept(jobs, tmp_path)
    claim = driver.claim(job, "driver")
    for _ in range(4):
        assert jobs.claim(job, "x") is None
        clock.now += 10
        assert claim.beat()
    assert jobs.claim(job, "x") is None
    clock.now += 15
    assert jobs.claim(job, "x") is not None


def test_a_job_that_kills_its_drivers_ends_as_failed(store, tmp_path):
    clock = Clock()
    jobs = make_store(store, clock, attempts=2)
    job = accept(jobs, tmp_path)
    first = jobs.claim(job, "a")
    second = take_over(jobs, clock, job)
    second.beat(Progress("rendering", 1, 2))
    assert jobs.claim(job, "b") is None
    clock.now += 15
    assert jobs.claim(job, "b") is None
    view = jobs.view(job)
    assert view.state == "failed" and view.attempts == 2 and view.progress[-1]["stage"] == "rendering"
    assert view.error == "Gave up after 2 drivers were lost with this job."
    assert jobs.open_ids() == [] and not end(second, tmp_path) and not end(first, tmp_path)


def test_a_job_that_is_given_back_is_free_at_once_and_costs_no_attempt(store, tmp_path):
    jobs = make_store(store, attempts=1)
    job = accept(jobs, tmp_path)
    for _ in range(3):
        claim = jobs.claim(job, "a")
        assert claim.release() and not claim.held
        assert jobs.view(job).state == "queued"
    assert end(jobs.claim(job, "b"), tmp_path)
    assert jobs.view(job).attempts == 4


def test_a_job_that_is_put_off_rests_longer_each_time_and_costs_no_attempt(store, tmp_path):
    clock = Clock()
    jobs = make_store(store, clock, attempts=1, away_s=5)
    job = accept(jobs, tmp_path)
    for rest_s in (5, 10, 20, 40, 60, 60):
        assert jobs.claim(job, "a").release("Generator is away.")
        assert jobs.claim(job, "a") is None and jobs.view(job).state == "queued"
        clock.now += rest_s - 0.1
        assert jobs.claim(job, "a") is None
        clock.now += 0.2
    assert end(jobs.claim(job, "b"), tmp_path)
    assert jobs.view(job).attempts == 7


def test_a_rest_is_over_for_a_job_that_was_given_back_in_peace_afterwards(store, tmp_path):
    clock = Clock()
    jobs = make_store(store, clock, away_s=5)
    job = accept(jobs, tmp_path)
    jobs.claim(job, "a").release("Generator is away.")
    assert jobs.claim(job, "a") is None
    clock.now += 5
    jobs.claim(job, "a").release()
    assert jobs.claim(job, "b") is not None


def test_a_job_that_is_put_off_and_kills_its_drivers_ends_as_failed(store, tmp_path):
    clock = Clock()
    jobs = make_store(store, clock, attempts=2, away_s=0)
    job = accept(jobs, tmp_path)
    jobs.claim(job, "a").release("Generator is away.")
    assert jobs.claim(job, "dies") is not None
    take_over(jobs, clock, job).release("Generator is away.")
    assert jobs.claim(job, "dies too") is not None
    assert jobs.claim(job, "b") is None
    clock.now += 15
    assert jobs.claim(job, "b") is None
    assert jobs.view(job).error == "Gave up after 2 drivers were lost with this job."


def test_a_rest_is_short_again_once_a_driver_has_got_on_with_the_job(store, tmp_path, monkeypatch):
    clock = Clock()
    jobs = make_store(store, clock, away_s=5, away_h=1)
    job = accept(jobs, tmp_path)
    wall = Clock()
    monkeypatch.setattr(time, "time", wall)
    for held_s in (10, 9000):
        claim = jobs.claim(job, "a")
        wall.now += held_s
        assert claim.release("Generator is away.")
        assert jobs.claim(job, "a") is None
        clock.now += 5
    assert jobs.claim(job, "a") is not None


def test_a_job_that_is_put_off_for_hours_ends_as_failed(store, tmp_path, monkeypatch):
    clock = Clock()
    jobs = make_store(store, clock, away_s=5, away_h=2)
    job = accept(jobs, tmp_path)
    wall = Clock()
    monkeypatch.setattr(time, "time", wall)
    for _ in range(3):
        assert jobs.claim(job, "a").release("Generator is away.")
        assert jobs.claim(job, "a") is None and jobs.view(job).state == "queued"
        clock.now += 60
        wall.now += 3601
    assert jobs.claim(job, "a") is None
    view = jobs.view(job)
    assert view.state == "failed" and view.attempts == 3 and jobs.open_ids() == []
    assert view.error == "Gave up after 2 hours: Generator is away. Send it again."


def test_a_failed_job_says_why(store, tmp_path):
    jobs = make_store(store)
    job = accept(jobs, tmp_path)
    assert jobs.claim(job, "a").finish("failed", error="No face was found.")
    view = make_store(store).view(job)
    assert (view.state, view.error, view.files) == ("failed", "No face was found.", {})


def test_a_job_that_is_cancelled_and_deleted_leaves_a_late_driver_nothing(store, tmp_path, monkeypatch):
    jobs = make_store(store)
    job = accept(jobs, tmp_path)
    claim = jobs.claim(job, "a")
    put = storage.put_file

    def slow_put(local: Path, uri: str) -> None:
        put(local, uri)
        jobs.cancel(job)
        jobs.delete(job)

    monkeypatch.setattr(storage, "put_file", slow_put)
    assert not end(claim, tmp_path)
    assert jobs.view(job) is None and _all_files(store) == []


def test_damaged_inputs_are_told(store, tmp_path):
    jobs = make_store(store)
    claim = jobs.claim(accept(jobs, tmp_path), "a")
    (speech,) = [uri for uri in _all_files(store) if uri.endswith("inputs/speech")]
    storage.write_bytes(speech, b"other")
    with pytest.raises(storage.StorageError, match="its speech is not what was uploaded"):
        claim.fetch(tmp_path / "work")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", ".x", "a//x", "", "a/b/c/d/e", "a\n", "ä"])
def test_a_piece_of_work_stays_in_its_folder(tmp_path, name):
    jobs = make_store(str(tmp_path / "store"))
    claim = jobs.claim(accept(jobs, tmp_path), "a")
    (tmp_path / "piece").write_bytes(b"x")
    with pytest.raises(ValueError, match="cannot name a piece of work"):
        claim.keep(tmp_path / "piece", name)


def _all_files(store: str) -> list[str]:
    return [storage.join(store, name) for name in storage.list_files(store)]
