"""Published files come into the cache: terms first, once, from wherever they are, whole."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segtalker.cli import main
from segtalker.errors import WeightsError
from segtalker.weights import registry, store
from segtalker.weights.checkpoint import load_weights, weights_info
from segtalker.weights.fetching import adopt, fetch
from segtalker.weights.importing import import_file
from segtalker.weights.registry import Published, WeightsRow
from segtalker.weights.sources import FetchOptions
from tests.weights.fetchers import leftovers
from tests.weights.rows import DATA, PACK, list_rows, published, small_row
from tests.weights.test_parity import generator_file
from tests.weights.web import Web

pytestmark = pytest.mark.usefixtures("cache")


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
