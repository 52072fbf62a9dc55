"""Jobs of the store become published videos, whatever happens to who works on them."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from segtalker.errors import StorageError
from serve.config import DriverConfig
from serve.runner import Deadly, Unavailable
from serve.workroom import Workroom
from tests.dubbing import talking_clip, talking_frame, tiny_weights, write_speech
from tests.serve.running import (
    FrozenStore,
    Runners,
    decoded,
    dub_locally,
    end_of,
    frames_of,
    small_service,
    submit,
    wait_for,
)

FRAMES = 12


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, Path]:
    return tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sent")
    speech = write_speech(folder / "what I say.wav", FRAMES / 25)
    return {"video": talking_clip(folder / "my holiday.mp4", FRAMES), "speech": speech}


@pytest.fixture(scope="module")
def undisturbed(weights, files, tmp_path_factory) -> np.ndarray:
    """Frames of a dub by the library alone."""
    folder = tmp_path_factory.mktemp("local")
    dub_locally(small_service(folder, weights).dub, files, folder / "out.mp4")
    return decoded(folder / "out.mp4")


@pytest.fixture
def runners(weights, tmp_path):
    runners = Runners(small_service(tmp_path, weights))
    yield runners
    runners.stop()


def folders_of_jobs(runners: Runners) -> list[Path]:
    """What lies in the folders of all runners, and the folders of those that have ended."""
    root = Path(str(runners.cfg.api.scratch))
    return list(root.glob("segtalker-jobs-*/driver-*/*"))


def test_a_job_becomes_the_video_and_the_report_of_a_local_dub(runners, files, undisturbed, tmp_path):
    job = submit(runners.store, files)
    runner, _ = runners.start()
    view = end_of(runners.store, job)
    assert (view.state, view.error, view.attempts) == ("done", None, 1)
    assert np.array_equal(frames_of(runners.store, job, tmp_path), undisturbed)

    local = dub_locally(runners.cfg.dub, files, tmp_path / "local.mp4")
    report = view.report
    for name in ("num_frames", "frames", "frame_rate", "duration_s", "weights", "warnings"):
        assert report[name] == getattr(local, name), name
    assert (report["video"], report["speech"]) == ("my holiday.mp4", "what I say.wav")
    stages = [stage["stage"] for stage in view.progress]
    assert stages[-1] == "rendering" and view.progress[-1]["done"] == FRAMES
    wait_for(lambda: runner.num_running == 0)
    assert folders_of_jobs(runners) == []


def test_a_report_names_no_path_of_the_machine(runners, files, weights, tmp_path):
    photo = tmp_path / "me.png"
    cv2.imwrite(str(photo), talking_frame(3)[..., ::-1])
    job = submit(runners.store, {**files, "photo": photo}, speaker="photo", save_maps=True)
    runners.start()
    view = end_of(runners.store, job)
    told = json.dumps(view.report)
    assert view.state == "done", view.error
    assert (
        str(tmp_path) not in told and str(weights["tsg"].parent) not in told and "segtalker-jobs" not in told
    )
    assert view.report["config"]["speaker"] == "photo:me.png" and view.report["maps"] == "maps.mp4"


def test_an_edit_is_a_job_without_speech_whose_reference_is_told_by_its_name(runners, files, tmp_path):
    face = tmp_path / "my look.png"
    cv2.imwrite(str(face), talking_frame(3, (240, 200), height=110)[..., ::-1])
    edits = [
        {"edit": "recolour", "region": "skin", "colour": "blue", "span": [0.16, 0.32], "ease": 0.0},
        {"edit": "texture", "region": "skin", "reference": "reference-1", "span": [0.3, 0.4], "ease": 0.0},
    ]
    job = submit(runners.store, {"video": files["video"], "reference-1": face}, edits=edits)
    runners.start()
    view = end_of(runners.store, job)
    assert view.state == "done", view.error
    told = json.dumps(view.report)
    assert str(tmp_path) not in told and "segtalker-jobs" not in told
    assert view.report["config"]["edits"][1]["reference"] == "my look.png"
    edited = frames_of(runners.store, job, tmp_path).astype(int)
    changed = np.abs(edited - decoded(files["video"])).max(-1).max((1, 2))
    assert len(edited) == FRAMES and changed[4:8].min() > 20 + changed[[0, 1, 2, 11]].max()


def test_a_reference_without_a_face_fails_the_job_in_the_words_of_its_sender(runners, files, tmp_path):
    blank = tmp_path / "a wall.png"
    cv2.imwrite(str(blank), np.full((64, 64, 3), 90, np.uint8))
    edits = [{"edit": "texture", "region": "hair", "reference": "reference-1"}]
    job = submit(runners.store, {**files, "reference-1": blank}, edits=edits)
    runners.start()
    view = end_of(runners.store, job)
    assert view.state == "failed" and view.error.startswith("a wall.png: no face in the reference")


@pytest.mark.parametrize("spoiled", ["video", "speech"])
def test_an_input_that_cannot_be_used_fails_the_job_with_a_sentence(runners, files, tmp_path, spoiled):
    bad = tmp_path / "no film.mp4"
    bad.write_bytes(b"this is no media file" * 50)
    job = submit(runners.store, {**files, spoiled: bad})
    runners.start()
    view = end_of(runners.store, job)
    assert view.state == "failed" and view.files == {} and view.report is None
    assert "no film.mp4" in view.error and "\n" not in view.error
    assert "/" not in view.error.replace("no film.mp4", "")


def test_a_speaker_who_is_not_there_fails_the_job_in_the_words_of_its_sender(runners, files, tmp_path):
    job = submit(runners.store, files, speaker="index:3")
    runners.start()
    view = end_of(runners.store, job)
    assert view.state == "failed" and "my holiday.mp4" in view.error
    assert "/" not in view.error and "\n" not in view.error


def test_options_of_the_request_reach_the_dub(runners, files, tmp_path):
    job = submit(runners.store, files, fps="10", crf=40, spans_s=[[0.0, 0.25]], save_maps=True)
    runners.start()
    view = end_of(runners.store, job)
    assert view.report["frame_rate"] == "10" and view.report["frames"]["outside_span"] == 2
    assert view.report["config"]["encode"]["crf"] == 40
    assert sorted(view.files) == ["maps", "report", "video"]
    maps = frames_of(runners.store, job, tmp_path, "maps")
    assert len(maps) == len(frames_of(runners.store, job, tmp_path)) == 5


def test_a_cancelled_job_stops_soon_and_publishes_nothing(runners, files):
    reached = threading.Event()

    def slowly(call: int) -> None:
        reached.set()
        time.sleep(0.4)

    runner, stages = runners.start(slowly)
    job = submit(runners.store, files)
    assert reached.wait(60)
    assert runners.store.cancel(job).state == "cancelled"
    wait_for(lambda: runner.num_running == 0, 5)
    assert stages.calls < FRAMES / 3
    view = runners.store.view(job)
    assert view.state == "cancelled" and view.files == {} and runners.store.open_ids() == []
    assert runners.store.open_result(job, "video") is None and folders_of_jobs(runners) == []


def test_another_runner_goes_on_from_the_segments_of_one_that_stands_still(
    runners, files, undisturbed, tmp_path
):
    reached, wake = threading.Event(), threading.Event()

    def stand_still(call: int) -> None:
        if call == 3:
            reached.set()
            assert wake.wait(60)

    frozen, _ = runners.start(stand_still, FrozenStore(runners.cfg.jobs.storage, runners.cfg.jobs))
    job = submit(runners.store, files)
    assert reached.wait(60)
    _, stages = runners.start()
    view = end_of(runners.store, job)
    assert (view.state, view.attempts) == ("done", 2)
    assert view.report["reused_segments"] == 2 and stages.calls == 2
    frames = frames_of(runners.store, job, tmp_path)
    assert np.array_equal(frames, undisturbed)

    place = runners.store.open_result(job, "video")
    wake.set()  # the first one makes its video to the end, and may not publish it
    wait_for(lambda: frozen.num_running == 0)
    assert runners.store.view(job) == view and runners.store.open_result(job, "video") == place
    results = sorted(path.parent.name for path in Path(runners.cfg.jobs.storage).rglob("results/*/video.mp4"))
    assert results == ["000002"]


def test_stopping_gives_a_job_back_at_once(runners, files, undisturbed, tmp_path):
    reached = threading.Event()
    runner, _ = runners.start(lambda call: reached.set() if call == 2 else None)
    job = submit(runners.store, files)
    assert reached.wait(60)
    began = time.monotonic()
    runner.stop()
    assert time.monotonic() - began < 10 and not runner.is_alive and runner.num_running == 0
    view = runners.store.view(job)
    if view.state == "done":
        pytest.fail("the job ended before the runner was stopped; it must be longer")
    assert view.state == "queued" and not list(Path(str(runners.cfg.api.scratch)).rglob("driver-*"))

    runners.start()
    assert end_of(runners.store, job).report["reused_segments"] >= 1
    assert np.array_equal(frames_of(runners.store, job, tmp_path), undisturbed)


def test_a_job_that_waits_for_a_stage_is_given_back_over_its_head(runners, files):
    reached, wake = threading.Event(), threading.Event()

    def hang(call: int) -> None:
        reached.set()
        assert wake.wait(60)

    runner, _ = runners.start(hang)
    job = submit(runners.store, files)
    assert reached.wait(60)
    runner.stop(timeout_s=0.3)
    assert runners.store.view(job).state == "queued"
    runners.start()
    view = end_of(runners.store, job)
    assert view.state == "done"
    wake.set()
    wait_for(lambda: runner.num_running == 0)
    assert runners.store.view(job) == view


def test_a_stage_that_is_away_puts_the_job_off(runners, files, undisturbed, tmp_path):
    def be_away(call: int) -> None:
        if call == 3:
            raise Unavailable("Generator has not answered for 180 s (ActorDiedError).")

    runners.start(be_away)
    job = submit(runners.store, files)
    view = end_of(runners.store, job)
    assert (view.state, view.attempts) == ("done", 2) and view.report["reused_segments"] == 2
    assert np.array_equal(frames_of(runners.store, job, tmp_path), undisturbed)


def test_a_stage_that_is_away_for_long_costs_a_job_no_attempt(weights, files, undisturbed, tmp_path):
    runners = Runners(small_service(tmp_path, weights, attempts=1))

    def be_away(call: int) -> None:
        if call <= 4:
            raise Unavailable("Generator has not answered for 180 s (ActorDiedError).")

    try:
        runners.start(be_away)
        job = submit(runners.store, files)
        view = end_of(runners.store, job)
        assert (view.state, view.attempts) == ("done", 5)
        assert np.array_equal(frames_of(runners.store, job, tmp_path), undisturbed)
    finally:
        runners.stop()


def test_a_job_whose_photo_chooses_the_speaker_resumes_in_another_folder(runners, files, tmp_path):
    def be_away(call: int) -> None:
        if call == 3:
            raise Unavailable("away")

    photo = tmp_path / "me.png"
    cv2.imwrite(str(photo), talking_frame(3)[..., ::-1])
    runners.start(be_away)
    job = submit(runners.store, {**files, "photo": photo}, speaker="photo")
    view = end_of(runners.store, job)
    assert (view.state, view.attempts) == ("done", 2) and view.report["reused_segments"] == 2
    assert view.report["frames"] == {"synthesized": FRAMES}


@pytest.mark.parametrize("problem", [ZeroDivisionError("a mistake of ours"), Deadly("3 replicas have died.")])
def test_a_job_that_breaks_every_driver_ends_as_failed(weights, files, tmp_path, problem):
    runners = Runners(small_service(tmp_path, weights, attempts=2, lease_s=0.3))

    def break_off(call: int) -> None:
        raise problem

    try:
        runner, stages = runners.start(break_off)
        job = submit(runners.store, files)
        view = end_of(runners.store, job)
        assert view.state == "failed" and view.attempts == 2 and stages.calls >= 2
        assert view.error == "Gave up after 2 drivers were lost with this job."
        assert runner.is_alive and folders_of_jobs(runners) == []
    finally:
        runners.stop()


def test_a_job_whose_record_is_damaged_holds_up_no_other(runners, files, caplog):
    damaged, good = (submit(runners.store, files) for _ in range(2))
    (Path(runners.cfg.jobs.storage) / "jobs" / f"{damaged}.json").write_text("{")
    runner, _ = runners.start()
    assert end_of(runners.store, good).state == "done"
    told = [record for record in caplog.records if damaged in record.getMessage()]
    assert len(told) == 1 and "damaged" in told[0].getMessage()
    assert runner.is_alive


def test_a_runner_takes_no_more_jobs_than_it_may(weights, files, tmp_path):
    cfg = replace(small_service(tmp_path, weights), driver=DriverConfig(jobs=2, chunks=2))
    runners, most = Runners(cfg), []
    try:
        jobs = [submit(runners.store, files, spans_s=[[0.0, 0.4]]) for _ in range(4)]
        runner, _ = runners.start(lambda call: most.append(runner.num_running))
        assert [end_of(runners.store, job).state for job in jobs] == ["done"] * 4
        assert max(most) == 2
    finally:
        runners.stop()


def test_only_folders_of_killed_processes_are_removed(tmp_path):
    killed, living = Workroom(str(tmp_path)), Workroom(str(tmp_path))
    for room in (killed, living):
        (room.folder / "job").mkdir()
    os.close(killed._lock)  # as the system does when a process dies
    third = Workroom(str(tmp_path))
    assert sorted(path for path in third.folder.parent.iterdir() if path.is_dir()) == sorted(
        [living.folder, third.folder]
    )
    living.close()
    third.close()
    assert not any(third.folder.parent.iterdir())


def test_a_scratch_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Set api.scratch"):
        Workroom(str(tmp_path / "file"))
