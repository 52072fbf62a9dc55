"""Behind a real server: callers that are slow, send too much, or hang up."""

from __future__ import annotations

import socket
import time

import httpx

from serve.config import LimitsConfig
from tests.serve.api.asgi import FORM, part
from tests.serve.live import served, until

SMALL = LimitsConfig(upload_mb=0.5, idle_s=0.3, upload_s=1.0, probe_s=20)


def begin(address, length=10_000_000):
    """A connection on which a POST has begun."""
    line = socket.create_connection(address, timeout=60)
    head = ["POST /v1/dubs HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {FORM}", f"Content-Length: {length}"]
    line.sendall("\r\n".join([*head, "", ""]).encode())
    return line


def read_all(line):
    data = b""
    while piece := line.recv(65536):
        data += piece
    return data


def test_a_slow_loris_is_answered_and_cut_off(make_api):
    api = make_api(limits=SMALL)
    with served(api.app) as address:
        begun = time.monotonic()
        with begin(address, 1000) as line:
            line.sendall(part("video", b"")[:-2])
            answer = read_all(line)
        assert answer.startswith(b"HTTP/1.1 408") and b"too_slow" in answer
        assert b"connection: close" in answer.lower() and time.monotonic() - begun < 5
    assert api.left_over() == []


def test_a_body_that_is_announced_too_large_is_refused_and_cut_off(make_api):
    api = make_api(limits=SMALL)
    with served(api.app) as address, begin(address) as line:
        assert read_all(line).startswith(b"HTTP/1.1 413")
    assert api.left_over() == []


def test_a_client_that_sends_too_much_reads_why(make_api):
    api = make_api(limits=SMALL)

    def body():
        yield part("video", b"")[:-2]
        for _ in range(50):
            yield bytes(100_000)

    with served(api.app) as (host, port):
        answer = httpx.post(f"http://{host}:{port}/v1/dubs", content=body(), headers={"Content-Type": FORM})
    assert answer.status_code == 413 and answer.json()["error"]["code"] == "too_large"


def test_a_caller_that_hangs_up_leaves_nothing_behind(make_api):
    api = make_api(limits=LimitsConfig(probe_s=20))
    with served(api.app) as address:
        with begin(address) as line:
            line.sendall(part("video", bytes(100_000)))
            until(lambda: any(name.endswith("video") for name in api.left_over()))
        until(lambda: api.left_over() == [])
    assert api.service.store.num_open() == 0


def test_events_end_when_their_connection_does(api, parts):
    with served(api.app) as (host, port):
        base = f"http://{host}:{port}/v1/dubs"
        job = httpx.post(base, files=parts(), timeout=60).json()["id"]
        places = api.app.state.context.answering
        with httpx.stream("GET", f"{base}/{job}/events") as events:
            text = events.iter_text()  # held: an iterator that is dropped hangs up
            assert "retry" in next(text)
            until(lambda: places.total() == 1)
        until(lambda: places.total() == 0)


def test_a_kept_connection_serves_again_after_a_refusal_without_a_body(api):
    with served(api.app) as (host, port), httpx.Client(base_url=f"http://{host}:{port}") as client:
        assert client.get("/nothing").status_code == 404
        assert client.get("/healthz").json() == {"status": "alive"}
