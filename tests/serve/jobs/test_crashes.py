"""A process that dies between any two steps loses no accepted job, and shows no half one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from segtalker import storage
from serve.jobs import JobStore
from tests.serve.jobs.helpers import Clock, accept, make_request, make_store

_WRITES = ("create", "write_bytes", "put_file", "remove")
_LATER = 7200.0  # seconds after which litter counts as such


class Crash(BaseException):
    """The end of the process: nothing of ours may catch it."""


@contextmanager
def crash_at(step: int, after: bool) -> Iterator[list[str]]:
    """Die before or after the write with this number; the list gets the names of all writes."""
    writes: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in _WRITES:
            patch.setattr(storage, name, _counting(getattr(storage, name), name, writes, step, after))
        try:
            yield writes
        except Crash:
            writes.append("crash")


def _counting(
    write: Callable[..., object], name: str, writes: list[str], step: int, after: bool
) -> Callable[..., object]:
    def counted(*args: object) -> object:
        writes.append(name)
        dies = len(writes) == step + 1
        if dies and not after:
            raise Crash
        result = write(*args)
        if dies:
            raise Crash
        return result

    return counted


def each_crash(run: Callable[[int, bool], list[str]]) -> int:
    """Let `run` die at each of its writes in turn; returns how many deaths there were."""
    deaths = 0
    for step in range(40):
        for after in (False, True):
            if run(step, after)[-1] != "crash":
                return deaths
            deaths += 1
    raise AssertionError("it never ran to its end")


def finish(jobs: JobStore, clock: Clock, job: str, folder: Path) -> None:
    """What the next driver does: wait out the lease, then do the whole job."""
    claim = jobs.claim(job, "next")
    if claim is None:
        clock.now += jobs.cfg.lease_s
        claim = jobs.claim(job, "next")
    if claim is not None:
        claim.fetch(folder)
        assert (folder / "inputs/video").read_bytes() == b"video of sent"
        (folder / "out.mp4").write_bytes(b"film")
        assert claim.finish("done", files={"video": folder / "out.mp4"}, report={})


def check_done(jobs: JobStore, job: str) -> None:
    """Done, with one whole result, and nobody looks for it any more."""
    assert jobs.view(job).state == "done"
    uri, size = jobs.open_result(job, "video")
    assert storage.read_bytes(uri) == b"film" and size == 4
    assert jobs.claim(job, "y") is None and jobs.open_ids() == []


def test_a_crash_while_accepting_leaves_a_whole_job_or_none(tmp_path):
    def run(step: int, after: bool) -> list[str]:
        root = tmp_path / f"{step}-{after}"
        request, files = make_request(root / "sent", callback_url="https://a.example/b")
        with crash_at(step, after) as writes:
            make_store(str(root / "store")).create(request, files)
        clock = Clock()
        jobs = make_store(str(root / "store"), clock)
        view = jobs.view(request.id)
        assert view is None or (view.state == "queued" and request.id in jobs.open_ids())
        if view is None:
            assert jobs.claim(request.id, "x") is None and jobs.newest("ann") == []
        assert jobs.create(request, files)[1] == (view is None)
        finish(jobs, clock, request.id, root / "work")
        assert jobs.view(request.id).state == "done"
        jobs.sweep(time.time() + _LATER)
        check_done(jobs, request.id)
        jobs.delete(request.id)
        assert storage.list_files(root / "store") == []
        return writes

    assert each_crash(run) == 12  # three marks, two inputs and the record, before and after each


def test_a_crash_while_claiming_delays_the_job_and_no_more(tmp_path):
    def run(step: int, after: bool) -> list[str]:
        root = tmp_path / f"{step}-{after}"
        clock = Clock()
        jobs = make_store(str(root / "store"), clock)
        job = accept(jobs, root)
        with crash_at(step, after) as writes:
            make_store(str(root / "store")).claim(job, "dies")
        finish(jobs, clock, job, root / "work")
        check_done(jobs, job)
        return writes

    assert each_crash(run) == 2


def test_a_crash_while_publishing_shows_a_whole_result_or_none(tmp_path):
    def run(step: int, after: bool) -> list[str]:
        root = tmp_path / f"{step}-{after}"
        clock = Clock()
        jobs = make_store(str(root / "store"), clock)
        job = accept(jobs, root)
        claim = make_store(str(root / "store")).claim(job, "dies")
        (root / "out.mp4").write_bytes(b"film")
        with crash_at(step, after) as writes:
            claim.finish("done", files={"video": root / "out.mp4"}, report={})
        view = jobs.view(job)
        assert view.state in ("running", "done")
        assert (view.state == "done") == (jobs.open_result(job, "video") is not None)
        finish(jobs, clock, job, root / "work")
        check_done(jobs, job)
        assert jobs.view(job).attempts == (1 if view.state == "done" else 2)
        return writes

    assert each_crash(run) == 8  # film, report, outcome, mark


def test_a_crash_while_cancelling_leaves_the_job_open_or_cancelled(tmp_path):
    def run(step: int, after: bool) -> list[str]:
        root = tmp_path / f"{step}-{after}"
        jobs = make_store(str(root / "store"))
        job = accept(jobs, root)
        with crash_at(step, after) as writes:
            make_store(str(root / "store")).cancel(job)
        assert jobs.view(job).state in ("queued", "cancelled")
        assert jobs.cancel(job).state == "cancelled"
        assert jobs.claim(job, "x") is None and jobs.open_ids() == []
        return writes

    assert each_crash(run) == 4


def test_a_crash_while_deleting_leaves_no_job_and_only_litter(tmp_path):
    def run(step: int, after: bool) -> list[str]:
        root = tmp_path / f"{step}-{after}"
        jobs = make_store(str(root / "store"))
        job = accept(jobs, root)
        jobs.cancel(job)
        with crash_at(step, after) as writes:
            make_store(str(root / "store")).delete(job)
        if jobs.view(job) is None:
            assert accept(jobs, root, id=job) == job, "the id can be used again at once"
            jobs.sweep(time.time() + _LATER)
            assert jobs.view(job).state == "queued" and jobs.claim(job, "x") is not None
            jobs.cancel(job)
        jobs.delete(job)
        jobs.sweep(time.time() + _LATER)
        assert storage.list_files(root / "store") == []
        return writes

    assert each_crash(run) == 10


@pytest.mark.parametrize("lost", ["job", "claim", "outcome"])
def test_a_store_whose_answer_is_lost_makes_no_stranger_of_the_writer(store, tmp_path, monkeypatch, lost):
    """The client of a bucket tries a put again by itself, and then finds its own file in the way."""
    create = storage.create
    place = {"job": "/jobs/", "claim": "/log/000001", "outcome": "/log/000002"}[lost]

    def create_twice(uri: str, data: bytes) -> bool:
        first = create(uri, data)
        return create(uri, data) if place in uri else first

    monkeypatch.setattr(storage, "create", create_twice)
    clock = Clock()
    jobs = make_store(store, clock)
    job = accept(jobs, tmp_path)
    finish(jobs, clock, job, tmp_path / "work")
    check_done(jobs, job)
    assert jobs.view(job).attempts == 1


def test_publishing_again_after_an_error_keeps_what_was_published(store, tmp_path, monkeypatch):
    jobs = make_store(store)
    job = accept(jobs, tmp_path)
    claim = jobs.claim(job, "a")
    (tmp_path / "out.mp4").write_bytes(b"film")
    create = storage.create

    def written_but_not_answered(uri: str, data: bytes) -> bool:
        create(uri, data)
        raise storage.StorageError(f"{uri}: cannot create it (connection reset). Try again.")

    monkeypatch.setattr(storage, "create", written_but_not_answered)
    with pytest.raises(storage.StorageError):
        claim.finish("done", files={"video": tmp_path / "out.mp4"})
    assert claim.finish("done", files={"video": tmp_path / "out.mp4"})
    check_done(jobs, job)


def test_inputs_that_cannot_be_stored_leave_nothing(store, tmp_path, monkeypatch):
    jobs = make_store(store)
    request, files = make_request(tmp_path / "sent")
    files["speech"].unlink()
    with pytest.raises(storage.StorageError):
        jobs.create(request, files)
    assert jobs.view(request.id) is None and storage.list_files(store) == []
