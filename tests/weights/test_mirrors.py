"""Files from elsewhere than their publisher, and from nowhere."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from segtalker.cli import main
from segtalker.errors import WeightsError
from segtalker.storage import put_file
from segtalker.weights import store, wheel
from segtalker.weights.fetching import fetch
from segtalker.weights.registry import WeightsRow
from segtalker.weights.sources import FetchOptions
from tests.s3 import S3Server
from tests.weights.fetchers import leftovers
from tests.weights.rows import DATA, list_rows, published, small_row
from tests.weights.web import Web

pytestmark = pytest.mark.usefixtures("cache")


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
