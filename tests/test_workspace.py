"""Work folders and outputs: nothing lost, nothing left behind."""

from __future__ import annotations

import errno
import os

import pytest

from segtalker.errors import StorageError
from segtalker.workspace import (
    check_output,
    content_digest,
    explain_os_errors,
    open_workspace,
    run_key,
    write_atomically,
)


def test_the_same_run_finds_its_folder_and_another_run_starts_clean(tmp_path):
    output = tmp_path / "out.mp4"
    first = open_workspace(output, "aaaa")
    first.path("segments", "000000.mp4").write_bytes(b"done")
    assert open_workspace(output, "aaaa").path("segments", "000000.mp4").exists()
    other = open_workspace(output, "bbbb")
    assert not other.path("segments", "000000.mp4").exists() and not first.folder.exists()
    other.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_the_caller_named_stays(tmp_path):
    work = open_workspace(tmp_path / "out.mp4", "aaaa", tmp_path / "work")
    work.remove()
    assert work.folder.is_dir() and work.folder.parent == tmp_path / "work"


def test_two_outputs_in_one_folder_do_not_share_work(tmp_path):
    one = open_workspace(tmp_path / "one.mp4", "aaaa").folder
    two = open_workspace(tmp_path / "two.mp4", "aaaa").folder
    assert one != two and one.exists()


def test_an_output_that_cannot_be_is_refused_before_any_work(tmp_path):
    video = tmp_path / "in.mp4"
    video.write_bytes(b"x")
    maps = tmp_path / "old.maps.mp4"
    maps.write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.mp4").mkdir()
    for name, beside, says in (
        ("in.mp4", [], "is an input"),
        ("old.mp4", [maps], r"old\.maps\.mp4: is an input"),
        ("folder.mp4", [], "is a folder"),
        ("out.avi", [], r"such as out\.mp4"),
        ("out", [], r"such as out\.mp4"),
        ("file/out.mp4", [], "cannot write.*is a file"),
        ("n" * 240 + ".mp4", [], "name is too long"),
        ("/proc/out.mp4", [], r"^/proc/out\.mp4: cannot write"),
    ):
        with pytest.raises(StorageError, match=says):
            check_output(tmp_path / name, beside, [video, maps])
    check_output(tmp_path / "new" / "folder" / "out.mp4", [], [video])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "file",
        "folder.mp4",
        "in.mp4",
        "old.maps.mp4",
    ]


def test_a_full_disk_is_one_sentence_and_other_errors_pass(tmp_path):
    with (
        pytest.raises(StorageError, match=r"out\.mp4.*disk is full.*same command again"),
        explain_os_errors(tmp_path / "out.mp4"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(ConnectionError), explain_os_errors(tmp_path / "out.mp4"):
        raise ConnectionError("not about files")


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    write_atomically(path, "old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError):
        write_atomically(path, "new")
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_the_key_follows_contents_not_names(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"same")
    two.write_bytes(b"same")
    assert content_digest(one) == content_digest(two)
    two.write_bytes(b"other")
    assert content_digest(one) != content_digest(two) != content_digest(two, one)
    assert run_key("a", "bc") != run_key("ab", "c")
