"""Whoever asked for it is told that a job has ended: at least once, and never by way of a private address."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from segtalker import storage
from serve.config import CallbacksConfig
from serve.jobs import JobStore
from serve.jobs.callbacks import DELIVERY_HEADER, deliver, deliver_due
from tests.serve.https_server import HOST, HttpsServer
from tests.serve.jobs.helpers import accept, make_store

URL = f"https://{HOST}/ended?a=b"
CFG = CallbacksConfig(https_hosts=(HOST,), attempts=3, timeout_s=5.0, first_wait_s=2.0)


def ended_job(jobs: JobStore, tmp_path: Path, url: str | None = URL) -> str:
    job = accept(jobs, tmp_path, callback_url=url)
    claim = jobs.claim(job, "a")
    assert claim is not None and claim.finish("failed", error="No face was found.")
    return job


def answer_with(status: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", f"https://{HOST}/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def test_an_ended_job_is_told_once(store, tmp_path, https_server):
    jobs = make_store(store)
    job = ended_job(jobs, tmp_path)
    assert deliver(jobs, CFG, job, https_server.network) == "delivered"
    ((method, where, body),) = https_server.requests
    told = json.loads(body)
    assert (method, where) == ("POST", f"{HOST}/ended?a=b")
    assert told == {
        "id": job,
        "state": "failed",
        "error": "No face was found.",
        "delivery": https_server.headers[0][DELIVERY_HEADER],
    }
    assert deliver(make_store(store), CFG, job, https_server.network) == "delivered"
    assert deliver_due(make_store(store), CFG, https_server.network) == {}
    assert len(https_server.requests) == 1


def test_open_jobs_and_jobs_without_an_address_are_not_told(tmp_path, https_server):
    jobs = make_store(str(tmp_path / "store"))
    job = accept(jobs, tmp_path, callback_url=URL)
    assert deliver(jobs, CFG, job, https_server.network) == "none"
    assert deliver(jobs, CFG, ended_job(jobs, tmp_path, None), https_server.network) == "none"
    assert deliver_due(jobs, CFG, https_server.network) == {} and https_server.requests == []
    jobs.cancel(job)
    assert deliver_due(jobs, CFG, https_server.network) == {job: "delivered"}


@pytest.mark.parametrize("status", [500, 404, 301, 307])
def test_a_receiver_that_fails_is_told_again_later_and_later(tmp_path, https_server, status):
    jobs = make_store(str(tmp_path / "store"))
    job = ended_job(jobs, tmp_path)
    https_server.answer = answer_with(status)
    states = [
        deliver(jobs, CFG, job, https_server.network, now=now) for now in (0.0, 1.9, 2.0, 5.9, 6.0, 99.0)
    ]
    assert states == ["waiting", "waiting", "waiting", "waiting", "given_up", "given_up"]
    assert len(https_server.requests) == 3, "and redirects are not followed"
    assert len({headers[DELIVERY_HEADER] for headers in https_server.headers}) == 1
    assert deliver_due(jobs, CFG, https_server.network) == {}


def test_a_receiver_that_comes_back_is_told(tmp_path, https_server):
    jobs = make_store(str(tmp_path / "store"))
    job = ended_job(jobs, tmp_path)
    https_server.answer = answer_with(503)
    assert deliver_due(jobs, CFG, https_server.network, now=0.0) == {job: "waiting"}
    https_server.answer = answer_with(204)
    assert deliver_due(jobs, CFG, https_server.network, now=2.0) == {job: "delivered"}


def test_a_process_that_dies_while_telling_is_replaced(tmp_path, https_server):
    jobs = make_store(str(tmp_path / "store"))
    job = ended_job(jobs, tmp_path)

    class Died(BaseException):
        pass

    def die(host: str, port: int) -> list[str]:
        raise Died

    with pytest.raises(Died):
        deliver(jobs, CFG, job, replace(https_server.network, resolve=die), now=0.0)
    assert deliver(jobs, CFG, job, https_server.network, now=6.9) == "waiting", "it may still be at it"
    assert deliver(jobs, CFG, job, https_server.network, now=7.0) == "delivered"


def test_a_process_that_dies_before_noting_the_answer_tells_twice_under_one_id(
    tmp_path, https_server, monkeypatch
):
    jobs = make_store(str(tmp_path / "store"))
    job = ended_job(jobs, tmp_path)

    def full(*args: object) -> None:
        raise storage.StorageError("cannot write it (no space). Free some.")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", full)
        assert deliver_due(jobs, CFG, https_server.network, now=0.0) == {job: "waiting"}
    assert deliver_due(jobs, CFG, https_server.network, now=7.0) == {job: "delivered"}
    first, second = (json.loads(body)["delivery"] for _, _, body in https_server.requests)
    assert first == second


def test_several_processes_make_one_attempt(store, tmp_path, https_server):
    job = ended_job(make_store(store), tmp_path)
    barrier = threading.Barrier(4)
    states: list[str] = []

    def tell() -> None:
        jobs = make_store(store)
        barrier.wait()
        states.append(deliver(jobs, CFG, job, https_server.network))

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(https_server.requests) == 1 and set(states) <= {"delivered", "waiting"}


@pytest.mark.parametrize(
    "url",
    [
        "http://media.example.org/x",
        "https://evil.example.org/x",
        "https://127.0.0.1/x",
        "https://2130706433/x",
        "https://media.example.org:22/x",
        "https://media.example.org@127.0.0.1/x",
    ],
)
def test_an_address_that_is_not_listed_is_never_called(tmp_path, https_server, url):
    jobs = make_store(str(tmp_path / "store"))
    job = ended_job(jobs, tmp_path, url)
    assert deliver(jobs, CFG, job, https_server.network) == "given_up"
    assert https_server.dialled == [] and deliver_due(jobs, CFG, https_server.network) == {}


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "fe80::1", "::ffff:10.0.0.1", "::1"])
def test_a_listed_name_that_leads_to_a_private_address_is_never_called(tmp_path, https_server, address):
    jobs = make_store(str(tmp_path / "store"))
    job = ended_job(jobs, tmp_path)
    network = replace(https_server.network, resolve=lambda host, port: [address])
    assert deliver(jobs, CFG, job, network) == "given_up"
    assert https_server.dialled == [] and https_server.requests == []


def test_one_receiver_that_is_gone_does_not_keep_the_others(tmp_path, https_server):
    jobs = make_store(str(tmp_path / "store"))
    gone = ended_job(jobs, tmp_path, "https://gone.example.org/x")
    there = ended_job(jobs, tmp_path)
    good = https_server.network

    def dial(address: str, port: int, timeout_s: float):
        if address == "93.184.216.99":
            raise ConnectionRefusedError("refused")
        return good.dial(address, port, timeout_s)

    def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.99"] if host.startswith("gone") else good.resolve(host, port)

    cfg = replace(CFG, https_hosts=(HOST, "gone.example.org"))
    network = replace(good, dial=dial, resolve=resolve)
    assert deliver_due(jobs, cfg, network) == {gone: "waiting", there: "delivered"}


def test_a_deleted_job_is_not_told(tmp_path, https_server: HttpsServer):
    jobs = make_store(str(tmp_path / "store"))
    job = ended_job(jobs, tmp_path)
    jobs.delete(job)
    assert deliver(jobs, CFG, job, https_server.network) == "none"
    assert deliver_due(jobs, CFG, https_server.network) == {}
