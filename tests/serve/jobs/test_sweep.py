"""Ended jobs go after their time; open ones never do."""

from __future__ import annotations

import time

import pytest

from segtalker import storage
from serve.jobs.ids import FolderName
from tests.serve.jobs.helpers import accept, make_request, make_store

HOUR = 3600.0


def test_only_jobs_that_ended_long_ago_are_deleted(store, tmp_path):
    jobs = make_store(store, retention_h=24.0)
    ended, running, queued = (accept(jobs, tmp_path) for _ in range(3))
    jobs.cancel(ended)
    assert jobs.claim(running, "a") is not None
    now = time.time()
    assert jobs.sweep(now + 23 * HOUR)["deleted"] == 0 and jobs.view(ended) is not None
    for sweeper in (jobs, make_store(store)):
        counts = sweeper.sweep(now + 25 * HOUR)
        assert counts == {"deleted": int(sweeper is jobs), "litter": 0, "failures": 0}
    assert jobs.view(ended) is None
    assert jobs.view(running).state == "running" and jobs.view(queued).state == "queued"
    assert sorted(jobs.open_ids()) == sorted([running, queued])


def test_the_time_counts_from_the_end_and_not_from_the_beginning(tmp_path):
    jobs = make_store(str(tmp_path / "store"), retention_h=1.0)
    job = accept(jobs, tmp_path)
    claim = jobs.claim(job, "a")
    claim.finish("done")
    log = jobs.layout.data(jobs.layout.read_job(job).folder, "log", "000002.json")
    ended = jobs.view(job).ended
    storage.write_bytes(
        log, storage.read_bytes(log).replace(f"{ended}".encode(), f"{ended + 9 * HOUR}".encode())
    )
    fresh = make_store(str(tmp_path / "store"), retention_h=1.0)
    assert fresh.view(job).ended == ended + 9 * HOUR
    assert fresh.sweep(ended + 9.9 * HOUR)["deleted"] == 0
    assert fresh.sweep(ended + 10.1 * HOUR)["deleted"] == 1


def test_a_request_that_is_being_stored_is_not_litter(store, tmp_path, monkeypatch):
    jobs = make_store(store)
    request, files = make_request(tmp_path / "sent")
    put = storage.put_file

    def put_and_sweep(*args: object) -> None:
        put(*args)
        assert make_store(store).sweep(time.time() + 0.9 * HOUR)["litter"] == 0

    monkeypatch.setattr(storage, "put_file", put_and_sweep)
    assert jobs.create(request, files)[1]
    jobs.claim(request.id, "a").fetch(tmp_path / "work")


def test_storing_for_longer_than_litter_is_kept_fails(store, tmp_path, monkeypatch):
    jobs = make_store(store)
    request, files = make_request(tmp_path / "sent")
    monkeypatch.setattr("serve.jobs.accept.ACCEPT_S", -1.0)
    with pytest.raises(storage.StorageError, match="storing a job took longer than"):
        jobs.create(request, files)
    assert storage.list_files(store) == []


def test_what_a_second_sender_left_goes_and_the_job_stays(store, tmp_path):
    jobs = make_store(store)
    job = accept(jobs, tmp_path)
    other = FolderName.new(job, time.time()).text
    storage.write_bytes(jobs.layout.data(other, "inputs", "video"), b"x")
    storage.write_bytes(jobs.layout.marker("open", other), b"")
    storage.write_bytes(jobs.layout.owner("ann", other), b"")
    assert make_store(store).sweep(time.time() + 2 * HOUR) == {"deleted": 0, "litter": 3, "failures": 0}
    assert not any(other in name for name in storage.list_files(store))
    jobs.claim(job, "a").fetch(tmp_path / "work")


def test_one_job_that_cannot_be_deleted_does_not_keep_the_others(tmp_path, monkeypatch):
    jobs = make_store(str(tmp_path / "store"))
    first, second = (accept(jobs, tmp_path) for _ in range(2))
    jobs.cancel(first)
    jobs.cancel(second)
    remove = storage.remove
    stuck = jobs.layout.record(first)

    def fail(uri: str) -> None:
        if uri == stuck:
            raise storage.StorageError(f"{uri}: cannot delete it (busy). Try again.")
        remove(uri)

    monkeypatch.setattr(storage, "remove", fail)
    assert jobs.sweep(time.time() + 25 * HOUR) == {"deleted": 1, "litter": 0, "failures": 1}
    assert jobs.view(first) is not None and jobs.view(second) is None
