"""Events of a job: in order, without repetition, to its end."""

from __future__ import annotations

import asyncio
import json

import pytest

from segtalker.progress import Progress
from serve.api import events as events_module
from serve.config import ApiConfig
from tests.serve.api.service import finish


def read(text):
    """(event, data) of each event; comments are ("", text)."""
    found = []
    for block in filter(None, text.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if "data" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
        elif block.startswith(":"):
            found.append(("", block))
    return found


async def post(api, parts):
    return (await api.client.post("/v1/dubs", files=parts())).json()["id"]


def test_events_tell_every_change_in_order_and_the_end(api, parts, tmp_path):
    async def go():
        job = await post(api, parts)
        listening = asyncio.ensure_future(api.client.get(f"/v1/dubs/{job}/events"))
        await asyncio.sleep(0.15)
        claim = api.service.store.claim(job, "a test")
        for done in (1, 2):
            claim.beat(Progress(f"stage {done}", done, 2))
            await asyncio.sleep(0.15)
        (tmp_path / "film").write_bytes(b"x")
        claim.finish("done", files={"video": tmp_path / "film"}, report={"frames": {}})
        return job, await listening

    job, answer = asyncio.run(go())
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    told = read(answer.text)
    states = [data["state"] for _, data in told]
    assert states == ["queued", "running", "running", "done", "done"]
    assert [len(data["progress"]) for event, data in told if event == "progress"] == [0, 1, 2, 2]
    assert told[-1] == ("end", {"id": job, "state": "done"})
    numbers = [int(line[4:]) for line in answer.text.split("\n") if line.startswith("id: ")]
    assert numbers == [1, 2, 3, 4]


def test_events_of_an_ended_job_are_its_state_and_the_end(api, parts, tmp_path):
    async def go():
        job = await post(api, parts)
        finish(api.service, job, tmp_path)
        return await api.client.get(f"/v1/dubs/{job}/events")

    assert [event for event, _ in read(asyncio.run(go()).text)] == ["progress", "end"]


def test_events_end_when_the_job_is_deleted(api, parts):
    async def go():
        job = await post(api, parts)
        listening = asyncio.ensure_future(api.client.get(f"/v1/dubs/{job}/events"))
        await asyncio.sleep(0.12)
        api.service.store.cancel(job)
        api.service.store.delete(job)
        return await listening

    event, data = read(asyncio.run(go()).text)[-1]
    assert event == "end" and data["state"] in ("deleted", "cancelled")


def test_a_job_that_stands_still_is_heard_of_all_the_same(api, parts, monkeypatch):
    monkeypatch.setattr(events_module, "HEARTBEAT_S", 0.1)

    async def go():
        job = await post(api, parts)
        listening = asyncio.ensure_future(api.client.get(f"/v1/dubs/{job}/events"))
        await asyncio.sleep(0.5)
        api.service.store.cancel(job)
        return await listening

    told = [event for event, _ in read(asyncio.run(go()).text)]
    assert told[0] == "progress" and told[-2:] == ["progress", "end"] and told.count("") >= 2


def test_streams_of_a_caller_are_bounded(make_api, parts, tmp_path, monkeypatch):
    monkeypatch.setattr("serve.api.limits._OPEN_ANSWERS", 1)
    tokens = tmp_path / "tokens"
    tokens.write_text("ann ann-token-0123456789\nbob bob-token-0123456789\n")
    api = make_api(api=ApiConfig(tokens_file=str(tokens), scratch=str(tmp_path / "scratch")))
    ann = {"Authorization": "Bearer ann-token-0123456789"}
    bob = {"Authorization": "Bearer bob-token-0123456789"}

    async def go():
        job = (await api.client.post("/v1/dubs", files=parts(), headers=ann)).json()["id"]
        other = (await api.client.post("/v1/dubs", files=parts(), headers=bob)).json()["id"]
        first = asyncio.ensure_future(api.client.get(f"/v1/dubs/{job}/events", headers=ann))
        await asyncio.sleep(0.2)
        second = await api.client.get(f"/v1/dubs/{job}/events", headers=ann)
        api.service.store.cancel(other)
        bobs = await api.client.get(f"/v1/dubs/{other}/events", headers=bob)
        api.service.store.cancel(job)
        await first
        third = await api.client.get(f"/v1/dubs/{job}/events", headers=ann)
        return second, bobs, third

    second, bobs, third = asyncio.run(go())
    assert second.status_code == 429 and second.json()["error"]["code"] == "too_many_streams"
    assert bobs.status_code == third.status_code == 200


@pytest.mark.parametrize("job", ["j" + "a" * 26])
def test_events_of_no_job_are_404(api, job):
    assert asyncio.run(api.client.get(f"/v1/dubs/{job}/events")).status_code == 404
