"""Mixed load on the service: what is sent, how each caller's end is told, and the books."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from benchmarks._serve_books import StoredJob, account, stored_jobs, summary
from benchmarks._serve_load import MIX, Inputs, Outcome, Player, draw_inputs, mixed, play
from segtalker.client import Client, Retries
from tests.client.playing import events, playing, refuse, reply, reset, serve_file, silence
from tests.serve.jobs.helpers import accept, make_store

JOB = "/v1/dubs/j1"
ACCEPTED = reply({"id": "j1", "state": "queued", "links": {}}, 202)


def view(state, error=None):
    return reply({"id": "j1", "state": state, "progress": [], "error": error})


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"film")
    return Inputs([(tmp_path / "x.mp4", tmp_path / "x.mp4")], [tmp_path / "x.mp4"], tmp_path / "x.mp4")


def player_of(url, inputs, folder, within_s=0.6, slow_s=0.6):
    (folder / "out").mkdir(exist_ok=True)
    client = Client(url, timeout_s=0.3, retries=Retries(errors=2, within_s=1, first_wait_s=0.01))
    return Player(client, url, inputs, folder / "out", idle_s=0.3, slow_s=slow_s, within_s=within_s)


def test_the_mix_has_every_kind_in_its_share_and_is_the_same_each_time():
    kinds = mixed(40)
    assert Counter(kinds) == {"good": 16, "cancelled": 6, "corrupt": 6, "huge": 6, "slow": 6}
    assert kinds == mixed(40) != mixed(40, seed=1) and kinds != sorted(kinds)
    assert len(mixed(7)) == 7 and sum(MIX.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("kind", "answers", "ended"),
    [
        ("good", {"GET": view("done")}, "done"),
        ("good", {"GET": view("failed", "no face was found.")}, "failed"),
        ("good", {"GET": view("cancelled")}, "cancelled"),
        ("good", {"GET": view("running")}, "hung"),
        ("good", {"GET": view("done"), "video": refuse(404, "gone")}, "lost"),
        ("good", {"GET": refuse(404, "gone"), "events": refuse(404, "gone")}, "lost"),
        ("good", {"POST": refuse(500, "broken")}, "error"),
        ("good", {"POST": reset}, "error"),
        ("good", {"POST": silence}, "error"),
        ("good", {"POST": refuse(429, "full", Retry_After="9")}, "busy"),
        ("corrupt", {"POST": refuse(422, "no film")}, "refused"),
        ("corrupt", {"GET": view("failed", "no film")}, "failed"),
        ("huge", {"POST": refuse(413, "too large")}, "refused"),
        ("cancelled", {"DELETE": view("cancelled")}, "cancelled"),
        ("cancelled", {"DELETE": view("done")}, "done"),
        ("cancelled", {"DELETE": refuse(500, "broken")}, "error"),
    ],
)
def test_each_end_of_a_request_has_its_name(tmp_path, inputs, monkeypatch, kind, answers, ended):
    monkeypatch.setattr("benchmarks._serve_load.random.Random.uniform", lambda *_: 0.0)
    with playing() as script:
        script.on("POST", "/v1/dubs", answers.get("POST", ACCEPTED))
        script.on("GET", JOB, answers.get("GET", view("running")))
        script.on("DELETE", f"{JOB}?keep_ended=true", answers.get("DELETE", refuse(500, "not asked for")))
        script.on("GET", f"{JOB}/events", answers.get("events", events()))
        script.on("GET", f"{JOB}/video", answers.get("video", serve_file(b"dubbed")))
        outcome = player_of(script.url, inputs, tmp_path)(4, kind)
    assert (outcome.number, outcome.kind, outcome.ended) == (4, kind, ended), outcome.detail
    assert (outcome.job == "j1") == ("POST" not in answers)
    assert (outcome.output is not None) == (kind == "good" and ended == "done")
    assert 0 < outcome.seconds < 5


@contextmanager
def raw_server(*answers):
    """Takes a part of the request, then answers with these bytes in turn; None: says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    over, served = threading.Event(), []

    def serve():
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                served.append(connection.recv(4096))
                if answer is None:
                    over.wait(5)
                else:
                    connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", served
    finally:
        over.set()
        thread.join(5)
        listener.close()


@pytest.mark.parametrize(
    ("answers", "ended"),
    [
        ([b"HTTP/1.1 408 Request Timeout\r\n\r\n"], "refused"),
        ([b""], "refused"),
        ([None], "hung"),
        ([b"HTTP/1.1 500 Oh\r\n\r\n", b"HTTP/1.1 408 Late\r\n\r\n"], "refused"),
        ([b"HTTP/1.1 500 Oh\r\n\r\n"] * 3, "error"),
    ],
)
def test_an_upload_that_never_ends_is_refused_or_hangs(tmp_path, inputs, answers, ended):
    with raw_server(*answers) as (url, served):
        outcome = player_of(url, inputs, tmp_path)(0, "slow")
    assert outcome.ended == ended and outcome.job is None
    assert len(served) == len(answers) and all(b"multipart/form-data" in head for head in served)


def test_all_requests_are_played_so_many_at_once():
    now, most, told = [0], [0], []

    def player(number, kind):
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.02)
        now[0] -= 1
        return Outcome(number, kind, "done")

    outcomes = play(["good"] * 12, player, at_once=4, within_s=5, on_outcome=told.append)
    assert [outcome.number for outcome in outcomes] == list(range(12)) and told == list(range(1, 13))
    assert 2 <= most[0] <= 4


def test_a_request_that_does_not_end_in_time_hangs():
    over = threading.Event()

    def player(number, kind):
        if number == 1:
            over.wait(5)
        return Outcome(number, kind, "done")

    outcomes = play(["good", "slow", "good"], player, at_once=2, within_s=0.3)
    over.set()
    assert [outcome.ended for outcome in outcomes] == ["done", "hung", "done"]


def stored(name, state="done", claims=1, outcomes=1):
    return StoredJob(name, state, claims, outcomes)


def test_an_orderly_load_has_clean_books():
    outcomes = [
        Outcome(0, "good", "done", job="a"),
        Outcome(1, "cancelled", "cancelled", job="b"),
        Outcome(2, "corrupt", "failed", job="c"),
        Outcome(3, "huge", "refused"),
        Outcome(4, "good", "busy"),
    ]
    jobs = [stored("before"), stored("a", claims=2), stored("b", "cancelled"), stored("c", "failed")]
    figures = account(outcomes, jobs, before=1)
    bad = ("lost_jobs", "duplicated_jobs", "hung_requests", "server_errors", "good_not_done", "bad_accepted")
    assert [figures[name] for name in bad] == [0] * 6
    assert (figures["told_to_come_back"], figures["taken_over"], figures["requests"]) == (1, 1, 5)


@pytest.mark.parametrize(
    ("outcomes", "jobs", "figure", "count"),
    [
        ([Outcome(0, "good", "done", job="a")], [], "lost_jobs", 1),
        ([Outcome(0, "good", "lost", job="a")], [stored("a")], "lost_jobs", 1),
        ([Outcome(0, "good", "hung", job="a")], [stored("a", "running", outcomes=0)], "lost_jobs", 1),
        ([Outcome(0, "good", "done", job="a")], [stored("a"), stored("b")], "duplicated_jobs", 1),
        ([Outcome(0, "good", "done", job="a")], [stored("a", outcomes=2)], "duplicated_jobs", 1),
        ([Outcome(n, "good", "done", job="a") for n in (0, 1)], [stored("a")], "duplicated_jobs", 1),
        ([Outcome(0, "huge", "refused")], [stored("a")], "duplicated_jobs", 1),
        ([Outcome(0, "good", "error")], [stored("a")], "duplicated_jobs", 0),
        ([Outcome(0, "good", "error")], [], "server_errors", 1),
        ([Outcome(0, "slow", "hung")], [], "hung_requests", 1),
        ([Outcome(0, "good", "failed", job="a")], [stored("a", "failed")], "good_not_done", 1),
        ([Outcome(0, "corrupt", "done", job="a")], [stored("a")], "bad_accepted", 1),
    ],
)
def test_every_disorder_is_counted(outcomes, jobs, figure, count):
    assert account(outcomes, jobs)[figure] == count


def test_jobs_are_read_from_their_storage(tmp_path):
    store = make_store(str(tmp_path / "jobs"))
    done, waiting = accept(store, tmp_path), accept(store, tmp_path)
    claim = store.claim(done, "driver")
    assert claim is not None and claim.finish("failed", error="no face")
    found = {job.id: job for job in stored_jobs(str(tmp_path / "jobs"))}
    assert found == {done: StoredJob(done, "failed", 1, 1), waiting: StoredJob(waiting, "queued", 0, 0)}


def test_the_summary_has_a_row_for_each_kind():
    ends = [("good", "done"), ("good", "done"), ("good", "busy"), ("slow", "refused")]
    rows = summary([Outcome(n, kind, ended, seconds=n) for n, (kind, ended) in enumerate(ends)])
    assert rows[0] == {"requests": 3, "kind": "good", "ended": "2 done, 1 busy", "slowest s": 2}
    assert [row["kind"] for row in rows] == ["good", "slow"]


@pytest.mark.slow
def test_the_inputs_are_films_damaged_files_and_one_above_the_limit(tmp_path):
    from segtalker.errors import MediaError
    from segtalker.media.read import probe

    inputs = draw_inputs(tmp_path, 0.4, upload_mb=1.0)
    assert all(probe(video).width == 240 and speech.exists() for video, speech in inputs.clips)
    assert len({video.read_bytes() for video, _ in inputs.clips}) == 3
    for path in inputs.corrupt:
        with pytest.raises(MediaError):
            probe(path)
    assert inputs.huge.stat().st_size > 1e6
