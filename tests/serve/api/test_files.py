"""Results by range, as players ask for them."""

from __future__ import annotations

import asyncio

import pytest

from serve.api.errors import ApiError
from serve.api.files import byte_range
from tests.serve.api.service import finish

FILM = bytes(range(100))


@pytest.fixture
def job(api, parts, tmp_path):
    job = asyncio.run(api.client.post("/v1/dubs", files=parts())).json()["id"]
    finish(api.service, job, tmp_path, FILM)
    return job


def get(api, path, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(api.client.get(path, headers=named))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=95-1000", (95, 100)),
        (" bytes=0-0 ", (0, 1)),
        ("bytes=9-0", None),
        ("bytes=0-1,5-6", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=\u0661-2", None),
        ("items=0-9", None),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)
def test_a_range_is_read_as_the_standard_says(header, expected):
    assert byte_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=500-600", "bytes=-0"])
def test_a_range_past_the_end_cannot_be_answered(header):
    with pytest.raises(ApiError) as refused:
        byte_range(header, 100)
    assert refused.value.status == 416 and refused.value.headers == {"Content-Range": "bytes */100"}


def test_a_whole_result_says_that_it_can_be_had_in_parts(api, job):
    answer = get(api, f"/v1/dubs/{job}/video")
    assert answer.status_code == 200 and answer.content == FILM
    assert answer.headers["Content-Type"] == "video/mp4" and answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Length"] == "100" and job in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("header", "content", "told"),
    [
        ("bytes=10-19", FILM[10:20], "bytes 10-19/100"),
        ("bytes=-5", FILM[-5:], "bytes 95-99/100"),
        ("bytes=99-", FILM[99:], "bytes 99-99/100"),
    ],
)
def test_a_part_of_a_result_is_206(api, job, header, content, told):
    answer = get(api, f"/v1/dubs/{job}/video", Range=header)
    assert answer.status_code == 206 and answer.content == content
    assert answer.headers["Content-Range"] == told and answer.headers["Content-Length"] == str(len(content))


def test_a_part_that_is_not_there_is_416_in_the_shape_of_all_errors(api, job):
    answer = get(api, f"/v1/dubs/{job}/video", Range="bytes=100-")
    assert answer.status_code == 416 and answer.headers["Content-Range"] == "bytes */100"
    assert answer.json()["error"]["code"] == "range_not_satisfiable"


def test_a_caller_that_has_it_is_told_so_and_if_range_asks_for_the_same_file(api, job):
    path = f"/v1/dubs/{job}/video"
    etag = get(api, path).headers["ETag"]
    assert get(api, path, If_None_Match=f'"other", W/{etag}').status_code == 304
    assert get(api, path, If_None_Match='"other"').status_code == 200
    assert get(api, path, Range="bytes=0-0", If_Range=etag).status_code == 206
    assert get(api, path, Range="bytes=0-0", If_Range='"other"').status_code == 200


def test_the_report_is_json_and_maps_are_only_there_if_asked_for(api, job):
    report = get(api, f"/v1/dubs/{job}/report")
    assert report.json() == {"frames": {"synthesized": 2}}
    assert report.headers["Content-Type"] == "application/json"
    maps = get(api, f"/v1/dubs/{job}/maps")
    assert maps.status_code == 404 and "maps" in maps.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["video", "report", "maps"])
def test_a_result_of_an_open_job_is_not_ready(api, parts, kind):
    job = asyncio.run(api.client.post("/v1/dubs", files=parts())).json()["id"]
    answer = get(api, f"/v1/dubs/{job}/{kind}")
    assert answer.status_code == 409 and answer.json()["error"]["code"] == "not_ready"


def test_a_result_of_many_blocks_is_whole(api, parts, tmp_path):
    job = asyncio.run(api.client.post("/v1/dubs", files=parts())).json()["id"]
    film = bytes(range(256)) * 10_000
    finish(api.service, job, tmp_path, film)
    assert get(api, f"/v1/dubs/{job}/video").content == film
    part = get(api, f"/v1/dubs/{job}/video", Range="bytes=1000000-2200000")
    assert part.content == film[1_000_000:2_200_001]
