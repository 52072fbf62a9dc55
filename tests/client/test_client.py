import base64
import email.parser
import email.policy
import email.utils
import json
import subprocess
import sys
import time

import pytest

from segtalker.client import Client, Retries, ServiceError
from segtalker.errors import MediaError
from tests.client.asking import ACCEPTED, DONE, JOB, parts_of, running
from tests.client.playing import events, refuse, reply, reset, serve_file, silence


def test_a_dub_from_submission_to_files(script, inputs, tmp_path):
    script.on("POST", "/v1/dubs", ACCEPTED)
    script.on("GET", f"{JOB}/events", events(running(3, "analysing"), running(5), running(5), running(50)))
    script.on("GET", JOB, reply(DONE))
    script.on("GET", f"{JOB}/report", reply({"num_frames": 50}))
    script.on("GET", f"{JOB}/video", serve_file(b"film"))
    told = []
    client = Client(script.url + "/", token="secret")
    report = client.dub(*inputs, tmp_path / "out.mp4", on_progress=told.append, sync_mode="loop", crf=20)

    assert report == {"num_frames": 50} == json.loads((tmp_path / "out.report.json").read_text())
    assert (tmp_path / "out.mp4").read_bytes() == b"film"
    assert [(event.stage, event.done) for event in told] == [
        ("analysing", 3),
        ("rendering", 5),
        ("rendering", 50),
    ]
    request = script.of("POST", "/v1/dubs")[0]
    parts = parts_of(request)
    assert json.loads(parts["options"][1]) == {"sync_mode": "loop", "crf": 20}
    assert parts["video"] == ("a %22b%22.mp4", inputs[0].read_bytes())
    assert parts["speech"] == ("s.wav", b"sound") and set(parts) == {"options", "video", "speech"}
    assert all(heard.headers["Authorization"] == "Bearer secret" for heard in script.heard)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'a "b".mp4',
        "out.mp4",
        "out.report.json",
        "s.wav",
    ]


def test_a_submission_is_repeated_with_the_same_key_until_it_is_accepted(script, client, inputs):
    script.on("POST", "/v1/dubs", reset, refuse(500, "broken"), ACCEPTED)
    assert client.submit(*inputs).id == "j1"
    requests = script.of("POST", "/v1/dubs")
    assert len(requests) == 3 and len({request.headers["Idempotency-Key"] for request in requests}) == 1
    assert parts_of(requests[2])["video"][1] == inputs[0].read_bytes()
    client.submit(*inputs)
    assert script.heard[-1].headers["Idempotency-Key"] != requests[0].headers["Idempotency-Key"]
    client.submit(*inputs, key="mine")
    assert script.heard[-1].headers["Idempotency-Key"] == "mine"


@pytest.mark.parametrize("bad", [reset, refuse(500, "it broke inside"), silence])
def test_no_more_attempts_than_allowed(script, inputs, bad):
    client = Client(script.url, timeout_s=0.2, retries=Retries(errors=2, first_wait_s=0.01))
    script.on("POST", "/v1/dubs", bad)
    with pytest.raises(ServiceError, match=f"it broke inside|{script.url}/v1/dubs: no answer"):
        client.submit(*inputs)
    assert len(script.heard) == 3


def test_a_busy_service_is_asked_again_when_it_says(script, client, inputs):
    soon = email.utils.formatdate(time.time() + 1, usegmt=True)
    busy = [refuse(429, "too many", Retry_After="0")] * 4  # more than the errors that are put up with
    script.on("POST", "/v1/dubs", *busy, refuse(503, "starting", Retry_After=soon), ACCEPTED)
    assert client.submit(*inputs).id == "j1"
    assert len(script.heard) == 6


def test_nothing_is_waited_for_beyond_the_time_that_a_client_has(script, client, inputs):
    script.on("POST", "/v1/dubs", refuse(429, "at most 5 open jobs. Wait for one.", Retry_After="60"))
    start = time.monotonic()
    with pytest.raises(ServiceError, match="at most 5 open jobs. Wait for one.") as caught:
        client.submit(*inputs)
    assert (caught.value.status, caught.value.code) == (429, "test")
    assert time.monotonic() - start < 10 and len(script.heard) == 1


def test_a_refusal_is_the_sentence_of_the_service_at_once(script, client, inputs):
    script.on("POST", "/v1/dubs", refuse(422, "speech: holds no sound. Send another file."))
    with pytest.raises(ServiceError, match=r"^speech: holds no sound. Send another file.$") as caught:
        client.submit(*inputs)
    assert caught.value.status == 422 and len(script.heard) == 1
    with pytest.raises(ServiceError, match="no such thing"):
        client.job("../x").view()
    assert script.heard[-1].path == "/v1/dubs/..%2Fx"


def test_an_answer_before_the_end_of_the_upload_is_heard(script, client, tmp_path):
    (tmp_path / "big.mp4").write_bytes(bytes(20_000_000))

    def too_large(handler):
        refuse(413, "video: more than 1 MB. Send a shorter clip.")(handler)

    too_large.early = True
    script.on("POST", "/v1/dubs", too_large)
    with pytest.raises(ServiceError, match="413|more than 1 MB"):
        client.submit(tmp_path / "big.mp4", tmp_path / "big.mp4")


def test_other_programs_on_the_port_are_named(script, client, inputs):
    script.on("POST", "/v1/dubs", reply(b"<html>hello"))
    with pytest.raises(ServiceError, match="answered no JSON"):
        client.submit(*inputs)
    script.on("GET", "/v1/models", reply(b"<html>gone", status=410))
    with pytest.raises(ServiceError, match="/v1/models: answered 410"):
        client.models()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ServiceError, match="not the address of a service"):
        Client(url)


def test_files_that_cannot_be_read_are_named_before_anything_is_sent(script, client, inputs, tmp_path):
    with pytest.raises(MediaError, match="absent.wav: cannot read it"):
        client.submit(inputs[0], tmp_path / "absent.wav")
    with pytest.raises(MediaError, match="no such folder"):
        client.dub(*inputs, tmp_path / "absent" / "out.mp4")
    with pytest.raises(ServiceError, match="or all as files"):
        client.submit("s3://bucket/a.mp4", inputs[1])
    assert not script.heard


def test_addresses_are_sent_as_json(script, client):
    script.on("POST", "/v1/dubs", ACCEPTED)
    client.submit("s3://b/v.mp4", "https://h/s.wav", callback_url="https://h/done", speaker="index:1")
    assert json.loads(script.heard[0].body) == {
        "video": "s3://b/v.mp4",
        "speech": "https://h/s.wav",
        "options": {"speaker": "index:1"},
        "callback_url": "https://h/done",
    }


def test_single_pictures_travel_as_they_are(script, client, tmp_path):
    (tmp_path / "face.png").write_bytes(b"picture")
    face = {"box": [0, 0, 9, 9], "score": 0.9, "region_map": base64.b64encode(b"map").decode()}
    codes = {"shape": [12, 2, 4], "dtype": "float32", "codes": "AAAA"}
    script.on("POST", "/v1/parse", reset, reply({"width": 9, "height": 9, "faces": [face]}))
    script.on("POST", "/v1/encode", reply(codes))
    script.on("POST", "/v1/render", reply(b"rendered"))
    assert client.parse(tmp_path / "face.png")["faces"][0]["region_map"] == b"map"
    assert client.encode(tmp_path / "face.png", face=1) == codes
    assert client.render(b"map", codes) == b"rendered"
    assert parts_of(script.heard[1])["image"] == ("face.png", b"picture")
    assert parts_of(script.heard[2])["face"] == (None, b"1")
    sent = parts_of(script.heard[3])
    assert sent["map"][1] == b"map" and json.loads(sent["codes"][1]) == codes


def test_uploads_are_not_held_in_memory(script, tmp_path):
    (tmp_path / "big.mp4").write_bytes(bytes(64 << 20))
    swallowed = []

    def swallow(handler):
        left = int(handler.headers["Content-Length"])
        while left:
            left -= len(handler.rfile.read(min(left, 1 << 20)))
        swallowed.append(True)
        ACCEPTED(handler)

    swallow.early = True
    script.on("POST", "/v1/dubs", swallow)
    code = (
        "import resource, sys; from segtalker.client import Client; c = Client(sys.argv[1]);"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024; before = peak();"
        "c.submit(sys.argv[2], sys.argv[2]); print(peak() - before); "
        "print(sorted({'torch', 'numpy', 'av', 'requests', 'httpx'} & set(sys.modules)))"
    )
    line = [sys.executable, "-c", code, script.url, str(tmp_path / "big.mp4")]
    out = subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()
    assert swallowed and int(out[0]) < 20 and out[1] == "[]"
