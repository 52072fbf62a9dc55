"""One id is one job, whoever sends it together; and no id leads out of the storage."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from segtalker import storage
from serve.jobs import JobConflict, JobNotFound, is_job_id, job_id, random_job_id
from serve.jobs.ids import FolderName
from serve.jobs.layout import Layout
from tests.serve.jobs.helpers import accept, make_request, make_store

BAD_IDS = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "j" + "a" * 25,
    "j" + "a" * 27,
    "j" + "A" * 26,
    "j" + "1" * 26,
    "j" + "a" * 26 + "\n",
    "j" + "a" * 25 + "/",
    "j" + "a" * 22 + "/../",
    "j" + "ä" * 26,
    "s3://bucket/key",
    "j" + "a" * 25 + "\0",
    "*",
]


@pytest.mark.parametrize("fingerprints", ["same", "different"])
def test_of_several_requests_with_one_id_at_a_time_one_makes_the_job(store, tmp_path, fingerprints):
    job = random_job_id()
    told: list[str] = []
    barrier = threading.Barrier(5)

    def send(number: int) -> None:
        fingerprint = "f" if fingerprints == "same" else f"f{number}"
        request, files = make_request(tmp_path / f"sent{number}", id=job, fingerprint=fingerprint)
        jobs = make_store(store)
        barrier.wait()
        try:
            view, is_new = jobs.create(request, files)
            told.append("new" if is_new else "there")
            assert view.id == job
        except JobConflict:
            told.append("conflict")

    threads = [threading.Thread(target=send, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == sorted(["new"] + ["there" if fingerprints == "same" else "conflict"] * 4)
    jobs = make_store(store)
    claim = jobs.claim(job, "a")
    claim.fetch(tmp_path / "work")
    video, speech = ((tmp_path / "work/inputs" / name).read_bytes() for name in ("video", "speech"))
    assert video.removeprefix(b"video") == speech.removeprefix(b"speech"), "inputs of one sender"
    assert claim.finish("done")
    assert jobs.open_ids() == [] and len(jobs.newest("ann")) == 1
    jobs.delete(job)
    assert storage.list_files(store) == [], "those who came second left nothing"


def test_a_repetition_of_an_ended_job_does_not_open_it_again(store, tmp_path):
    jobs = make_store(store)
    request, files = make_request(tmp_path / "sent")
    jobs.create(request, files)
    jobs.cancel(request.id)
    view, is_new = jobs.create(request, files)
    assert (view.state, is_new, jobs.open_ids()) == ("cancelled", False, [])


def test_a_key_names_one_job_of_one_owner():
    assert job_id("ann", "k") == job_id("ann", "k")
    assert len({job_id("ann", "k"), job_id("ann", "l"), job_id("bob", "k"), job_id("annk", "")}) == 4
    assert job_id("a", "b:c") != job_id("a:b", "c")


@pytest.mark.parametrize("key", ["", "../../x", "é\n\0", "\ud800", "k" * 5000])
def test_whatever_the_key_the_id_is_safe_in_a_path(key):
    assert is_job_id(job_id("ann", key)) and is_job_id(job_id(key, "k")) and is_job_id(random_job_id())


@pytest.mark.parametrize("job", BAD_IDS)
def test_no_id_leads_out_of_the_storage(tmp_path, monkeypatch, job):
    jobs = make_store(str(tmp_path / "deep" / "store"))
    request, files = make_request(tmp_path / "sent", id=job)
    touched: list[str] = []
    for name in ("read_if_exists", "read_bytes", "list_names", "list_files", "create", "put_file", "remove"):
        monkeypatch.setattr(storage, name, lambda *args: touched.append(str(args)))
    assert jobs.view(job) is None and jobs.claim(job, "a") is None
    assert jobs.open_result(job, "video") is None and jobs.work_files(job) == []
    for refuse in (
        lambda: jobs.create(request, files),
        lambda: jobs.cancel(job),
        lambda: jobs.delete(job),
        lambda: jobs.fetch_work(job, "a", tmp_path / "x"),
        lambda: jobs.layout.read_job(job),
    ):
        with pytest.raises(JobNotFound):
            refuse()
    assert touched == [] and not (tmp_path / "deep").exists()


@pytest.mark.parametrize("name", ["../../job.json", "/etc/passwd", "..", "inputs/../../x", ""])
def test_no_name_of_a_piece_leads_out_of_a_job(tmp_path, name):
    jobs = make_store(str(tmp_path / "store"))
    job = accept(jobs, tmp_path)
    with pytest.raises(JobNotFound):
        jobs.fetch_work(job, name, tmp_path / "x")
    assert jobs.open_result(job, name) is None


def test_an_owner_is_no_part_of_a_path(tmp_path):
    jobs = make_store(str(tmp_path / "store"))
    job = accept(jobs, tmp_path, owner="../../../ann\n/é")
    assert [view.id for view in jobs.newest("../../../ann\n/é")] == [job]
    assert sorted(os.listdir(tmp_path)) == ["sent", "store"]


@pytest.mark.parametrize("inputs", [{"video"}, {"video", "speech", "photo"}])
def test_inputs_must_be_those_of_the_request(tmp_path, inputs):
    request, files = make_request(tmp_path / "sent")
    given = dict.fromkeys(inputs, files["video"])
    with pytest.raises(ValueError, match="inputs of a job are video, speech, photo"):
        make_store(str(tmp_path / "store")).create(request, given)


def test_a_home_folder_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Layout("~/jobs").root == str(tmp_path / "jobs")
    assert Layout("s3://bucket/a").root == "s3://bucket/a"


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"request": {}, "folder": "x"}', b"\xff"])
def test_a_damaged_record_is_told_by_name(tmp_path, data):
    jobs = make_store(str(tmp_path / "store"))
    job = random_job_id()
    storage.write_bytes(jobs.layout.record(job), data)
    with pytest.raises(storage.StorageError, match=rf"{job}\.json: .*\."):
        jobs.view(job)


def test_a_record_that_names_a_folder_elsewhere_is_refused(tmp_path):
    jobs = make_store(str(tmp_path / "store"))
    job = accept(jobs, tmp_path)
    uri = jobs.layout.record(job)
    folder = jobs.layout.read_job(job).folder
    storage.write_bytes(uri, storage.read_bytes(uri).replace(folder.encode(), b"../../secrets"))
    with pytest.raises(storage.StorageError, match="names a folder of another kind"):
        make_store(str(tmp_path / "store")).view(job)


@pytest.mark.parametrize("text", ["", "x", "j" + "a" * 26, "j" + "a" * 26 + "-20269999T999999Z-00000000"])
def test_a_folder_of_another_form_is_not_taken_for_one(text):
    assert FolderName.parse(text) is None


def test_a_folder_tells_when_it_was_made():
    name = FolderName.new(random_job_id(), 1.8e9 + 0.5)
    assert FolderName.parse(name.text) == name and name.made == 1.8e9
    assert Path(name.text).name == name.text
