"""The life of a job, on a disk and in a bucket."""

from __future__ import annotations

import pytest

from segtalker import storage
from segtalker.progress import Progress
from serve.jobs import JobConflict, JobNotFound, JobOpen, random_job_id
from tests.serve.jobs.helpers import Clock, accept, make_request, make_store


def test_a_job_goes_from_queued_to_done_with_its_result(store, tmp_path):
    jobs = make_store(store)
    job = accept(jobs, tmp_path)
    view = jobs.view(job)
    assert view.state == "queued" and view.owner == "ann" and jobs.open_ids() == [job]

    claim = jobs.claim(job, "driver 1")
    claim.fetch(tmp_path / "work")
    assert (tmp_path / "work/inputs/speech").read_bytes() == b"speech of sent"
    assert claim.beat(Progress("rendering", 3, 10))
    view = make_store(store).view(job)
    assert view.state == "running" and view.attempts == 1
    assert view.progress == [{"stage": "rendering", "done": 3, "total": 10, "unit": "frame"}]

    (tmp_path / "out.mp4").write_bytes(b"0123456789")
    assert claim.finish("done", files={"video": tmp_path / "out.mp4"}, report={"frames": 10})
    view = make_store(store).view(job)
    assert (view.state, view.report, view.files["video"]) == ("done", {"frames": 10}, 10)
    assert view.ended >= view.started and view.progress[-1]["stage"] == "rendering"
    uri, size = jobs.open_result(job, "video")
    assert b"".join(jobs.read_range(uri, 2, size)) == b"23456789"
    assert jobs.open_ids() == [] and jobs.claim(job, "driver 2") is None


def test_a_held_job_is_not_given_to_another(store, tmp_path):
    jobs = make_store(store)
    job = accept(jobs, tmp_path)
    assert jobs.claim(job, "a") is not None
    assert jobs.claim(job, "b") is None and make_store(store).claim(job, "b") is None


def test_finished_pieces_reach_the_next_driver(store, tmp_path):
    clock = Clock()
    jobs = make_store(store, clock)
    job = accept(jobs, tmp_path)
    (tmp_path / "piece").write_bytes(b"segment")
    jobs.claim(job, "a").keep(tmp_path / "piece", "segments/000000.mp4")
    assert jobs.work_files(job) == ["segments/000000.mp4"]
    jobs.claim(job, "b")
    clock.now += 15
    jobs.claim(job, "b").fetch(tmp_path / "work")
    assert (tmp_path / "work/work/segments/000000.mp4").read_bytes() == b"segment"
    jobs.fetch_work(job, "segments/000000.mp4", tmp_path / "piece2")
    assert (tmp_path / "piece2").read_bytes() == b"segment"


def test_a_cancelled_job_fences_its_driver_out(store, tmp_path):
    clock = Clock()
    jobs = make_store(store, clock)
    job = accept(jobs, tmp_path)
    claim = jobs.claim(job, "a")
    assert make_store(store).cancel(job).state == "cancelled"
    clock.now += 1
    assert not claim.beat() and not claim.held
    (tmp_path / "out.mp4").write_bytes(b"late")
    assert not claim.finish("done", files={"video": tmp_path / "out.mp4"})
    assert jobs.view(job).state == "cancelled" and jobs.open_result(job, "video") is None
    assert jobs.cancel(job).state == "cancelled"


def test_the_same_request_again_is_the_same_job_and_another_is_a_conflict(store, tmp_path):
    jobs = make_store(store)
    request, files = make_request(tmp_path / "sent")
    assert jobs.create(request, files)[1]
    view, is_new = make_store(store).create(request, files)
    assert view.id == request.id and not is_new
    other, files = make_request(tmp_path / "other", id=request.id, fingerprint="g")
    with pytest.raises(JobConflict, match="use another idempotency key"):
        jobs.create(other, files)


def test_only_an_ended_job_is_deleted_and_its_id_can_be_used_again(store, tmp_path):
    jobs, elsewhere = make_store(store), make_store(store)
    job = accept(jobs, tmp_path)
    with pytest.raises(JobOpen, match="Cancel it first"):
        jobs.delete(job)
    jobs.cancel(job)
    assert elsewhere.view(job).state == "cancelled"
    jobs.delete(job)
    assert jobs.view(job) is None and elsewhere.view(job) is None
    with pytest.raises(JobNotFound):
        jobs.delete(job)
    assert accept(jobs, tmp_path, id=job) == job
    assert elsewhere.view(job).state == "queued"


def test_jobs_are_counted_and_listed_by_owner(store, tmp_path):
    jobs = make_store(store)
    mine = accept(jobs, tmp_path)
    accept(jobs, tmp_path, owner="bob")
    assert (jobs.num_open(), jobs.num_open("ann"), jobs.num_open("eve")) == (2, 1, 0)
    assert [view.id for view in jobs.newest("ann")] == [mine] and jobs.newest("eve") == []


def test_a_job_that_is_not_there_is_none(store):
    jobs = make_store(store)
    job = random_job_id()
    assert jobs.view(job) is None and jobs.claim(job, "a") is None
    assert jobs.open_result(job, "video") is None and jobs.work_files(job) == []


def test_a_log_ends_before_the_first_entry_that_is_not_seen_yet(store, tmp_path):
    jobs = make_store(store)
    job = accept(jobs, tmp_path)
    jobs.claim(job, "a").release()
    jobs.claim(job, "b")
    folder = jobs.layout.read_job(job).folder
    storage.remove(jobs.layout.data(folder, "log", "000002.json"))
    assert make_store(store).view(job).attempts == 1
    storage.remove(jobs.layout.data(folder, "log", "000001.json"))
    assert make_store(store).view(job).state == "queued"
    assert jobs.view(job).state == "queued"


def test_a_damaged_entry_of_the_log_is_told_by_name(tmp_path):
    jobs = make_store(str(tmp_path / "store"))
    job = accept(jobs, tmp_path)
    jobs.claim(job, "a")
    entry = jobs.layout.data(jobs.layout.read_job(job).folder, "log", "000001.json")
    for data in (b"{}", b"x", b'{"outcome": {"state": "done", "y": 1}}'):
        storage.write_bytes(entry, data)
        with pytest.raises(storage.StorageError, match=r"000001\.json: "):
            make_store(str(tmp_path / "store")).view(job)
