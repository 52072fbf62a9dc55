"""Bodies that are too large, too slow, malformed or broken off; and nothing is left of any."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from serve.config import LimitsConfig
from tests.serve.api.asgi import END, FORM, endless, part, pieces, send

SMALL = LimitsConfig(upload_mb=0.5, idle_s=0.2, upload_s=0.6, probe_s=20)
HEAD = part("video", b"")[:-2]


@pytest.fixture
def small(make_api):
    return make_api(limits=SMALL)


def refused(api, answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer
    assert api.left_over() == [] and api.service.store.num_open() == 0
    return True


def figures(answer) -> list[float]:
    """What was seen and what is allowed, in kB, as the refusal of files says."""
    told = re.fullmatch(
        r"The files have ([\d.]+) kB or more, and the limit is ([\d.]+) kB of files; .*", answer.message
    )
    assert told is not None, answer.message
    return [float(figure) for figure in told.groups()]


def test_a_body_without_end_is_refused_at_the_limit_and_the_rest_is_not_read(small):
    answer = asyncio.run(send(small.app, "/v1/dubs", endless(HEAD)))
    assert refused(small, answer, 413, "too_large")
    assert answer.pieces_read <= 2 + (0.5e6 + (256 << 10)) // (1 << 16)
    assert answer.headers["connection"] == "close"
    seen, limit = figures(answer)
    assert 500 < seen <= 500 + (1 << 16) / 1e3 and limit == 500


def test_files_just_beyond_the_limit_are_refused_and_at_it_they_pass(make_api, parts):
    files = parts()
    size = sum(len(content) for _, content, _ in files.values())

    def answer(limit: int):
        api = make_api(limits=LimitsConfig(upload_mb=limit / 1e6, probe_s=20))
        return asyncio.run(api.client.post("/v1/dubs", files=files))

    assert answer(size).status_code == 202
    refusal = answer(size - 1)
    assert refusal.status_code == 413
    assert refusal.json()["error"]["message"] == (
        f"The files have {size / 1e3:g} kB or more, and the limit is {(size - 1) / 1e3:g} kB of files; "
        "shorten or compress them."
    )


def test_a_length_beyond_the_limit_is_refused_without_reading_at_all(small):
    answer = asyncio.run(send(small.app, "/v1/dubs", endless(HEAD), content_length="1000000000"))
    assert refused(small, answer, 413, "too_large") and answer.pieces_read == 0
    assert "The request has 1000 MB, and the limit is 500 kB of files;" in answer.message


def test_a_pause_that_is_too_long_ends_the_request(small):
    begun = time.monotonic()
    answer = asyncio.run(send(small.app, "/v1/dubs", pieces(HEAD, b"x", pause_s=5)))
    assert refused(small, answer, 408, "too_slow")
    assert 0.2 <= time.monotonic() - begun < 4


def test_a_body_that_drips_is_ended_at_the_deadline_of_the_whole(small):
    begun = time.monotonic()
    answer = asyncio.run(send(small.app, "/v1/dubs", pieces(HEAD, *[b"x"] * 100, pause_s=0.05)))
    assert refused(small, answer, 408, "too_slow")
    assert 0.6 <= time.monotonic() - begun < 4


def test_a_caller_that_hangs_up_leaves_nothing_behind(small):
    answer = asyncio.run(send(small.app, "/v1/dubs", pieces(HEAD, bytes(200_000)), leave=True))
    assert refused(small, answer, 400, "client_gone")


def test_a_request_that_is_cancelled_by_the_server_leaves_nothing_behind(small):
    async def go():
        request = asyncio.ensure_future(
            send(small.app, "/v1/dubs", pieces(HEAD, bytes(9000), b"", pause_s=9))
        )
        while not any("video" in name for name in small.left_over()):
            assert not request.done()
            await asyncio.sleep(0.01)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(go())
    assert small.left_over() == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (part("video", b"x") + part("video", b"y") + END, 422, "repeated_part"),
        (part("movie", b"x") + END, 422, "unknown_part"),
        (part("../../etc/passwd", b"x") + END, 422, "unknown_part"),
        (part("video", b"x") + END, 422, "missing_part"),
        (part("options", b"x" * 70_000, file_name=None) + END, 413, "too_large"),
        (part("options", b"\xff", file_name=None) + END, 422, "invalid_request"),
        (part("video", b"x", f"X-Long: {'y' * 5000}") + END, 400, "malformed_multipart"),
        (part("video", b"x", *[f"X-{i}: y" for i in range(20)]) + END, 400, "malformed_multipart"),
        (part("video", b"x"), 400, "malformed_multipart"),
        (b"--wrong\r\n\r\n", 400, "malformed_multipart"),
        (b"", 400, "malformed_multipart"),
        (END, 422, "missing_part"),
    ],
)
def test_a_form_that_is_not_as_it_should_be_is_refused(small, body, status, code):
    assert refused(small, asyncio.run(send(small.app, "/v1/dubs", pieces(body))), status, code)


def test_a_form_has_few_parts(make_api, monkeypatch):
    api = make_api(limits=SMALL)
    monkeypatch.setattr("serve.api.uploads._MAX_PARTS", 2)
    for path, names in (
        ("/v1/dubs", ("video", "speech", *["reference"] * 9)),
        ("/v1/encode", ("image", "face", "face")),
    ):
        body = b"".join(part(name, b"1") for name in names) + END
        assert refused(api, asyncio.run(send(api.app, path, pieces(body))), 413, "too_many_parts")


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "multipart/mixed; boundary=frontier", "application/xml", ""]
)
def test_other_kinds_of_bodies_are_not_taken(small, kind):
    answer = asyncio.run(send(small.app, "/v1/dubs", pieces(END), content_type=kind))
    assert refused(small, answer, 415, "unsupported_media_type")


def test_a_boundary_that_is_too_long_is_refused(small):
    kind = f"multipart/form-data; boundary={'b' * 5000}"
    answer = asyncio.run(send(small.app, "/v1/dubs", pieces(END), content_type=kind))
    assert refused(small, answer, 400, "malformed_multipart")


def test_a_form_may_come_byte_by_byte(api, parts):
    body = b"".join(part(name, given[1]) for name, given in parts().items()) + END
    some = [body[i : i + 7] for i in range(0, len(body), 7)]
    answer = asyncio.run(send(api.app, "/v1/dubs", pieces(*some)))
    assert answer.status == 202, answer.body


def test_the_name_of_a_file_is_kept_for_people_and_never_used_as_a_path(api, parts):
    files = parts()
    body = part("video", files["video"][1], file_name="../../a\x07b.mp4") + part("speech", files["speech"][1])
    answer = asyncio.run(send(api.app, "/v1/dubs", pieces(body + END), content_type=FORM))
    assert answer.status == 202
    claim = api.service.store.claim(api.service.store.open_ids()[0], "a test")
    assert claim.request.inputs["video"]["file_name"] == "ab.mp4"


def test_files_of_a_killed_process_are_removed_at_the_next_start(make_api, tmp_path):
    import os

    api = make_api()
    (folder,) = (tmp_path / "scratch").iterdir()
    old, young = folder / "request-old", folder / "request-young"
    for path in (old, young):
        path.mkdir()
        (path / "video").write_bytes(b"x")
    os.utime(old, (0, 0))
    make_api()
    assert young.exists() and not old.exists() and api.service
