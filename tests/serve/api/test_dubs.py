"""A dub from the request to its deletion, with a test as the driver."""

from __future__ import annotations

import asyncio
import json

import pytest

from serve.config import ApiConfig, LimitsConfig
from tests.serve.api.service import finish, take

KEY = {"Idempotency-Key": "take 7"}


def run(coroutine):
    return asyncio.run(coroutine)


def test_a_dub_is_accepted_stored_and_given_links(api, parts):
    async def go():
        answer = await api.client.post(
            "/v1/dubs", files=parts(photo=True), data={"options": '{"speaker": "photo", "fps": 25}'}
        )
        assert answer.status_code == 202, answer.text
        body = answer.json()
        assert body["state"] == "queued"
        assert body["links"]["video"] == f"/v1/dubs/{body['id']}/video"
        return body["id"]

    job = run(go())
    request = take(api.service, job).request
    assert request.owner == "local" and request.options == {"speaker": "photo", "fps": "25"}
    assert request.inputs["photo"]["file_name"] == "ann.png"
    assert api.service.nudges == 1 and api.left_over() == []


def test_the_inputs_of_a_job_are_the_bytes_that_were_sent(api, parts, tmp_path):
    sent = parts()
    job = run(api.client.post("/v1/dubs", files=sent)).json()["id"]
    take(api.service, job).fetch(tmp_path / "fetched")
    for name in ("video", "speech"):
        (found,) = (tmp_path / "fetched").rglob(name)
        assert found.read_bytes() == sent[name][1]


def test_progress_and_report_are_shown_and_the_owner_is_not(api, parts, tmp_path):
    async def go():
        job = (await api.client.post("/v1/dubs", files=parts())).json()["id"]
        finish(api.service, job, tmp_path)
        return (await api.client.get(f"/v1/dubs/{job}")).json()

    view = run(go())
    (listed,) = run(api.client.get("/v1/dubs")).json()["jobs"]
    assert listed == {**view, "report": None}
    assert view["state"] == "done" and view["report"] == {"frames": {"synthesized": 2}}
    assert view["progress"] == [{"stage": "rendering", "done": 1, "total": 2, "unit": "frame"}]
    assert "owner" not in view and view["files"]["video"] == 10
    assert json.loads(api.audit().splitlines()[-1])["event"] == "ended"


def test_the_same_key_is_the_same_job_and_another_body_with_it_is_refused(api, parts):
    async def go():
        first = await api.client.post("/v1/dubs", files=parts(), headers=KEY)
        renamed = {**parts(), "video": ("other.mp4", parts()["video"][1], "video/mp4")}
        again = await api.client.post("/v1/dubs", files=renamed, headers=KEY)
        other = await api.client.post("/v1/dubs", files=parts(), data={"options": '{"crf": 3}'}, headers=KEY)
        return first, again, other

    first, again, other = run(go())
    assert again.status_code == 202 and again.json()["id"] == first.json()["id"]
    assert other.status_code == 409 and other.json()["error"]["code"] == "idempotency_conflict"
    assert api.service.nudges == 1 and api.service.store.num_open() == 1
    events = [json.loads(line)["event"] for line in api.audit().splitlines()]
    assert events == ["accepted", "repeated", "refused"]
    assert api.left_over() == []


def test_two_requests_with_one_key_at_once_make_one_job(api, parts):
    async def go():
        posts = (api.client.post("/v1/dubs", files=parts(), headers=KEY) for _ in range(2))
        return await asyncio.gather(*posts)

    first, second = run(go())
    assert first.json()["id"] == second.json()["id"] and api.service.store.num_open() == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "\x7f"])
def test_an_idempotency_key_is_short_and_printable(api, parts, key):
    answer = run(api.client.post("/v1/dubs", files=parts(), headers={"Idempotency-Key": key}))
    assert answer.status_code == 422 and "Idempotency-Key" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sped": 1}, "options.sped"),
        ({"speaker": "photo:/etc/passwd"}, "options.speaker"),
        ({"speaker": "photo:me.jpg"}, "options.speaker"),
        ({"speaker": "photo"}, "photo"),
        ({"crf": 52}, "options.crf"),
        ({"crf": "18"}, "options.crf"),
        ({"fps": "1e9"}, "options.fps"),
        ({"fps": "1/0"}, "options.fps"),
        ({"fps": 121}, "options.fps"),
        ({"spans_s": [[2, 1]]}, "spans_s"),
        ({"spans_s": [[0, 1]] * 101}, "options.spans_s"),
        ({"max_yaw_deg": 181}, "options.max_yaw_deg"),
        ({"device": "cuda:7"}, "options.device"),
        ("[1]", "options"),
        ("{", "options"),
        ('{"max_yaw_deg": NaN}', "options"),
    ],
)
def test_options_are_checked_strictly_and_the_wrong_one_is_named(api, parts, options, named):
    text = options if isinstance(options, str) else json.dumps(options)
    answer = run(api.client.post("/v1/dubs", files=parts(), data={"options": text}))
    assert answer.status_code == 422 and named in answer.json()["error"]["message"], answer.text
    assert api.left_over() == [] and api.service.store.num_open() == 0


def test_a_photo_that_nobody_asked_for_is_refused(api, parts):
    answer = run(api.client.post("/v1/dubs", files=parts(photo=True)))
    assert answer.status_code == 422 and "photo" in answer.json()["error"]["message"]


def test_a_callback_goes_only_to_hosts_that_are_allowed(api, parts):
    for url in ("https://evil.example/x", "http://localhost/x", "file:///etc/passwd"):
        answer = run(api.client.post("/v1/dubs", files=parts(), data={"callback_url": url}))
        assert answer.status_code == 422 and answer.json()["error"]["code"] == "callback_not_allowed"


def test_the_list_holds_the_callers_newest_jobs(api, parts):
    async def go():
        sent = [(await api.client.post("/v1/dubs", files=parts())).json()["id"] for _ in range(2)]
        return sent, (await api.client.get("/v1/dubs")).json()["jobs"]

    sent, listed = run(go())
    assert {job["id"] for job in listed} == set(sent)


def test_delete_cancels_an_open_job_and_then_deletes_it(api, parts):
    async def go():
        job = (await api.client.post("/v1/dubs", files=parts())).json()["id"]
        claim = take(api.service, job)
        cancelled = await api.client.delete(f"/v1/dubs/{job}")
        assert cancelled.status_code == 200 and cancelled.json()["state"] == "cancelled"
        assert not claim.finish("done")
        assert (await api.client.get(f"/v1/dubs/{job}/video")).json()["error"]["code"] == "no_result"
        deleted = await api.client.delete(f"/v1/dubs/{job}")
        assert deleted.status_code == 204 and deleted.content == b""
        assert (await api.client.get(f"/v1/dubs/{job}")).status_code == 404
        assert (await api.client.delete(f"/v1/dubs/{job}")).status_code == 404

    run(go())
    assert [json.loads(line)["event"] for line in api.audit().splitlines()] == [
        "accepted",
        "cancelled",
        "deleted",
    ]


def test_a_job_that_ends_while_it_is_cancelled_is_shown_and_stays_until_it_is_deleted(
    api, parts, tmp_path, monkeypatch
):
    cancel = api.service.store.cancel

    def too_late(job: str):
        finish(api.service, job, tmp_path)
        return cancel(job)

    monkeypatch.setattr(api.service.store, "cancel", too_late)

    async def go():
        job = (await api.client.post("/v1/dubs", files=parts())).json()["id"]
        for path in (f"/v1/dubs/{job}", f"/v1/dubs/{job}?keep_ended=true"):
            answer = await api.client.delete(path)
            assert answer.status_code == 200 and answer.json()["state"] == "done"
            assert (await api.client.get(f"/v1/dubs/{job}/video")).content == b"0123456789"
        assert (await api.client.delete(f"/v1/dubs/{job}")).status_code == 204

    run(go())
    events = [json.loads(line)["event"] for line in api.audit().splitlines()]
    assert events == ["accepted", "ended", "deleted"]


def test_a_job_that_is_deleted_while_it_is_cancelled_is_404(api, parts, monkeypatch):
    cancel = api.service.store.cancel

    def too_late(job: str):
        cancel(job)
        api.service.store.delete(job)
        return cancel(job)

    monkeypatch.setattr(api.service.store, "cancel", too_late)

    async def go():
        job = (await api.client.post("/v1/dubs", files=parts())).json()["id"]
        return await api.client.delete(f"/v1/dubs/{job}")

    answer = run(go())
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"


def test_jobs_of_others_do_not_exist(make_api, parts, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("ann ann-token-0123456789\nbob bob-token-0123456789\n")
    api = make_api(api=ApiConfig(scratch=str(tmp_path / "scratch"), tokens_file=str(tokens)))
    ann = {"Authorization": "Bearer ann-token-0123456789"}
    bob = {"Authorization": "Bearer bob-token-0123456789"}

    async def go():
        job = (await api.client.post("/v1/dubs", files=parts(), headers=ann)).json()["id"]
        paths = ["", "/events", "/video", "/report", "/maps", "/stream"]
        for path in paths:
            answer = await api.client.get(f"/v1/dubs/{job}{path}", headers=bob)
            assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"
        assert (await api.client.delete(f"/v1/dubs/{job}", headers=bob)).status_code == 404
        assert (await api.client.get("/v1/dubs", headers=bob)).json() == {"jobs": []}
        assert (await api.client.get(f"/v1/dubs/{job}", headers=ann)).json()["state"] == "queued"
        return job

    run(go())


def test_one_job_too_many_is_refused_before_its_body_and_a_repetition_is_not(make_api, parts):
    api = make_api(limits=LimitsConfig(open_jobs_per_token=1, probe_s=20))

    async def go():
        first = await api.client.post("/v1/dubs", files=parts(), headers=KEY)
        second = await api.client.post("/v1/dubs", files=parts())
        again = await api.client.post("/v1/dubs", files=parts(), headers=KEY)
        return first, second, again

    first, second, again = run(go())
    assert second.status_code == 429 and second.json()["error"]["code"] == "too_many_jobs"
    assert int(second.headers["Retry-After"]) >= 1 and second.headers["Connection"] == "close"
    assert again.status_code == 202 and again.json()["id"] == first.json()["id"]


def test_uploads_under_way_count_as_jobs(make_api, parts):
    api = make_api(limits=LimitsConfig(open_jobs=2, probe_s=20))

    async def go():
        posts = (api.client.post("/v1/dubs", files=parts()) for _ in range(6))
        return [answer.status_code for answer in await asyncio.gather(*posts)]

    statuses = run(go())
    assert set(statuses) == {202, 429} and statuses.count(202) <= 2
    assert api.service.store.num_open() == statuses.count(202)


def test_a_storage_that_is_down_is_told_as_such(api, parts, tmp_path):
    (tmp_path / "jobs").write_text("not a folder")
    answer = run(api.client.post("/v1/dubs", files=parts()))
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "storage_unavailable"
    assert str(tmp_path) not in answer.text and "Retry-After" in answer.headers
    assert api.left_over() == []
