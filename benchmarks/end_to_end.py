"""How fast is a whole dub, and where does the time go?

A moving portrait (512 px) dubbed with the shipped networks (an untrained one draws noise, and maps of noise
cost the renderer many times as much); start-up (loading networks, warming up by a first short dub) is
excluded. `frames_per_second` counts decode, faces, parsing, TSG, SGI, paste-back, encode and the join; the
share of each stage is of the same total.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks._clip import portrait_clip, tone
from benchmarks._report import main, table
from segtalker.dub_config import DubConfig
from segtalker.pipeline import SegTalker

STAGES = ("decode", "faces", "parse", "tsg", "sgi", "paste", "encode", "mux", "audio")


def run(quick: bool) -> dict[str, Any]:
    """Frames per second of a dub and the share of every stage."""
    config = DubConfig(threads=2)
    with tempfile.TemporaryDirectory() as name:
        video = portrait_clip(Path(name) / "talk.mp4", 10, 512)
        figures = timed_dub(SegTalker(config), video, 4 if quick else 10, Path(name))
    return {**figures, "threads": config.threads}


def timed_dub(segtalker: SegTalker, video: Path, seconds: float, folder: Path) -> dict[str, Any]:
    """Dub up to `seconds` of `video` with loaded, warm networks; a table shows where the time went."""
    segtalker.dub(video, tone(folder / "warm.wav", 0.4), folder / "warm.mp4", quiet=True)
    report = segtalker.dub(video, tone(folder / "speech.wav", seconds), folder / "out.mp4", quiet=True)
    total = sum(report.timings_s.values())
    shares = {stage: report.timings_s.get(stage, 0.0) / total for stage in STAGES}
    table(
        [
            {
                "stage": stage,
                "ms per frame": 1e3 * report.timings_s.get(stage, 0.0) / report.num_frames,
                "share": f"{share:.1%}",
            }
            for stage, share in shares.items()
        ]
    )
    return {
        "frames_per_second": round(report.num_frames / total, 2),
        "num_frames": report.num_frames,
        "synthesized": report.synthesized,
        **{f"share_{stage}": round(share, 4) for stage, share in shares.items()},
    }


if __name__ == "__main__":
    main(__doc__, run)
