import json
import os
import uuid

import pytest
from fsspec.implementations.local import LocalFileSystem

from segtalker import storage
from segtalker.errors import StorageError


@pytest.fixture(params=["path", "file", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def folder(request, tmp_path):
    if request.param in ("path", "file"):
        return ("file://" if request.param == "file" else "") + str(tmp_path / "store")
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    return f"s3://{request.getfixturevalue('s3_server').bucket}/{uuid.uuid4().hex}"


def test_join_puts_one_slash_between_parts():
    assert storage.join("s3://b/x/", "/y/", "z") == "s3://b/x/y/z"
    assert storage.join("/", "tmp") == "/tmp"
    assert storage.join("s3://b/x/", "", "z") == "s3://b/x/z"


def test_what_is_written_is_read_back_and_replaced(folder):
    name = storage.join(folder, "a", "x.bin")
    assert not storage.exists(name)
    storage.write_bytes(name, b"one")
    storage.write_bytes(name, b"two!")
    assert storage.read_bytes(name) == b"two!"
    assert storage.list_files(folder) == ["a/x.bin"]


def test_removing_is_idempotent(folder):
    storage.write_bytes(storage.join(folder, "a/x"), b"1")
    storage.remove(folder)
    storage.remove(folder)
    assert storage.list_files(folder) == []


def test_removing_what_another_removes_meanwhile_is_fine(tmp_path, monkeypatch):
    storage.write_bytes(tmp_path / "a", b"1")

    def gone(self, path, recursive):
        raise FileNotFoundError(path)

    monkeypatch.setattr(LocalFileSystem, "rm", gone)
    storage.remove(tmp_path / "a")


def test_create_succeeds_once(folder):
    name = storage.join(folder, "claim.json")
    assert storage.create(name, b"first")
    assert not storage.create(name, b"second")
    assert storage.read_bytes(name) == b"first"


def test_only_what_lies_directly_in_a_folder_is_named(folder):
    assert storage.list_names(folder) == []
    for name in ("b/deep/x", "b/y", "a.json"):
        storage.write_bytes(storage.join(folder, name), b"1")
    assert storage.list_names(folder) == ["a.json", "b"]


def test_an_unfinished_local_file_is_not_named(tmp_path):
    for name in (".a.json.0123456789ab.part", ".hidden"):
        (tmp_path / name).write_bytes(b"")
    assert storage.list_names(tmp_path) == [".hidden"]


def test_reading_if_it_exists_tells_absent_from_empty(folder):
    name = storage.join(folder, "x")
    assert storage.read_if_exists(name) is None
    storage.write_bytes(name, b"")
    assert storage.read_if_exists(name) == b""


def test_a_range_of_a_file_is_read(folder):
    name = storage.join(folder, "x")
    storage.write_bytes(name, bytes(range(100)))
    assert storage.read_bytes(name, 10, 13) == b"\x0a\x0b\x0c"
    assert storage.read_bytes(name, 98, 200) == b"\x62\x63"


def test_a_file_travels_there_and_back(folder, tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(os.urandom(3_000_000))
    storage.put_file(source, storage.join(folder, "deep/er/file.bin"))
    storage.get_file(storage.join(folder, "deep/er/file.bin"), tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == source.read_bytes()


def test_reading_an_absent_file_names_it(folder):
    with pytest.raises(StorageError, match=r"nothing\.txt: cannot read it: there is no such file"):
        storage.read_bytes(storage.join(folder, "nothing.txt"))


def test_a_sealed_folder_travels_and_verifies(folder, tmp_path):
    local = tmp_path / "local"
    (local / "sub").mkdir(parents=True)
    (local / "a.txt").write_text("a")
    (local / "sub" / "b.txt").write_text("bb")
    manifest = storage.put_folder(local, folder, extra={"made_by": "test"})
    assert manifest["files"]["sub/b.txt"]["bytes"] == 2
    assert storage.verify_folder(folder)["made_by"] == "test"
    storage.fetch_folder(folder, tmp_path / "copy")
    assert (tmp_path / "copy" / "sub" / "b.txt").read_text() == "bb"
    with pytest.raises(StorageError, match="exists already"):
        storage.fetch_folder(folder, tmp_path / "copy")


def test_a_folder_without_manifest_does_not_exist(folder):
    storage.write_bytes(storage.join(folder, "a.txt"), b"a")
    assert not storage.is_sealed(folder)
    with pytest.raises(StorageError, match=r"no MANIFEST\.json, so the folder was never completed"):
        storage.verify_folder(folder)
    storage.seal_folder(folder)
    assert storage.is_sealed(folder) and list(storage.verify_folder(folder)["files"]) == ["a.txt"]


@pytest.mark.parametrize("damage", [b"short", b"other content!!!", None])
def test_a_changed_short_or_missing_file_is_named(folder, damage):
    name = storage.join(folder, "w.bin")
    storage.write_bytes(name, b"0123456789abcdef")
    storage.seal_folder(folder)
    if damage is None:
        storage.remove(name)
    else:
        storage.write_bytes(name, damage)
    with pytest.raises(StorageError, match=r"w\.bin"):
        storage.verify_folder(folder)


def test_a_size_check_alone_misses_changed_content_of_equal_size(folder):
    name = storage.join(folder, "w.bin")
    storage.write_bytes(name, b"aaaa")
    storage.seal_folder(folder)
    storage.write_bytes(name, b"bbbb")
    storage.verify_folder(folder, check_content=False)
    with pytest.raises(StorageError):
        storage.verify_folder(folder)


def test_a_damaged_manifest_is_refused(tmp_path):
    (tmp_path / "a").write_text("a")
    (tmp_path / storage.MANIFEST).write_text(json.dumps({"wrong": 1}))
    with pytest.raises(StorageError, match="is damaged"):
        storage.verify_folder(tmp_path)


def test_sealing_nothing_is_refused(folder):
    with pytest.raises(StorageError, match="nothing to seal"):
        storage.seal_folder(folder)


def test_a_failed_local_write_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    target = tmp_path / "report.json"
    target.write_bytes(b"old")

    def full(source, destination):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match=r"report\.json: cannot write it \(No space left on device\)"):
        storage.write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["report.json"]


def test_unknown_storage_is_explained():
    with pytest.raises(StorageError, match="this kind of storage cannot be used"):
        storage.read_bytes("nowhere42://x/y")


@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_a_sample_of_the_content_sees_a_change_of_a_large_file(tmp_path, place):
    data = bytearray(5 << 20)
    (tmp_path / "a").write_bytes(data)
    before = storage.content_sample(tmp_path / "a")
    storage.write_bytes("memory://samples/a", bytes(data))
    assert storage.content_sample("memory://samples/a") == before
    data[{"start": 0, "middle": len(data) // 2, "end": -1}[place]] = 1
    (tmp_path / "a").write_bytes(data)
    assert storage.content_sample(tmp_path / "a") != before
