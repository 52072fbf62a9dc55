"""The cache: where files are, and how a changed byte is seen."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from segtalker import locks
from segtalker.cli import main
from segtalker.errors import WeightsError
from segtalker.weights import registry, store
from segtalker.weights.registry import WeightsRow
from tests.weights.rows import DATA, PACK, list_rows, small_row


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> WeightsRow:
    """A row of which the cache keeps a file of ours, whose hash nobody has published."""
    row = small_row(name="small", filename="small.safetensors", network="generator")
    list_rows(monkeypatch, row)
    return row


def install(row: WeightsRow, data: bytes = DATA) -> Path:
    with store.installing(store.path_of(row), "a test") as made:
        made.write_bytes(data)
    return store.path_of(row)


def test_the_cache_follows_the_environment(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert store.cache_dir() == cache
    monkeypatch.delenv("SEGTALKER_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.cache_dir() == tmp_path / ".cache" / "segtalker"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("face_landmark", "is missing .*Run: segtalker weights fetch faces"),
        ("irse50", "Read its terms .*segtalker weights fetch irse50 --accept-licence"),
        ("inception_fid", "Read its terms .Apache-2.0.*segtalker weights fetch inception_fid$"),
        (
            "e4s",
            "with a browser from https://drive.google.com.*segtalker weights import iteration_300000.pt$",
        ),
        ("e4s_d", "segtalker weights import iteration_300000.pt --as discriminator$"),
        ("face_landmarks", "no weights are called 'face_landmarks'; known: .*face_landmark,"),
    ],
)
def test_what_is_missing_is_answered_with_the_command_that_brings_it(name: str, words: str, cache: Path):
    with pytest.raises(WeightsError, match=words):
        store.locate(name)
    assert not cache.exists()


def test_a_row_is_located_once_it_is_there(cache: Path):
    place = store.place_of("avhubert_base")
    assert place is not None and store.place_of("avhubert_tiny") is None
    assert store.cached("avhubert_base") is None is store.cached("avhubert_tiny")
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA)
    assert store.locate("avhubert_base") == place == store.cached("avhubert_base")
    assert {item.row.name: item.state for item in store.status()}["avhubert_base"] == "ready"


def test_what_comes_in_is_recorded_and_a_changed_byte_is_seen(cache: Path, ours: WeightsRow):
    path = install(ours)
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name, f"{path.name}.json"]
    told = json.loads(path.with_name(f"{path.name}.json").read_text())
    assert told == {"bytes": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest(), "from": "a test"}
    assert store.examine(ours).state == "ready"
    path.write_bytes(DATA[:-1] + b"?")
    assert store.examine(ours, check_content=False).state == "ready"
    found = store.examine(ours)
    assert found.state == "damaged" and "its sha256 is" in found.why
    assert store.locate("small") == path  # only sizes are looked at when a network is loaded
    path.write_bytes(DATA[:3])
    with pytest.raises(WeightsError, match=f"damaged: its bytes is 3, expected {len(DATA)}"):
        store.locate("small")


def test_a_file_put_there_by_hand_is_used_but_cannot_be_verified(cache: Path, ours: WeightsRow):
    path = store.path_of(ours)
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    assert store.locate("small") == path
    assert store.examine(ours).state == "unrecorded"
    path.with_name(f"{path.name}.json").write_text("{")
    assert "a damaged record" in store.examine(ours).why


def test_a_published_hash_needs_no_record(cache: Path, monkeypatch: pytest.MonkeyPatch):
    row = small_row()
    list_rows(monkeypatch, row)
    path = store.path_of(row)
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    assert store.examine(row).state == "ready"
    path.write_bytes(DATA[::-1])
    assert store.examine(row).state == "damaged"


def test_a_pack_is_whole_or_names_the_file_that_is_not(cache: Path, monkeypatch: pytest.MonkeyPatch):
    list_rows(monkeypatch, PACK)
    for content in (b"old", b"new"):
        with store.installing(store.path_of(PACK), "a test") as made:
            made.mkdir()
            (made / "det.onnx").write_bytes(content)
    path = store.locate("pack")
    assert (path / "det.onnx").read_bytes() == b"new" and store.examine(PACK).state == "ready"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    (path / "det.onnx").write_bytes(b"newer")
    assert "det.onnx: not the file that was sealed" in store.examine(PACK, check_content=False).why
    (path / "MANIFEST.json").unlink()
    assert store.examine(PACK).state == "unrecorded"


@pytest.mark.parametrize(
    ("wrong", "words"), [("file", "is an empty file"), ("folder", "is not a file"), ("link", "is not a file")]
)
def test_what_cannot_be_a_network_is_damaged_and_mended_by_installing(
    wrong: str, words: str, cache: Path, ours: WeightsRow, tmp_path: Path
):
    path = store.path_of(ours)
    path.parent.mkdir(parents=True)
    if wrong == "file":
        path.touch()
    elif wrong == "folder":
        path.mkdir()
        (path / "inside").touch()
    else:
        path.symlink_to(tmp_path)
    for check_content in (True, False):
        found = store.examine(ours, check_content)
        assert (found.state, found.why) == ("damaged", words)
    for ask in (store.locate, store.cached):  # what switches on by itself is not off without a word
        with pytest.raises(WeightsError, match=f"is damaged: {words}. .*segtalker weights"):
            ask("small")
    install(ours)
    assert store.examine(ours).state == "ready" and store.cached("small") == path
    assert len(list(path.parent.iterdir())) == 2


def test_a_pack_is_a_folder_that_holds_something(cache: Path, monkeypatch: pytest.MonkeyPatch):
    list_rows(monkeypatch, PACK)
    path = store.path_of(PACK)
    path.mkdir(parents=True)
    assert store.examine(PACK, check_content=False).why == "is an empty folder"
    path.rmdir()
    path.write_bytes(DATA)
    assert store.examine(PACK, check_content=False).why == "is not a folder"
    with store.installing(path, "a test") as made:
        made.mkdir()
        (made / "det.onnx").write_bytes(DATA)
    assert store.examine(PACK).state == "ready" and len(list(path.parent.iterdir())) == 1


def test_a_cache_that_may_not_be_read_is_told_and_stops_nothing_else(
    cache: Path, ours: WeightsRow, monkeypatch: pytest.MonkeyPatch, capsys
):
    place, real = store.path_of(ours), os.stat

    def stat(path: object, **options: object) -> os.stat_result:  # chmod would not stop root
        if isinstance(path, str | os.PathLike) and os.fspath(path) == str(place):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    found = store.examine(ours)
    assert found.state == "damaged" and "Permission denied" in found.why
    with pytest.raises(WeightsError, match="Set SEGTALKER_CACHE to a folder that you may read"):
        store.cached("small")
    assert main(["weights", "list"]) == 0 and "damaged" in capsys.readouterr().out
    assert main(["weights", "verify"]) == WeightsError.exit_code
    shown = capsys.readouterr()
    assert "Set SEGTALKER_CACHE" in shown.out and "Traceback" not in shown.err


def test_an_installation_that_fails_leaves_what_was_there(cache: Path, ours: WeightsRow):
    path = install(ours)
    with pytest.raises(WeightsError, match="no"), store.installing(path, "a test") as made:
        made.write_bytes(b"half")
        raise WeightsError("no")
    assert path.read_bytes() == DATA and store.examine(ours).state == "ready"
    assert len(list(path.parent.iterdir())) == 2


def test_a_file_system_without_locks_is_told_apart_from_one_that_fails(cache: Path, monkeypatch):
    def answers(number: int):
        def flock(handle: int, how: int) -> None:
            raise OSError(number, "no locks available")

        monkeypatch.setattr(locks.fcntl, "flock", flock)

    with store.locked("a") as known:
        assert known
    answers(errno.ENOLCK)
    with store.locked("a") as known:
        assert not known
    answers(errno.EIO)
    with pytest.raises(WeightsError, match="cannot write the weights cache"), store.locked("a"):
        raise AssertionError


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="SEGTALKER_CACHE"):
        install(small_row())


def test_verify_names_what_is_damaged_and_fails(cache: Path, ours: WeightsRow, monkeypatch, capsys):
    assert main(["weights", "verify"]) == 0
    assert "nothing is in" in capsys.readouterr().out
    path = install(ours)
    other = replace(ours, name="other", filename="other.safetensors")
    list_rows(monkeypatch, other)
    install(other)
    assert main(["weights", "verify"]) == 0
    assert capsys.readouterr().out.count("ready") == 2
    path.write_bytes(DATA[:-1] + b"?")
    assert main(["weights", "verify"]) == WeightsError.exit_code
    shown = capsys.readouterr()
    assert f"damaged    {path}: its sha256" in shown.out and "damaged: small." in shown.err
    assert main(["weights", "verify", "other"]) == 0
    assert main(["weights", "verify", "smaller"]) == WeightsError.exit_code


def test_where_prints_a_path_alone_or_fails(cache: Path, ours: WeightsRow, capsys):
    assert main(["weights", "where", "small"]) == WeightsError.exit_code
    assert capsys.readouterr().out == ""
    path = install(ours)
    assert main(["weights", "where", "small"]) == 0
    assert capsys.readouterr().out == f"{path}\n"


def test_the_list_says_of_every_network_whether_it_is_here_and_how_to_get_it(cache: Path, capsys):
    assert main(["weights", "list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert {row.name for row in registry.ROWS} <= lines.keys() and lines["cache:"] == f"cache: {cache}"
    assert "missing  by hand" in lines["e4s"] and "missing  fetch* " in lines["avhubert_base"]
    assert "95.6 MB  missing  fetch  " in lines["inception_fid"]


def test_info_tells_all_about_a_name_or_a_group(cache: Path, capsys):
    assert main(["weights", "info", "avhubert_large"]) == 0
    shown = capsys.readouterr().out
    assert "forbids:   commercial and production use, military use" in shown
    assert "hash:      d11c035c09104600 (its beginning; so few digits guard against damage only" in shown
    assert "3908.2 MB" in shown
    assert "url:       https://dl.fbaipublicfiles.com/avhubert/" in shown and "network 'speech'" in shown
    assert main(["weights", "info", "parsing"]) == 0
    shown = capsys.readouterr().out
    assert "guard against damage" not in shown  # all digits are known, or Git's
    assert "bisenet: BiSeNet" in shown and "git blob dece21893" in shown
    assert main(["weights", "info", "avhubert_larger"]) == WeightsError.exit_code
