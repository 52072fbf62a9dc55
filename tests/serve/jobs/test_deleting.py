"""A deletion that meets others on its way leaves the whole job or none, and never another job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segtalker import storage
from segtalker.errors import StorageError
from serve.jobs import JobNotFound, JobOpen
from tests.serve.jobs.helpers import accept, make_store


def remove_nothing_of(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has `part` in its name cannot be removed: a process died, or a driver goes on writing."""
    remove = storage.remove

    def removed(uri: str) -> None:
        if part in uri:
            raise StorageError(f"{uri}: cannot delete it (Directory not empty). Try again.")
        remove(uri)

    monkeypatch.setattr(storage, "remove", removed)


def before(name: str, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let something happen right before the next call of the storage with this name."""
    call = getattr(storage, name)

    def called(*args: object) -> object:
        monkeypatch.setattr(storage, name, call)
        act()
        return call(*args)

    monkeypatch.setattr(storage, name, called)


def test_a_job_whose_driver_goes_on_writing_is_deleted_all_the_same(store, tmp_path, monkeypatch):
    jobs = make_store(store)
    job = accept(jobs, tmp_path)
    jobs.cancel(job)
    with monkeypatch.context() as patch:
        remove_nothing_of("/data/", patch)
        jobs.delete(job)
    assert jobs.view(job) is None and jobs.newest("ann") == []
    assert accept(jobs, tmp_path, id=job) == job


def test_a_half_made_deletion_shows_nobody_a_job_that_is_gone(store, tmp_path, monkeypatch):
    jobs, other = make_store(store), make_store(store)
    job = accept(jobs, tmp_path)
    jobs.cancel(job)
    assert other.view(job).state == "cancelled"
    with monkeypatch.context() as patch:
        remove_nothing_of("/data/", patch)
        jobs.delete(job)
    assert other.view(job) is None
    with pytest.raises(JobNotFound):
        other.delete(job)


def test_a_job_that_was_sent_again_is_not_deleted_for_the_one_before(store, tmp_path, monkeypatch):
    jobs, other = make_store(store), make_store(store)
    job = accept(jobs, tmp_path)
    jobs.cancel(job)
    assert other.view(job).state == "cancelled"
    with monkeypatch.context() as patch:
        remove_nothing_of("/log", patch)
        remove_nothing_of("/data/", patch)
        jobs.delete(job)
    accept(jobs, tmp_path, id=job)
    with pytest.raises(JobOpen):
        other.delete(job)
    assert other.view(job).state == jobs.view(job).state == "queued"


def test_cancelling_a_job_that_is_deleted_meanwhile_leaves_nothing_of_it(store, tmp_path, monkeypatch):
    jobs, other = make_store(store), make_store(store)
    job = accept(jobs, tmp_path)

    def delete() -> None:
        other.cancel(job)
        other.delete(job)

    before("create", monkeypatch, delete)
    with pytest.raises(JobNotFound):
        jobs.cancel(job)
    assert jobs.view(job) is None and storage.list_files(store) == []


def test_a_job_that_is_deleted_while_it_is_looked_at_is_none(store, tmp_path, monkeypatch):
    jobs, other = make_store(store), make_store(store)
    job = accept(jobs, tmp_path)
    jobs.cancel(job)
    before("list_names", monkeypatch, lambda: jobs.delete(job))
    assert other.view(job) is None


def test_a_job_that_ends_while_it_is_cancelled_keeps_its_result(store, tmp_path, monkeypatch):
    jobs, other = make_store(store), make_store(store)
    job = accept(jobs, tmp_path)
    claim = other.claim(job, "a")
    (tmp_path / "out.mp4").write_bytes(b"film")

    def finish() -> None:
        assert claim.finish("done", files={"video": Path(tmp_path / "out.mp4")})

    before("create", monkeypatch, finish)
    assert jobs.cancel(job).state == "done"
    assert jobs.open_result(job, "video") is not None and jobs.open_ids() == []
