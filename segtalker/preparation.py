"""`segtalker prepare`: from a dataset as it lies on the disk to a manifest, and from there to shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segtalker.config import load_config
from segtalker.data.download import RIGHTS, DownloadItem, download_videos
from segtalker.data.hdtf import count_table, hdtf_rows, read_hdtf
from segtalker.data.manifest import ClipRow, SplitConfig, folder_rows, read_manifest, write_manifest
from segtalker.data.prepare import PrepareConfig
from segtalker.data.prepare_run import (
    MANIFEST_NAME,
    OUTCOMES_NAME,
    Runner,
    prepare_rows,
    run_processes,
    summary,
)
from segtalker.errors import ConfigError, DataError
from segtalker.progress import ProgressBar
from segtalker.storage import is_local, join

Kind = Literal["hdtf", "folder", "synthetic", "manifest"]


@dataclass(frozen=True)
class Source:
    """Where clips come from."""

    kind: Kind
    place: str
    """HDTF's text files, a folder or bucket of videos, a synthetic corpus, or a manifest."""
    videos: str = ""
    """HDTF: folder or bucket of its videos."""
    download: bool = False
    """HDTF: fetch into `videos` what is missing there."""


def plan(source: Source, split: SplitConfig, quiet: bool = False) -> tuple[list[ClipRow], list[str]]:
    """The rows of a source, and sentences about it for the user."""
    if source.kind == "folder":
        return folder_rows(source.place, split), []
    if source.kind == "manifest":
        return read_manifest(source.place), []
    if source.kind == "synthetic":
        from segtalker.synthetic.rows import corpus_rows

        return corpus_rows(Path(source.place)), []
    hdtf = read_hdtf(source.place)
    said = [count_table(hdtf), *hdtf.notes]
    if source.download:
        if not is_local(source.videos):
            raise ConfigError(
                f"{source.videos}: downloads go to a local folder; copy them to a bucket after."
            )
        items = [DownloadItem(video.file_stem, video.url) for video in hdtf.videos if video.clips]
        with ProgressBar(quiet) as bar:
            fetched = download_videos(items, Path(source.videos), tell=bar)
        failed = [outcome for outcome in fetched if outcome.status == "failed"]
        said += [RIGHTS, f"{len(fetched) - len(failed)} of {len(fetched)} videos are here."]
        said += [f"not fetched: {outcome.name}: {outcome.reason}" for outcome in failed[:5]]
    rows, notes = hdtf_rows(hdtf, source.videos, split)
    return rows, [*said, *notes]


def run_prepare(
    source: Source,
    out: str,
    config: Path | None = None,
    overrides: Sequence[str] = (),
    split: SplitConfig | None = None,
    workers: int = 1,
    plan_only: bool = False,
    quiet: bool = False,
    runner: Runner = run_processes,
) -> str:
    """The command `segtalker prepare`; returns what there is to say about it."""
    cfg = load_config(PrepareConfig, config, overrides)
    if source.kind == "hdtf" and not source.videos:
        hdtf = read_hdtf(source.place)
        if plan_only:
            return "\n".join([count_table(hdtf), *hdtf.notes, "Nothing is planned without --videos."])
        raise ConfigError(f"{source.place}: lists videos only; name the folder or bucket of them (--videos).")
    rows, said = plan(source, split or SplitConfig(), quiet)
    if plan_only:
        write_manifest(rows, join(out, MANIFEST_NAME))
        return "\n".join([*said, f"{len(rows)} clips planned: {join(out, MANIFEST_NAME)}"])
    with ProgressBar(quiet) as bar:
        outcomes = prepare_rows(rows, cfg, out, workers, bar, runner)
    if not any(outcome.status == "done" for outcome in outcomes):
        first = outcomes[0]
        raise DataError(
            f"{out}: not one of {len(outcomes)} clips could be prepared; the first, {first.clip}: "
            f"{first.reason} (all of them: {OUTCOMES_NAME})"
        )
    return "\n".join([*said, summary(outcomes)])
