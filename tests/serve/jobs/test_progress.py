"""Signs of life cost little and tell how far a job is; a view of it costs few requests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from segtalker import storage
from segtalker.progress import Progress
from tests.serve.jobs.helpers import Clock, accept, make_store


@pytest.fixture
def requests(monkeypatch) -> list[str]:
    """Names of all calls of the storage."""
    calls: list[str] = []

    def counting(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object) -> object:
            if args != ([],):
                calls.append(name)
            return call(*args)

        return counted

    names = "exists list_files list_names read_files read_bytes read_if_exists write_bytes create remove"
    for name in names.split():
        monkeypatch.setattr(storage, name, counting(name, getattr(storage, name)))
    return calls


def test_a_beat_for_every_frame_is_cheap(tmp_path, requests):
    clock = Clock()
    jobs = make_store(str(tmp_path / "store"), clock)
    claim = jobs.claim(accept(jobs, tmp_path), "a")
    requests.clear()
    for frame in range(1000):
        clock.now += 0.01
        assert claim.beat(Progress("rendering", frame, 1000))
    assert requests.count("write_bytes") == 10
    assert len(requests) - requests.count("write_bytes") <= 10
    requests.clear()
    claim.beat(Progress("muxing", 0, 1))
    assert requests == ["write_bytes"], "a new stage is told at once"
    for _ in range(3):
        claim.beat(Progress("muxing", 1, 1))
    assert requests == ["write_bytes"] * 2, "so is the end of one, once"


@pytest.mark.parametrize("total", [1, 3])
def test_the_last_event_of_a_stage_is_told_however_fast_it_comes(store, tmp_path, total):
    jobs = make_store(store, Clock())
    job = accept(jobs, tmp_path)
    claim = jobs.claim(job, "a")
    for done in range(total + 1):
        claim.beat(Progress("studying people", done, total, "track"))
    (stage,) = make_store(store).view(job).progress
    assert stage == {"stage": "studying people", "done": total, "total": total, "unit": "track"}


def test_stages_come_in_order_and_the_current_one_is_last(store, tmp_path):
    clock = Clock()
    jobs = make_store(store, clock)
    job = accept(jobs, tmp_path)
    claim = jobs.claim(job, "a")
    for stage, done in (("finding faces", 5), ("rendering", 1), ("finding faces", 7)):
        clock.now += 1
        claim.beat(Progress(stage, done, 10))
    progress = jobs.view(job).progress
    assert [(stage["stage"], stage["done"]) for stage in progress] == [("rendering", 1), ("finding faces", 7)]


def test_the_time_that_is_left_follows_the_rate_of_the_current_stage(store, tmp_path):
    clock = Clock()
    jobs = make_store(store, clock)
    job = accept(jobs, tmp_path)
    claim = jobs.claim(job, "a")
    claim.beat(Progress("rendering", 50, 100))
    assert jobs.view(job).eta_s is None
    clock.now += 10
    claim.beat(Progress("rendering", 60, 100))
    assert jobs.view(job).eta_s == 40, "frames that were there before this driver do not count"
    clock.now += 10
    claim.beat(Progress("muxing", 1, None))
    assert jobs.view(job).eta_s is None


def test_a_driver_outlives_a_storage_that_fails_for_a_while(tmp_path, monkeypatch):
    clock = Clock()
    jobs = make_store(str(tmp_path / "store"), clock)
    claim = jobs.claim(accept(jobs, tmp_path), "a")

    def fail(*args: object) -> None:
        raise storage.StorageError("bucket: cannot write it (503). Try again.")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", fail)
        assert claim.beat(Progress("rendering", 1, 2))
    clock.now += 1
    assert claim.beat() and claim.held


def test_a_view_costs_at_most_four_requests_and_then_two(store, tmp_path, requests):
    clock = Clock()
    jobs = make_store(store, clock)
    job = accept(jobs, tmp_path)
    claim = jobs.claim(job, "a")
    claim.beat(Progress("rendering", 1, 2))
    watcher = make_store(store)
    for most in (4, 2):
        requests.clear()
        assert watcher.view(job).progress
        assert 0 < len(requests) <= most
    claim.finish("done", report={})
    for most in (2, 1):
        requests.clear()
        assert watcher.view(job).state == "done"
        assert 0 < len(requests) <= most


def test_a_held_job_is_not_looked_at_all_the_time(tmp_path, requests):
    clock = Clock()
    jobs, driver = (make_store(str(tmp_path / "store"), clock) for _ in range(2))
    job = accept(jobs, tmp_path)
    driver.claim(job, "a")
    jobs.claim(job, "b")
    requests.clear()
    for _ in range(100):
        clock.now += 0.1
        jobs.claim(job, "b")
    assert len(requests) <= 2 * 4


def test_the_list_of_an_owner_remembers_ended_jobs(store, tmp_path, requests):
    jobs = make_store(store)
    ended = [accept(jobs, tmp_path) for _ in range(3)]
    for job in ended:
        jobs.cancel(job)
    assert len(jobs.newest("ann")) == 3
    requests.clear()
    assert {view.id for view in jobs.newest("ann")} == set(ended)
    assert requests == ["list_names"]
    assert len(jobs.newest("ann", limit=2)) == 2
