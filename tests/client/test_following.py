"""Events, results and streams of a job that was submitted."""

import threading
import time

import pytest

from segtalker.client import Client, Retries, ServiceError
from tests.client.asking import ACCEPTED, CANCEL, DONE, JOB, running
from tests.client.playing import events, refuse, reply, reset, serve_file, silence


def test_lost_event_streams_are_renewed_and_nothing_is_told_twice(script):
    client = Client(script.url, retries=Retries(errors=3, first_wait_s=0.01))
    script.on("GET", JOB, reply(running(9)), reply(DONE))
    script.on(
        "GET",
        f"{JOB}/events",
        events(running(5), ends=False),
        reset,
        refuse(500, "restarting"),
        events(running(9), running(20)),
    )
    views = list(client.job("j1").events())
    assert [view["progress"][-1]["done"] for view in views[:-1]] == [5, 9, 20]
    assert views[-1]["state"] == "done"


def test_a_failed_job_is_an_error_with_its_reason(script, client):
    script.on("GET", f"{JOB}/events", events())
    failed = {"state": "failed", "error": "video: no face was found.", "progress": []}
    script.on("GET", JOB, reply(failed), reply({**failed, "state": "cancelled", "error": None}))
    with pytest.raises(ServiceError, match="video: no face was found."):
        client.job("j1").wait()
    with pytest.raises(ServiceError, match="j1: was cancelled") as caught:
        client.job("j1").wait()
    assert caught.value.code == "cancelled"


def test_waiting_ends_when_its_time_is_over(script):
    def slow(handler):
        events(running(1), ends=False)(handler)
        handler.wfile.flush()
        silence(handler)

    script.on("GET", f"{JOB}/events", slow)
    script.on("GET", JOB, reply(running(1)))
    patient = Client(script.url, timeout_s=60)
    start = time.monotonic()
    with pytest.raises(ServiceError, match="has not ended within 0.4 s"):
        patient.job("j1").wait(timeout_s=0.4)
    assert time.monotonic() - start < 20


def test_a_cut_download_goes_on_where_it_stopped(script, client, tmp_path):
    data = bytes(range(256)) * 4000
    script.on(
        "GET", f"{JOB}/video", serve_file(data, 300_000), reset, serve_file(data, 700_000), serve_file(data)
    )
    told = []
    client.job("j1").download(tmp_path / "out.mp4", on_progress=told.append)
    assert (tmp_path / "out.mp4").read_bytes() == data
    ranges = [request.headers.get("Range") for request in script.heard]
    assert ranges[0] is None and all(r.startswith("bytes=") for r in ranges[1:])
    assert told[-1].done == told[-1].total == len(data)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_download_that_was_interrupted_goes_on_in_another_process(script, client, tmp_path):
    data = bytes(range(256)) * 1000
    script.on("GET", f"{JOB}/video", serve_file(data, 100_000), reset, reset, reset)
    with pytest.raises(ServiceError, match="only a part"):
        client.job("j1").download(tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    script.answers.clear()
    script.on("GET", f"{JOB}/video", serve_file(data))
    Client(script.url).job("j1").download(tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == data
    assert int(script.heard[-1].headers["Range"][6:-1]) > 0


def test_a_part_as_long_as_the_file_is_fetched_anew(script, client, tmp_path):
    (tmp_path / ".out.mp4.j1.video.part").write_bytes(b"old or whole")
    script.on("GET", f"{JOB}/video", serve_file(b"film"))
    client.job("j1").download(tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == b"film"


def test_cancelling_never_deletes_the_job_that_it_has_cancelled(script, client):
    cancelled = {**DONE, "state": "cancelled"}
    script.on("DELETE", CANCEL, reset, reply(cancelled))  # the job was cancelled, the answer was lost
    assert client.job("j1").cancel()["state"] == "cancelled"
    assert len(script.of("DELETE", CANCEL)) == 2 and script.of("DELETE", JOB) == []


def test_a_job_is_deleted_once_it_has_ended(script, client):
    script.on("DELETE", CANCEL, reply(DONE))
    script.on("DELETE", JOB, reset, refuse(404, "no such job"))
    client.job("j1").delete()
    assert len(script.of("DELETE", JOB)) == 2


def test_an_interrupted_dub_is_cancelled(script, client, inputs, tmp_path):
    script.on("POST", "/v1/dubs", ACCEPTED)
    script.on("GET", f"{JOB}/events", events(running(1)))
    script.on("DELETE", CANCEL, reply({**DONE, "state": "cancelled"}))

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.dub(*inputs, tmp_path / "out.mp4", on_progress=interrupt)
    assert len(script.of("DELETE", CANCEL)) == 1
    assert not (tmp_path / "out.mp4").exists()


def test_the_streamed_film_comes_in_pieces_while_it_is_made(script, client, inputs):
    go_on = threading.Event()

    def film(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"head")
        handler.wfile.flush()
        assert go_on.wait(5)
        handler.wfile.write(b"rest")

    script.on("POST", "/v1/dubs:stream", refuse(503, "restarting"), film)
    pieces = client.stream(*inputs)
    assert next(pieces) == b"head"
    go_on.set()
    assert b"".join(pieces) == b"rest"
    keys = {request.headers["Idempotency-Key"] for request in script.heard}
    assert len(script.heard) == 2 and len(keys) == 1


def test_a_cut_stream_is_an_error(script, client, inputs):
    script.on("POST", "/v1/dubs:stream", serve_file(b"0123456789", cut_at=4))
    with pytest.raises(ServiceError, match="only a part"):
        b"".join(client.stream(*inputs))
