from __future__ import annotations

import json
import re
from pathlib import Path

import serve.page
from segtalker.compositing.frame_plan import Reason, SyncMode
from segtalker.media.audio import audio_layout
from segtalker.media.read import read_frames
from segtalker.regions import REGION_COLOURS, REGION_NAMES
from serve.page import INDEX, page_files

FOLDER = Path(serve.page.__file__).parent


def text_of(name: str) -> str:
    return page_files()[name].body.decode()


def test_every_file_of_the_page_is_listed_and_nothing_else_is_served():
    kinds = {".html", ".css", ".js", ".json", ".svg", ".jpg", ".mp4", ".m4a"}
    there = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.suffix in kinds}
    assert set(page_files()) == there
    assert "__init__.py" not in page_files()


def test_an_etag_is_strong_and_belongs_to_the_content():
    etags = [file.etag for file in page_files().values()]
    assert all(re.fullmatch(r'"[0-9a-f]{32}"', etag) for etag in etags)
    assert len(set(etags)) == len(etags)


def test_whatever_the_page_refers_to_is_one_of_its_files():
    named = set(re.findall(r'(?:href|src)="page/([^"]+)"', text_of(INDEX)))
    for module in (name for name in page_files() if name.startswith("js/")):
        named |= {f"js/{name}" for name in re.findall(r'from "\./([^"]+)"', text_of(module))}
    for sample in json.loads(text_of("samples.json")):
        named |= {f"samples/{sample[key]}" for key in ("video", "speech", "picture")}
    assert named | {INDEX, "samples.json"} == set(page_files())


def test_nothing_comes_from_elsewhere_and_nothing_is_inline():
    for name in ("page.css", *(name for name in page_files() if name.startswith("js/"))):
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text_of(name)), name
    index = text_of(INDEX)
    assert "://" not in index
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", index)


def test_the_page_knows_the_regions_modes_and_reasons_of_the_library():
    rows = re.findall(r'\["(\w+)", \[(\d+), (\d+), (\d+)\]\]', text_of("js/regions.js"))
    assert [row[0] for row in rows] == list(REGION_NAMES)
    assert [[int(value) for value in row[1:]] for row in rows] == REGION_COLOURS.tolist()
    modes = re.findall(r'^  \["(\w+)", "', text_of("js/options.js"), re.MULTILINE)
    assert modes == [mode.value for mode in SyncMode]
    reasons = re.search(r"const REASONS = \{(.*?)\};", text_of("js/report.js"), re.DOTALL)
    assert reasons is not None
    assert re.findall(r"(\w+):", reasons[1]) == [reason.value for reason in Reason]


def test_samples_are_small_and_can_be_read():
    files = [file for name, file in page_files().items() if name.startswith("samples/")]
    assert sum(len(file.body) for file in files) < 400_000
    for sample in json.loads(text_of("samples.json")):
        assert next(iter(read_frames(FOLDER / "samples" / sample["video"]))).image.shape[0] >= 256
        rate, channels = audio_layout(FOLDER / "samples" / sample["speech"])
        assert rate >= 16000 and channels == 1
