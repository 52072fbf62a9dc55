"""Inputs by URL: only out of the folders and from the hosts that are allowed, within size and time."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from segtalker import storage
from serve.addresses import INTERNET, Network
from serve.api.errors import ApiError
from serve.api.inputs import Fetcher, is_under
from serve.config import InputsConfig, LimitsConfig
from tests.serve.api.service import take
from tests.serve.https_server import HOST, https_server  # noqa: F401 - a fixture

PREFIXES = ("s3://bucket/ok/", "s3://media-b/takes")


@pytest.mark.parametrize(
    "url", ["s3://bucket/ok/a.mp4", "s3://bucket/ok/deep/er/a b.mp4", "s3://media-b/takes/ünï.wav"]
)
def test_objects_below_an_allowed_folder_are_taken(url):
    assert is_under(url, PREFIXES)


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/ok",
        "s3://bucket/ok/",
        "s3://bucket/okay/a.mp4",
        "s3://bucket/ok/../other/a.mp4",
        "s3://bucket/ok/./a.mp4",
        "s3://bucket/ok//a.mp4",
        "s3://bucket/ok/%2e%2e/other",
        "s3://bucket/ok/a.mp4?versionId=1",
        "s3://bucket/ok/a*.mp4",
        "s3://bucket/ok/[a].mp4",
        "s3://bucket/ok/a::file:///etc/passwd",
        "s3://bucket/ok/a\n.mp4",
        "s3://bucket/ok/a\x00.mp4",
        "s3://bucket/ok/..\\other",
        "s3://media-b/takes2/a.wav",
        "s3://BUCKET/ok/a.mp4",
        "s3://other/ok/a.mp4",
        "s3:/bucket/ok/a.mp4",
    ],
)
def test_what_is_not_plainly_below_an_allowed_folder_is_refused(url):
    assert not is_under(url, PREFIXES)


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/ok/../other/a.mp4",
        "https://evil.example/a.mp4",
        "https://127.0.0.1/a.mp4",
        "https://[::1]/a.mp4",
        f"https://ann:secret@{HOST}/a.mp4",
        f"https://{HOST}:8443/a.mp4",
        f"https://{HOST}.evil.example/a.mp4",
        "https://169.254.169.254/latest/meta-data",
    ],
)
def test_a_request_that_names_a_place_outside_is_422_and_nothing_is_fetched(make_api, url):
    api = make_api(inputs=InputsConfig(s3_prefixes=PREFIXES, https_hosts=(HOST,)))
    body = {"video": "s3://bucket/ok/fine.mp4", "speech": url}
    answer = asyncio.run(api.client.post("/v1/dubs", json=body))
    assert answer.status_code == 422 and answer.json()["error"]["code"] == "input_not_allowed"
    assert answer.json()["error"]["message"].startswith("speech: ") and api.left_over() == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://x.example/a", "/etc/passwd", "ftp://x/y", "s3://x y"]
)
def test_other_kinds_of_addresses_do_not_pass_the_schema(api, url):
    answer = asyncio.run(api.client.post("/v1/dubs", json={"video": url, "speech": url}))
    assert answer.status_code == 422 and answer.json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("body", "named"),
    [("{", "JSON"), ("[]", "body"), ("{}", "video"), ('{"video": 1, "speech": 2, "sped": 3}', "sped")],
)
def test_a_json_body_is_checked_strictly(api, body, named):
    answer = asyncio.run(
        api.client.post("/v1/dubs", content=body, headers={"Content-Type": "application/json"})
    )
    assert answer.status_code == 422 and named in answer.json()["error"]["message"], answer.text


def test_a_json_body_is_small(api):
    body = json.dumps({"video": "x" * 70_000})
    answer = asyncio.run(
        api.client.post("/v1/dubs", content=body, headers={"Content-Type": "application/json"})
    )
    assert answer.status_code == 413
    assert answer.json()["error"]["message"] == (
        f"The request has {len(body) / 1e3:g} kB, and the limit is 65.536 kB of JSON; send less."
    )


def test_nothing_is_allowed_by_default(api):
    body = {"video": "s3://bucket/ok/a.mp4", "speech": f"https://{HOST}/a.wav"}
    answer = asyncio.run(api.client.post("/v1/dubs", json=body))
    assert answer.status_code == 422 and answer.json()["error"]["code"] == "input_not_allowed"


def test_a_dub_is_made_of_objects_in_a_bucket(make_api, s3_server, media, tmp_path):
    folder = f"s3://{s3_server.bucket}/inputs"
    for name in ("video.mp4", "speech.wav"):
        storage.put_file(media / name, f"{folder}/{name}")
    api = make_api(inputs=InputsConfig(s3_prefixes=(f"{folder}/",)))
    body = {"video": f"{folder}/video.mp4", "speech": f"{folder}/speech.wav", "options": {"crf": 30}}
    answer = asyncio.run(api.client.post("/v1/dubs", json=body))
    assert answer.status_code == 202, answer.text
    claim = take(api.service, answer.json()["id"])
    assert claim.request.inputs["video"]["file_name"] == "video.mp4"
    claim.fetch(tmp_path / "got")
    (video,) = (tmp_path / "got").rglob("video")
    assert video.read_bytes() == (media / "video.mp4").read_bytes() and api.left_over() == []


def test_an_object_that_is_missing_is_told_without_what_the_bucket_said(make_api, s3_server):
    folder = f"s3://{s3_server.bucket}/inputs/"
    api = make_api(inputs=InputsConfig(s3_prefixes=(folder,)))
    body = {"video": folder + "none.mp4", "speech": folder + "none.wav"}
    answer = asyncio.run(api.client.post("/v1/dubs", json=body))
    assert answer.status_code == 422 and answer.json()["error"]["code"] == "input_unavailable"
    assert "127.0.0.1" not in answer.text and "rights" in answer.text


def test_objects_together_keep_to_the_size_of_a_request(s3_server, tmp_path):
    folder = f"s3://{s3_server.bucket}/big"
    for name in ("a", "b"):
        storage.write_bytes(f"{folder}/{name}", bytes(600_000))
    fetcher = Fetcher(InputsConfig(s3_prefixes=(folder,)), LimitsConfig(upload_mb=1))
    with pytest.raises(ApiError) as refused:
        asyncio.run(fetcher.fetch({"video": f"{folder}/a", "speech": f"{folder}/b"}, tmp_path))
    assert refused.value.status == 413
    assert "The files have 1.2 MB or more, and the limit is 1 MB of files;" in refused.value.message


def test_a_bucket_that_is_slow_is_given_up(s3_server, tmp_path, monkeypatch):
    url = f"s3://{s3_server.bucket}/slow/a.mp4"
    storage.write_bytes(url, bytes(1000))
    read = storage.read_bytes

    def slowly(*where):
        time.sleep(0.3)
        return read(*where)

    monkeypatch.setattr(storage, "read_bytes", slowly)
    fetcher = Fetcher(InputsConfig(s3_prefixes=(url.rpartition("/")[0],), fetch_s=0.2), LimitsConfig())
    with pytest.raises(ApiError, match="video: takes too long to fetch") as refused:
        asyncio.run(fetcher.fetch({"video": url}, tmp_path))
    assert (refused.value.status, refused.value.code) == (422, "input_unavailable")


def fetch_web(network: Network, folder, limits=None, **knobs):
    fetcher = Fetcher(InputsConfig(https_hosts=(HOST,), **knobs), limits or LimitsConfig(), network)
    return asyncio.run(fetcher.fetch({"video": f"https://{HOST}/talk.mp4?sig=1"}, folder))["video"]


def test_a_file_of_an_allowed_host_is_fetched(https_server, tmp_path):  # noqa: F811
    upload = fetch_web(https_server.network, tmp_path)
    assert upload.path.read_bytes() == b"hello" and upload.file_name == "talk.mp4" and upload.num_bytes == 5


def respond(status, length=None, body=b"", **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_redirects_are_not_followed(https_server, tmp_path):  # noqa: F811
    https_server.answer = respond(302, Location="https://127.0.0.1/secret")
    with pytest.raises(ApiError, match="302"):
        fetch_web(https_server.network, tmp_path)
    assert len(https_server.requests) == 1 and list(tmp_path.glob("video")) == []


def test_a_file_that_is_too_large_is_refused_by_its_length_and_by_its_bytes(https_server, tmp_path):  # noqa: F811
    small = LimitsConfig(upload_mb=0.1)
    https_server.answer = respond(200, length=10**12)
    with pytest.raises(ApiError) as announced:
        fetch_web(https_server.network, tmp_path, small)

    def lie(handler):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(bytes(200_000))

    https_server.answer = lie
    with pytest.raises(ApiError) as counted:
        fetch_web(https_server.network, tmp_path / "..", small)
    assert announced.value.status == counted.value.status == 413


def test_a_host_that_leads_inside_is_refused(tmp_path):
    inside = Network(resolve=lambda host, port: ["10.0.0.7"], dial=INTERNET.dial, tls=INTERNET.tls)
    with pytest.raises(ApiError) as refused:
        fetch_web(inside, tmp_path)
    assert refused.value.code == "input_not_allowed" and "10.0.0.7" not in refused.value.message


def test_a_host_that_drips_is_given_up(https_server, tmp_path):  # noqa: F811
    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.1)

    https_server.answer = drip
    begun = time.monotonic()
    with pytest.raises(ApiError) as refused:
        fetch_web(https_server.network, tmp_path, fetch_s=0.5)
    assert refused.value.code == "input_unavailable" and time.monotonic() - begun < 8
