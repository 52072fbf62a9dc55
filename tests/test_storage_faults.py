"""A store that refuses, fails, hangs or cuts: it is tried again or ends in one line, never by half."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from segtalker import storage
from segtalker.errors import StorageError
from tests.s3 import Fault, FaultyS3, S3Server, answers, reach_s3

pytestmark = pytest.mark.slow
PART_BYTES = 50 << 20  # s3fs uploads in parts of this size what has two of them


def is_part(method: str, path: str) -> bool:
    return method == "PUT" and "partNumber=" in path


@pytest.fixture(scope="module")
def big_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a checkpoint: a small file and one that is uploaded in parts."""
    folder = tmp_path_factory.mktemp("checkpoint")
    (folder / "config.yaml").write_text("a: 1\n")
    with (folder / "state.pt").open("wb") as file:
        file.truncate(2 * PART_BYTES + 1)
    return folder


@pytest.fixture
def place(faulty_s3: FaultyS3) -> str:
    """An empty prefix behind the proxy."""
    return f"s3://{faulty_s3.server.bucket}/{os.urandom(8).hex()}"


def fails(action: Callable[[], object], pattern: str) -> None:
    """The action ends in one clear line."""
    with pytest.raises(StorageError) as caught:
        action()
    text = str(caught.value)
    assert re.search(pattern, text) and "\n" not in text and len(text) < 400, text


@pytest.mark.parametrize("status, code", [(403, "AccessDenied"), (500, "InternalError")])
def test_a_part_that_cannot_be_uploaded_fails_the_folder_and_nothing_of_it_counts(
    faulty_s3, place, big_folder, tmp_path, status, code
):
    faulty_s3.rule = lambda method, path: answers(status, code) if is_part(method, path) else None
    fails(lambda: storage.put_folder(big_folder, place), rf"state\.pt: cannot write it \({code}\)")
    faulty_s3.rule = lambda method, path: None
    assert not storage.is_sealed(place) and storage.list_files(place) == ["config.yaml"]
    fails(lambda: storage.fetch_folder(place, tmp_path / "copy"), "the folder was never completed")
    assert not (tmp_path / "copy").exists()


def test_a_part_that_fails_for_a_while_is_uploaded_again(faulty_s3, place, big_folder, tmp_path):
    # One failure a part: parts are sent at once, and two failures of the same one use up its attempts.
    failures = {"1": answers(500, "InternalError"), "2": answers(503, "SlowDown")}

    def rule(method: str, path: str) -> Fault | None:
        number = re.search(r"partNumber=(\d+)", path)
        return failures.pop(number[1], None) if method == "PUT" and number else None

    faulty_s3.rule = rule
    storage.put_folder(big_folder, place)
    assert failures == {}
    storage.fetch_folder(place, tmp_path / "copy")
    assert (tmp_path / "copy" / "state.pt").stat().st_size == 2 * PART_BYTES + 1


def test_an_earlier_folder_does_not_pass_for_the_one_whose_upload_failed(faulty_s3, place, big_folder):
    storage.write_bytes(storage.join(place, "config.yaml"), b"a: 0\n")
    storage.seal_folder(place)
    faulty_s3.rule = lambda method, path: answers(403, "AccessDenied") if is_part(method, path) else None
    fails(lambda: storage.put_folder(big_folder, place), r"state\.pt: cannot write it")
    faulty_s3.rule = lambda method, path: None
    fails(lambda: storage.verify_folder(place), "never completed")


@pytest.mark.parametrize("size", [1_000_000, 30_000_000], ids=["small", "in ranges"])
def test_a_download_that_is_cut_off_leaves_no_file(faulty_s3, place, tmp_path, monkeypatch, size):
    import s3fs

    name = storage.join(place, "x.bin")
    storage.write_bytes(name, bytes(size))
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 2)  # of five, with longer and longer pauses
    s3fs.S3FileSystem.clear_instance_cache()
    faulty_s3.rule = lambda method, path: Fault("cut") if method == "GET" else None
    fails(lambda: storage.get_file(name, tmp_path / "x.bin"), r"x\.bin: cannot fetch it \(.*not completed")
    fails(lambda: storage.read_bytes(name), r"x\.bin: cannot read it")
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_cut_off_once_is_read_again(faulty_s3, place, tmp_path):
    name, data = storage.join(place, "x.bin"), os.urandom(1_000_000)
    storage.write_bytes(name, data)
    failures = [Fault("cut"), Fault("cut")]
    faulty_s3.rule = lambda method, path: failures.pop() if failures and method == "GET" else None
    storage.get_file(name, tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == data and failures == []


def test_an_object_that_was_truncated_in_the_bucket_is_never_fetched(faulty_s3, place, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "w.bin").write_bytes(bytes(1000))
    storage.put_folder(tmp_path / "made", place)
    storage.write_bytes(storage.join(place, "w.bin"), bytes(999))
    pattern = r"w\.bin: not the file that was sealed \(999 of 1000 bytes\)"
    fails(lambda: storage.fetch_folder(place, tmp_path / "copy"), pattern)
    assert not (tmp_path / "copy").exists()


def test_a_store_that_does_not_answer_is_given_up(faulty_s3, place, monkeypatch):
    import s3fs

    name = storage.join(place, "x.bin")
    storage.write_bytes(name, b"x")
    # The limits of s3fs are 15 s and five attempts: the same course with less waiting.
    monkeypatch.setattr(s3fs.S3FileSystem, "read_timeout", 0.3)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 2)
    s3fs.S3FileSystem.clear_instance_cache()
    faulty_s3.requests.clear()
    faulty_s3.rule = lambda method, path: Fault("stall", stall_s=5) if method in ("GET", "HEAD") else None
    fails(lambda: storage.read_bytes(name), r"x\.bin: cannot read it \(.*[Tt]imeout")
    assert len(faulty_s3.requests) > 1


def test_a_store_that_is_slow_for_once_is_waited_for(faulty_s3, place):
    name = storage.join(place, "x.bin")
    storage.write_bytes(name, b"slow")
    faulty_s3.rule = lambda method, path: Fault("stall", stall_s=1.0)
    assert storage.read_bytes(name) == b"slow"


ACTIONS: dict[str, Callable[[str], object]] = {
    "look it up": storage.exists,
    "list it": storage.list_files,
    "read it": storage.read_bytes,
    "write it": lambda uri: storage.write_bytes(uri, b"x"),
    "create it": lambda uri: storage.create(uri, b"x"),
    "delete it": storage.remove,
    "fetch it": lambda uri: storage.get_file(uri, Path("never-written")),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_refused_connection_is_one_line(s3_server, action):
    with reach_s3(S3Server("http://127.0.0.1:9"), AWS_MAX_ATTEMPTS="1"):
        fails(lambda: ACTIONS[action]("s3://bucket/x"), rf"s3://bucket/x: cannot {action} \(.*endpoint")
    assert not Path("never-written").exists()


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId"])
def test_an_unreadable_bucket_and_bad_credentials_are_one_line(faulty_s3, action, code):
    faulty_s3.rule = lambda method, path: answers(403, code)
    # An answer to HEAD has no body, so there the name of the error is lost: 403 is "Forbidden".
    fails(
        lambda: ACTIONS[action]("s3://bucket/x"),
        rf"s3://bucket/x: cannot {action} \(({code}|Forbidden)\)\. Check .* the credentials",
    )


@pytest.mark.parametrize("action", ["read it", "list it", "write it"])
def test_absent_credentials_are_one_line(s3_server, monkeypatch, tmp_path, action):
    with reach_s3(s3_server, HOME=str(tmp_path), AWS_CONFIG_FILE="", AWS_SHARED_CREDENTIALS_FILE=""):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        fails(lambda: ACTIONS[action]("s3://bucket/x"), "[Uu]nable to locate credentials")


def test_a_bucket_that_does_not_exist_is_named(s3_server):
    fails(
        lambda: storage.write_bytes("s3://no-such-bucket/x", b"x"), "s3://no-such-bucket/x: cannot write it"
    )
    fails(lambda: storage.read_bytes("s3://no-such-bucket/x"), "no such file or folder")


def test_a_put_at_the_same_moment_as_another_is_decided_by_trying_again(faulty_s3, place):
    name = storage.join(place, "claim.json")
    puts: list[str] = []

    def conflict_once(method: str, path: str) -> Fault | None:
        if method != "PUT":
            return None
        puts.append(path)
        return answers(409, "ConditionalRequestConflict") if len(puts) == 1 else None

    faulty_s3.rule = conflict_once
    assert storage.create(name, b"first") and len(puts) == 2
    assert not storage.create(name, b"second")
    assert storage.read_bytes(name) == b"first"


def test_a_store_that_does_not_say_which_condition_failed_is_understood(faulty_s3, place):
    faulty_s3.rule = lambda method, path: answers(412, "PreconditionFailed") if method == "PUT" else None
    assert not storage.create(storage.join(place, "claim.json"), b"x")
