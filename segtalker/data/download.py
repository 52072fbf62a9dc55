"""Fetch the videos of a list of URLs with sound, one outcome a URL (extra `segtalker[download]`: yt-dlp).

Only for who has the right to: the videos belong to their owners, not to the dataset that lists them. What is
in the folder already is not fetched again, a broken download goes on where it stopped, and a video that is
gone is a row that says so, never the end of the run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from segtalker.errors import ConfigError, SegTalkerError
from segtalker.media.read import probe
from segtalker.progress import OnProgress, Progress, ignore_progress
from segtalker.workspace import write_atomically

RIGHTS = (
    "The videos belong to their owners. Download them only if you have the right to, by their licence, by "
    "the owners' leave or by your law, and do not pass them on."
)
OUTCOMES_NAME = "download.jsonl"

Fetch = Callable[[str, Path, int], None]
"""Fetches (URL, file without suffix, greatest height): afterwards one video file of that stem is there."""


@dataclass(frozen=True)
class DownloadItem:
    """One video that is wanted."""

    name: str
    """Stem of its file."""
    url: str | None


@dataclass(frozen=True)
class DownloadOutcome:
    """What came of one URL."""

    name: str
    url: str
    status: Literal["done", "skipped", "failed"]
    reason: str = ""
    file: str = ""
    width: int = 0
    height: int = 0


def download_videos(
    items: Sequence[DownloadItem],
    folder: Path,
    max_height: int = 1080,
    fetch: Fetch | None = None,
    tell: OnProgress = ignore_progress,
) -> list[DownloadOutcome]:
    """Fetch what `folder` lacks; outcomes in the order of `items`, also kept in `folder`/download.jsonl.

    max_height: the best rendition up to this many pixels is taken; boxes are scaled to what comes. fetch: in
    place of yt-dlp. A file gets its final name only when it holds picture and sound.
    """
    fetch = fetch or yt_dlp_fetch()
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for done, item in enumerate(items):
        tell(Progress("downloading", done, len(items), "video"))
        outcomes.append(_download(item, folder, max_height, fetch))
        lines = [json.dumps(asdict(outcome), ensure_ascii=False) + "\n" for outcome in outcomes]
        write_atomically(folder / OUTCOMES_NAME, "".join(lines))
    tell(Progress("downloading", len(items), len(items), "video"))
    return outcomes


def yt_dlp_fetch() -> Fetch:
    """A `Fetch` by yt-dlp; `ConfigError` says what is not installed."""
    try:
        import yt_dlp
    except ImportError as error:
        raise ConfigError("Downloading needs yt-dlp: pip install 'segtalker[download]'.") from error
    if shutil.which("ffmpeg") is None:
        raise ConfigError("yt-dlp joins picture and sound with ffmpeg: apt-get install ffmpeg.")

    def fetch(url: str, stem: Path, max_height: int) -> None:
        options: dict[str, Any] = {
            # Picture and sound are separate streams; without the second one a talking head is of no use.
            "format": f"bv*[height<={max_height}]+ba/b[height<={max_height}]",
            "format_sort": ["res", "fps", "ext:mp4:m4a"],
            "merge_output_format": "mkv",
            "outtmpl": f"{str(stem).replace('%', '%%')}.%(ext)s",
            "continuedl": True,
            "retries": 5,
            "noplaylist": True,
            "quiet": True,
            "no_warnings": True,
            "noprogress": True,
        }
        with yt_dlp.YoutubeDL(options) as downloader:
            downloader.download([url])

    return fetch


def _download(item: DownloadItem, folder: Path, max_height: int, fetch: Fetch) -> DownloadOutcome:
    url = item.url or ""
    if there := _find(folder, item.name):
        return DownloadOutcome(item.name, url, "skipped", "already here", there.name)
    if not url:
        return DownloadOutcome(item.name, url, "failed", "the list has no URL for it")
    partial = folder / ".partial"
    partial.mkdir(exist_ok=True)
    try:
        fetch(url, partial / item.name, max_height)
        found = _find(partial, item.name)
        if found is None:
            return DownloadOutcome(item.name, url, "failed", "nothing was fetched")
        info = probe(found)
        if not info.has_audio:
            found.unlink()
            return DownloadOutcome(item.name, url, "failed", "the video has no sound")
    except Exception as error:  # whatever a site or a library does, the other videos go on
        why = str(error) if isinstance(error, SegTalkerError) else f"{type(error).__name__}: {error}"
        return DownloadOutcome(item.name, url, "failed", " ".join(why.split()))
    final = folder / found.name
    found.replace(final)
    return DownloadOutcome(item.name, url, "done", "", final.name, info.width, info.height)


def _find(folder: Path, stem: str) -> Path | None:
    """A finished video file of this stem; parts of downloads do not count."""
    suffixes = (".mp4", ".mkv", ".webm", ".mov", ".m4v")
    return next((path for suffix in suffixes if (path := folder / f"{stem}{suffix}").is_file()), None)
