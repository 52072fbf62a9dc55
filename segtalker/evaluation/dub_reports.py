"""What the reports beside our own dubs tell an evaluation: which frames were shown, and what a dub cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segtalker.report import report_path

_COST = "seconds_per_minute"


def shown_frames(folders: Sequence[Path], name: str) -> str:
    """Frames of a clip that any row of ours took its identity reference or its texture from, as `Pair.shown`.

    One set for all methods, so that all are compared on the same frames.
    """
    found: set[int] = set()
    for report in _reports(folder / f"{name}.mp4" for folder in folders):
        for track in report["tracks"]:
            found |= {*track["style_indices"], track["reference_index"]} - {None}
    return " ".join(map(str, sorted(found)))


def cost(videos: Sequence[Path]) -> dict[str, Any]:
    """Seconds of work by stage for a minute of video, and of how many dubs; empty where none tells.

    The reports keep it, so that a run that finds all dubs again tells the same. A dub that went on from what
    an interrupted run had finished knows only a part of its work, and is left out.
    """
    whole = [report for report in _reports(videos) if not report["reused_segments"]]
    minutes = sum(report["duration_s"] for report in whole) / 60
    if not minutes:
        return {}
    seconds: Counter[str] = Counter()
    for report in whole:
        seconds.update(report["timings_s"])
    return {_COST: {stage: round(s / minutes, 1) for stage, s in seconds.most_common()}, "dubs": len(whole)}


def cost_sentences(made: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The same for readers; `made`: row -> its `cost`, perhaps among other things."""
    for name, told in made.items():
        if _COST in told:
            stages = ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in told[_COST].items())
            yield (
                f"{name}: {sum(told[_COST].values()):.0f} s of work for a minute of video ({stages}), by the "
                f"clocks of {told['dubs']} dubs."
            )


def _reports(videos: Iterable[Path]) -> Iterator[Mapping[str, Any]]:
    for video in videos:
        report = report_path(video)
        if report.is_file():
            yield json.loads(report.read_text(encoding="utf-8"))
