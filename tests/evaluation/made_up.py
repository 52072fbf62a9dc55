"""An evaluation with known numbers, for tests of tables, plots and comparisons."""

from __future__ import annotations

from segtalker.evaluation.columns import COPY, REAL
from segtalker.evaluation.results import Evaluation, Failure, MethodResult

VIDEOS = tuple(f"clip{i}" for i in range(6))


def made_up(**protocol: object) -> Evaluation:
    """Four rows over six videos: `ours` beats `theirs` but in F-LMD, and lacks a video."""
    return Evaluation(
        protocol={"size": 256, "seed": 3, **protocol},
        methods=[
            _method(REAL, psnr=110.0, f_lmd=0.0, offset=0.0, fid=0.0),
            _method(COPY, psnr=40.0, f_lmd=1.0, offset=2.0, fid=0.1),
            _method("ours", psnr=31.0, f_lmd=2.5, offset=0.5, fid=12.0, lacks="clip5"),
            _method("theirs", psnr=28.0, f_lmd=2.0, offset=-1.5, fid=20.0),
        ],
        absent={"lpips": "Its network is not here: segtalker weights fetch lpips."},
        versions={"segtalker": "0"},
        created="2026-01-01T00:00:00+00:00",
        notes=["Made up for tests."],
    )


def _method(
    name: str, psnr: float, f_lmd: float, offset: float, fid: float, lacks: str | None = None
) -> MethodResult:
    spread = 0.0 if name == REAL else 1.0
    videos = {
        video: {
            "psnr": psnr + spread * 0.3 * (place - 2.5),
            "f_lmd": f_lmd + spread * 0.1 * (place % 3 - 1),
            "expert_offset": offset,
            "closure": None if place else 0.25,
        }
        for place, video in enumerate(VIDEOS)
        if video != lacks
    }
    failures = [Failure(lacks, "no video")] if lacks else []
    return MethodResult(name, videos, {"fid": fid}, failures)
