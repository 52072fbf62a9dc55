"""Small batches for tests: drawn clips, random networks of 32 px, a worker that sees drawn faces."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from segtalker.batch.config import BatchConfig
from segtalker.batch.rows import DubRow, read_rows
from segtalker.batch.run import Runner
from segtalker.batch.tasks import Answer, Task
from segtalker.batch.worker import Worker
from segtalker.compositing.plan import PlanConfig
from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.local_stages import LocalStages
from segtalker.media.read import read_frames
from segtalker.media.write import EncodeConfig
from tests.dubbing import BlobFaces, talking_clip, tiny_weights, write_speech


class BlobWorker(Worker):
    """A worker that finds the faces of drawn clips."""

    make_stages = staticmethod(lambda cfg: LocalStages(cfg, BlobFaces()))


def small_config(folder: Path, chunk_frames: int = 4) -> DubConfig:
    """Random networks, short segments, lossless output."""
    weights = tiny_weights(folder)
    return DubConfig(
        tsg=NetworkConfig(weights=str(weights["tsg"])),
        sgi=NetworkConfig(weights=str(weights["sgi"])),
        plan=PlanConfig(chunk_frames=chunk_frames),
        encode=EncodeConfig(crf=0, preset="ultrafast", encoder_threads=1),
    )


def draw_rows(
    folder: Path, out: str | Path, frames: int = 6, names: Sequence[str] = ("ann", "bob")
) -> list[DubRow]:
    """Rows of drawn clips with speech of their own lengths."""
    lines = []
    for number, name in enumerate(names):
        talking_clip(folder / f"{name}.mp4", frames)
        write_speech(folder / f"{name}.wav", (frames - number % 2) / 25)
        lines.append(
            {"id": name, "video": f"{name}.mp4", "speech": f"{name}.wav", "output": f"{name}.de.mp4"}
        )
    manifest = folder / "clips.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_rows(manifest, out)


def here(
    cfg: DubConfig, batch: BatchConfig, out: str | Path, before: Callable[[Task], bool] = lambda task: False
) -> Runner:
    """A runner in this process; `before` a task it may say True, and the worker dies on it."""
    worker = BlobWorker(cfg, batch, str(out))

    def run(tasks: Sequence[Task]) -> Iterator[Answer]:
        for task in tasks:
            if not before(Task.from_json(task.to_json())):
                yield Answer.from_json(worker(Task.from_json(task.to_json())).to_json())

    return run


def decoded(path: Path) -> np.ndarray:
    """Frames [N, H, W, 3] of a file."""
    return np.stack([frame.image for frame in read_frames(path)])
