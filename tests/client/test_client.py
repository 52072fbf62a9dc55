import base64
import email.parser
import email.policy
import email.utils
import json
import subprocess
import sys
import threading
import time

import pytest

from segtalker.client import Client, Retries, ServiceError
from segtalker.errors import MediaError
from tests.client.playing import events, playing, refuse, reply, reset, serve_file, silence

JOB = "/v1/dubs/j1"
ACCEPTED = reply({"id": "j1", "state": "queued", "links": {}}, 202)
DONE = {"id": "j1", "state": "done", "progress": [], "error": None, "files": {"video": 3, "report": 2}}


@pytest.fixture
def script():
    with playing() as script:
        yield script


@pytest.fixture
def client(script):
    return Client(script.url, timeout_s=2, retries=Retries(errors=2, within_s=3, first_wait_s=0.01))


@pytest.fixture
def inputs(tmp_path):
    video, speech = tmp_path / 'a "b".mp4', tmp_path / "s.wav"
    video.write_bytes(bytes(range(256)) * 3000)
    speech.write_bytes(b"sound")
    return video, speech


def running(done, stage="rendering"):
    earlier = [] if stage == "analysing" else [{"stage": "analysing", "done": 9, "total": 9, "unit": "frame"}]
    latest = {"stage": stage, "done": done, "total": 50, "unit": "frame"}
    return {"id": "j1", "state": "running", "progress": [*earlier, latest]}


def parts_of(request):
    """Name -> (file name, content) of a multipart request, read by the standard library."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    return {
        part.get_param("name", header="content-disposition"): (
            part.get_filename(),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    }


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
    assert time.monotonic() - start < 1 and len(script.heard) == 1


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


def test_waiting_ends_when_its_time_is_over(script, client):
    def slow(handler):
        events(running(1), ends=False)(handler)
        handler.wfile.flush()
        silence(handler)

    script.on("GET", f"{JOB}/events", slow)
    script.on("GET", JOB, reply(running(1)))
    start = time.monotonic()
    with pytest.raises(ServiceError, match="has not ended within 0.4 s"):
        client.job("j1").wait(timeout_s=0.4)
    assert time.monotonic() - start < 1.5


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
    script.on("GET", JOB, reply(running(3)), reply(cancelled))
    script.on("DELETE", JOB, reset)  # the job was cancelled, the answer was lost
    assert client.job("j1").cancel()["state"] == "cancelled"
    assert len(script.of("DELETE", JOB)) == 1
    assert client.job("j1").cancel()["state"] == "cancelled"
    assert len(script.of("DELETE", JOB)) == 1


def test_a_job_is_deleted_once_it_has_ended(script, client):
    script.on("GET", JOB, reply(DONE))
    script.on("DELETE", JOB, reset, refuse(404, "no such job"))
    client.job("j1").delete()
    assert len(script.of("DELETE", JOB)) == 2


def test_an_interrupted_dub_is_cancelled(script, client, inputs, tmp_path):
    script.on("POST", "/v1/dubs", ACCEPTED)
    script.on("GET", f"{JOB}/events", events(running(1)))
    script.on("GET", JOB, reply(running(1)), reply({**DONE, "state": "cancelled"}))
    script.on("DELETE", JOB, reply(DONE))

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.dub(*inputs, tmp_path / "out.mp4", on_progress=interrupt)
    assert len(script.of("DELETE", JOB)) == 1
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
