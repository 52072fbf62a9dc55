"""Does memory stay the same when the video gets longer?

Peak resident memory of whole dubs, each in a process of its own, at the smallest network and frame size: 10
minutes over 1 minute (60 s over 10 s with --quick), one long shot. The clip is a moving still portrait, so
that the real face models run; the networks are random, which costs the same as trained ones.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks._clip import SMOKE_SIZE, portrait_clip, smoke_config, tone
from benchmarks._report import log, main, resident_bytes, table


def run(quick: bool) -> dict[str, Any]:
    """Peak RSS in MB of a short and a long dub, and their ratio."""
    lengths = (10, 60) if quick else (60, 600)
    with tempfile.TemporaryDirectory() as folder:
        rows = [_measure(seconds, Path(folder)) for seconds in lengths]
    table(rows)
    short, long = (row["peak_rss_mb"] for row in rows)
    return {
        "rss_ratio": round(long / short, 3),
        "short_s": lengths[0],
        "long_s": lengths[1],
        "short_rss_mb": short,
        "long_rss_mb": long,
        "long_frames_per_second": rows[1]["frames_per_second"],
    }


def _measure(seconds: int, folder: Path) -> dict[str, Any]:
    log(f"dubbing {seconds} s ...")
    command = [sys.executable, "-m", "benchmarks.memory", "--dub", str(seconds), str(folder)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return {"seconds": seconds, **json.loads(result.stdout.splitlines()[-1])}


def _dub(seconds: int, folder: Path) -> None:
    """What the measured process does."""
    from segtalker.pipeline import SegTalker

    video = portrait_clip(folder / f"{seconds}.mp4", seconds, SMOKE_SIZE)
    speech = tone(folder / f"{seconds}.wav", seconds)
    config = replace(smoke_config(folder), threads=1)
    report = SegTalker(config).dub(video, speech, folder / f"{seconds}.out.mp4", quiet=True)
    total = sum(report.timings_s.values())
    figures = {
        "peak_rss_mb": round(resident_bytes(peak=True) / 1e6, 1),
        "frames_per_second": round(report.num_frames / total, 2),
    }
    print(json.dumps({**figures, "synthesized": report.synthesized}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--dub"]:
        _dub(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(__doc__, run, targets={"rss_ratio": "<= 1.2"})
