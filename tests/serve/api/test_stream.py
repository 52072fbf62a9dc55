"""A film that is watched while it is made, and what becomes of the job when nobody watches any more."""

from __future__ import annotations

import asyncio
import json

import httpx
import numpy as np
import pytest

from segtalker.media.read import read_frames
from segtalker.media.write import mux
from tests.serve.api.film import make_film
from tests.serve.api.service import finish, take
from tests.serve.live import served, until

PATIENCE_S = 60.0
"""The machine may be busy with others."""


@pytest.fixture
def film(tmp_path, media):
    return make_film(tmp_path / "film", media / "speech.wav")


async def post(api, parts):
    return (await api.client.post("/v1/dubs", files=parts())).json()["id"]


async def only_job(api):
    while True:  # its mark is there before the job is
        for job in api.service.store.open_ids():
            if api.service.store.view(job) is not None:
                return job
        await asyncio.sleep(0.02)


def test_a_dub_is_answered_with_the_film_that_the_finished_file_shows(api, parts, film, tmp_path):
    async def go():
        asking = asyncio.ensure_future(api.client.post("/v1/dubs:stream", files=parts()))
        claim = take(api.service, await only_job(api))
        film.keep_head(claim)
        for name in film.segments:
            film.keep(claim, name)
            await asyncio.sleep(0.06)
        assert claim.finish("done", files={"video": film.folder / "audio.m4a"})
        return claim.id, await asking

    job, answer = asyncio.run(go())
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["X-Job-Id"] == job and answer.content[4:8] == b"ftyp"
    streamed, joined = tmp_path / "streamed.mp4", tmp_path / "joined.mp4"
    streamed.write_bytes(answer.content)
    segments = [film.folder / name for name in film.segments]
    mux(segments, film.folder / "audio.m4a", joined, film.plan.ticks, film.plan.time_base)
    pairs = list(zip(read_frames(streamed), read_frames(joined), strict=True))
    assert len(pairs) == 6 and all(np.array_equal(ours.image, theirs.image) for ours, theirs in pairs)
    assert api.left_over() == [] and api.service.store.view(job).state == "done"


def test_a_job_that_fails_before_the_first_frame_is_told_in_json(api, parts):
    async def go():
        asking = asyncio.ensure_future(api.client.post("/v1/dubs:stream", files=parts()))
        take(api.service, await only_job(api)).finish("failed", "No face was found.")
        return await asking

    answer = asyncio.run(go())
    assert answer.status_code == 422 and answer.json()["error"] == {
        "code": "job_failed",
        "message": "No face was found.",
    }
    assert api.left_over() == []


def test_a_job_that_is_cancelled_before_the_first_frame_is_told_in_json(api, parts):
    async def go():
        asking = asyncio.ensure_future(api.client.post("/v1/dubs:stream", files=parts()))
        await api.client.delete(f"/v1/dubs/{await only_job(api)}")
        return await asking

    answer = asyncio.run(go())
    assert answer.status_code == 409 and answer.json()["error"]["code"] == "job_cancelled"


def test_a_job_that_is_done_is_answered_with_its_video(api, parts, tmp_path):
    async def go():
        job = await post(api, parts)
        finish(api.service, job, tmp_path, b"the finished film")
        return await api.client.get(f"/v1/dubs/{job}/stream")

    answer = asyncio.run(go())
    assert answer.status_code == 200 and answer.content == b"the finished film"


def test_the_same_key_watches_the_same_job_again(api, parts, tmp_path):
    async def go():
        key = {"Idempotency-Key": "watch"}
        first = asyncio.ensure_future(api.client.post("/v1/dubs:stream", files=parts(), headers=key))
        job = await only_job(api)
        finish(api.service, job, tmp_path)
        again = await api.client.post("/v1/dubs:stream", files=parts(), headers=key)
        await first
        return job, again

    job, again = asyncio.run(go())
    assert again.status_code == 200 and again.headers["X-Job-Id"] == job and again.content == b"0123456789"


def test_a_caller_who_leaves_before_the_first_frame_cancels_the_job(api, parts):
    async def ask_and_leave(url):
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            asking = asyncio.ensure_future(client.post(url, files=parts()))
            job = await only_job(api)
            asking.cancel()
            return job

    with served(api.app) as (host, port):
        job = asyncio.run(ask_and_leave(f"http://{host}:{port}/v1/dubs:stream"))
        until(lambda: api.service.store.view(job).state == "cancelled")
        until(lambda: api.left_over() == [])
    events = [json.loads(line)["event"] for line in api.audit().splitlines()]
    assert events == ["accepted", "cancelled"]


def test_a_caller_who_leaves_in_the_middle_cancels_the_job_and_a_watcher_does_not(api, parts, film):
    with served(api.app) as (host, port):
        base = f"http://{host}:{port}/v1/dubs"
        job = httpx.post(base, timeout=PATIENCE_S, files=parts(), headers={"Idempotency-Key": "k"}).json()[
            "id"
        ]
        claim = take(api.service, job)
        film.keep_head(claim)
        film.keep(claim, film.segments[0])
        with httpx.stream("GET", f"{base}/{job}/stream", timeout=PATIENCE_S) as watching:
            pieces = watching.iter_raw()
            assert next(pieces)[4:8] == b"ftyp"
        until(lambda: api.left_over() == [])
        assert api.service.store.view(job).state == "running"

        key = {"Idempotency-Key": "k"}
        asking = httpx.stream("POST", f"{base}:stream", files=parts(), headers=key, timeout=PATIENCE_S)
        with asking as answer:
            pieces = answer.iter_raw()
            assert next(pieces)[4:8] == b"ftyp"
        until(lambda: api.service.store.view(job).state == "cancelled")
        until(lambda: api.left_over() == [])


def test_a_film_that_breaks_off_is_not_taken_for_whole(api, parts, film):
    with served(api.app) as (host, port):
        base = f"http://{host}:{port}/v1/dubs"
        job = httpx.post(base, timeout=PATIENCE_S, files=parts()).json()["id"]
        claim = take(api.service, job)
        film.keep_head(claim)
        film.keep(claim, film.segments[0])
        with (
            httpx.stream("GET", f"{base}/{job}/stream", timeout=PATIENCE_S) as answer,
            pytest.raises(httpx.RemoteProtocolError),
        ):
            for count, _ in enumerate(answer.iter_raw()):
                if count == 0:
                    claim.finish("failed", "The disk is full.")
        until(lambda: api.left_over() == [])
