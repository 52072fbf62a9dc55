"""How fast is a whole dub, and where does the time go?

A moving portrait (512 px) dubbed with the shipped networks at their real size; start-up (loading networks,
warming up by a first short dub) is excluded. `frames_per_second` counts decode, faces, parsing, TSG, SGI,
paste-back, encode and the join; the share of each stage is of the same total.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks._clip import portrait_clip, random_mini_config, tone
from benchmarks._report import log, main, table
from segtalker.dub_config import DubConfig
from segtalker.pipeline import SegTalker
from segtalker.stages import weights_path

_STAGES = ("decode", "faces", "parse", "tsg", "sgi", "paste", "encode", "mux", "audio")


def run(quick: bool) -> dict[str, Any]:
    """Frames per second of a dub and the share of every stage."""
    seconds = 4 if quick else 10
    shipped = all(weights_path("mini", name).is_file() for name in ("tsg", "sgi"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = replace(DubConfig() if shipped else random_mini_config(folder), threads=2)
        if not shipped:
            log("the shipped weights are not here: random networks of the same size cost the same")
        video = portrait_clip(folder / "talk.mp4", 10, 512)
        segtalker = SegTalker(config)
        segtalker.dub(video, tone(folder / "warm.wav", 0.4), folder / "warm.mp4", quiet=True)
        report = segtalker.dub(video, tone(folder / "speech.wav", seconds), folder / "out.mp4", quiet=True)
    total = sum(report.timings_s.values())
    shares = {stage: report.timings_s.get(stage, 0.0) / total for stage in _STAGES}
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
        "weights": "shipped" if shipped else "random, same size",
        "threads": config.threads,
        **{f"share_{stage}": round(share, 4) for stage, share in shares.items()},
    }


if __name__ == "__main__":
    main(__doc__, run)
