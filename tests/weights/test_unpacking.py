"""A downloaded archive writes nothing outside its folder, and no more than it may."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from segtalker.errors import StorageError, WeightsError
from segtalker.weights import unpacking
from segtalker.weights.unpacking import unpack
from tests.weights.full import full_disk


def archive_of(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("around", ["", "buffalo_l/"])
def test_files_come_out_with_or_without_a_folder_around_them(around: str, tmp_path: Path):
    files = {f"{around}det.onnx": b"d", f"{around}more/rec.onnx": b"r"}
    unpack(archive_of(tmp_path / "a.zip", files), tmp_path / "out")
    assert (tmp_path / "out/det.onnx").read_bytes() == b"d"
    assert (tmp_path / "out/more/rec.onnx").read_bytes() == b"r"


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:\\evil", "C:evil", "a/..\\..\\evil"]
)
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path):
    with pytest.raises(WeightsError, match=r"a\.zip: refused: .*evil"):
        unpack(archive_of(tmp_path / "a.zip", {"good": b"", name: b"x"}), tmp_path / "deep/out")
    assert not list(tmp_path.rglob("evil")) and not (tmp_path / "deep").exists()


def test_links_are_refused(tmp_path: Path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(WeightsError, match="refused: 'link' is no plain file"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_small_archive_that_grows_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpacking, "MOST_BYTES", 2_000_000)
    path = archive_of(tmp_path / "a.zip", {"a": bytes(1_500_000), "b": bytes(1_500_000)})
    assert path.stat().st_size < 10_000
    with pytest.raises(WeightsError, match="unpacks to more than 2000000 bytes"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("files", [{}, {"a": b"", "A": b""}, {str(i): b"" for i in range(65)}])
def test_odd_numbers_of_files_are_refused(files: dict[str, bytes], tmp_path: Path):
    with pytest.raises(WeightsError, match="expected 1 to 64 of different names"):
        unpack(archive_of(tmp_path / "a.zip", files), tmp_path / "out")


@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_a_damaged_archive_is_one_sentence(damage: str, tmp_path: Path):
    path = archive_of(tmp_path / "a.zip", {"a": b"a network " * 5000})
    data = bytearray(path.read_bytes())
    if damage == "changed":
        data[60] ^= 0xFF
    path.write_bytes({"cut": data[:100], "changed": data, "other": b"no archive"}[damage])
    with pytest.raises(WeightsError, match=r"a\.zip: a damaged archive .*Fetch it again"):
        unpack(path, tmp_path / "out")


def test_a_full_disk_is_one_sentence_with_the_name_of_the_file(tmp_path: Path):
    path = archive_of(tmp_path / "a.zip", {"pack/small.onnx": b"d", "pack/large.onnx": bytes(100_000)})
    told = rf"^pack/large\.onnx of {path}: cannot be written into {tmp_path}: .*Free some space there"
    with full_disk(), pytest.raises(StorageError, match=told):
        unpack(path, tmp_path / "out")
