"""Downloads with a stand-in for yt-dlp: nothing leaves this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from segtalker.data.download import OUTCOMES_NAME, DownloadItem, download_videos, yt_dlp_fetch
from segtalker.errors import ConfigError
from tests.conftest import write_tiny_video

ITEMS = [DownloadItem(f"RD_Radio{i}", f"https://video/{i}") for i in range(4)] + [DownloadItem("none", None)]


class FakeSite:
    """Video 0 is fine, 1 is gone, 2 has no sound, 3 breaks off after a part."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, url: str, stem: Path, max_height: int) -> None:
        self.asked.append(url)
        match url[-1]:
            case "0":
                write_tiny_video(stem.with_suffix(".mp4"), clicks_s=[0.2])
            case "1":
                raise RuntimeError("ERROR: [youtube]\nVideo unavailable")
            case "2":
                write_tiny_video(stem.with_suffix(".mp4"))
            case _:
                stem.with_suffix(".mp4.part").write_bytes(b"half")


def test_every_url_has_an_outcome_and_only_whole_videos_a_name(tmp_path: Path):
    outcomes = download_videos(ITEMS, tmp_path, fetch=FakeSite())
    assert [outcome.status for outcome in outcomes] == ["done", "failed", "failed", "failed", "failed"]
    assert [outcome.reason for outcome in outcomes[1:]] == [
        "RuntimeError: ERROR: [youtube] Video unavailable",
        "the video has no sound",
        "nothing was fetched",
        "the list has no URL for it",
    ]
    assert (outcomes[0].file, outcomes[0].height) == ("RD_Radio0.mp4", 48)
    assert [path.name for path in tmp_path.glob("*.mp4")] == ["RD_Radio0.mp4"]
    rows = [json.loads(line) for line in (tmp_path / OUTCOMES_NAME).read_text().splitlines()]
    assert [row["name"] for row in rows] == [item.name for item in ITEMS]


def test_what_is_there_is_not_fetched_again_and_a_part_is_kept_to_go_on_from(tmp_path: Path):
    download_videos(ITEMS, tmp_path, fetch=FakeSite())
    site = FakeSite()
    outcomes = download_videos(ITEMS, tmp_path, fetch=site)
    assert outcomes[0].status == "skipped" and "https://video/0" not in site.asked
    assert (tmp_path / ".partial" / "RD_Radio3.mp4.part").read_bytes() == b"half"


def test_an_interrupt_ends_the_run_and_keeps_what_is_done(tmp_path: Path):
    def fetch(url: str, stem: Path, max_height: int) -> None:
        if url[-1] == "1":
            raise KeyboardInterrupt
        FakeSite()(url, stem, max_height)

    with pytest.raises(KeyboardInterrupt):
        download_videos(ITEMS, tmp_path, fetch=fetch)
    assert (tmp_path / "RD_Radio0.mp4").exists()
    assert len((tmp_path / OUTCOMES_NAME).read_text().splitlines()) == 1


def test_without_yt_dlp_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(ConfigError, match=r"pip install 'segtalker\[download\]'"):
        yt_dlp_fetch()


def test_without_ffmpeg_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "yt_dlp", object())
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ConfigError, match="apt-get install ffmpeg"):
        yt_dlp_fetch()


def test_yt_dlp_is_asked_for_picture_and_sound(monkeypatch, tmp_path: Path):
    asked: dict = {}

    class YoutubeDL:
        def __init__(self, options: dict) -> None:
            asked.update(options)

        def __enter__(self):
            return self

        def __exit__(self, *error: object) -> None: ...

        def download(self, urls: list[str]) -> None:
            asked["urls"] = urls

    monkeypatch.setitem(sys.modules, "yt_dlp", type("module", (), {"YoutubeDL": YoutubeDL}))
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/ffmpeg")
    yt_dlp_fetch()("https://video/0", tmp_path / "50%", 1080)
    assert "+ba" in asked["format"] and "[height<=1080]" in asked["format"] and asked["continuedl"]
    assert asked["outtmpl"] == f"{tmp_path}/50%%.%(ext)s" and asked["urls"] == ["https://video/0"]
