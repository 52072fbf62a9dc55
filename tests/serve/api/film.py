"""A small film in pieces, as drivers put them into storage."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from segtalker.compositing.frame_plan import FramePlan
from segtalker.compositing.plan import PlanConfig, make_plan
from segtalker.media.write import EncodeConfig, encode_audio, write_segment
from segtalker.types import VideoInfo
from serve.jobs import Claim

RATE = Fraction(25)
_RUN = "dubbed-0123abcd"
_FAST = EncodeConfig(preset="ultrafast", encoder_threads=1)


@dataclass
class Film:
    """Six frames in three segments, their plan and their sound."""

    plan: FramePlan
    folder: Path

    @property
    def segments(self) -> list[str]:
        return [f"segments/{chunk.index:06d}.mp4" for chunk in self.plan.chunks()]

    def keep(self, claim: Claim, *names: str) -> None:
        """Put pieces into the work of a job, in the folder of their run."""
        for name in names:
            claim.keep(self.folder / name, f"{_RUN}/{name}")

    def keep_head(self, claim: Claim) -> None:
        """What comes before the first segment."""
        claim.keep(self.folder / "key.txt", "key.txt")
        self.keep(claim, "plan.json", "audio.m4a")


def make_film(folder: Path, speech: Path) -> Film:
    """The film in `folder`, with sound of `speech`."""
    times = [index / RATE for index in range(6)]
    shape = {"path": folder, "width": 64, "height": 48, "frame_rate": RATE, "num_frames": 6}
    info = VideoInfo(**shape, is_vfr=False, has_audio=False, is_image=False)
    plan = make_plan(times, info, [], Fraction(6, 25), cfg=PlanConfig(chunk_frames=2))
    film = Film(plan, folder)
    (folder / "segments").mkdir(parents=True)
    (folder / "key.txt").write_text(_RUN)
    (folder / "plan.json").write_text(plan.to_json())
    encode_audio(speech, folder / "audio.m4a", plan.duration)
    for chunk, name in zip(plan.chunks(), film.segments, strict=True):
        frames = [np.full((48, 64, 3), 20 + 5 * index, np.uint8) for index in range(chunk.start, chunk.stop)]
        write_segment(frames, folder / name, RATE, _FAST)
    return film
