"""What do the paper's sizes cost on a GPU? Steps per second, memory, and frames per second of a dub.

Trainings are those of `configs/paper` at the paper's batches, in their precision, on one GPU: SyncNet 8
clips, TSG 20 frames (`tsg` without the sync loss, `tsg_sync` with it), SGI 4 pairs of frames. All networks
are random, which costs the same as trained ones; loss terms whose pretrained networks are absent are off, and
`notes` names them: with them SGI is slower and larger. TF32 is as PyTorch has it by default. A training that
does not fit reads "out of memory".

    NAME_steps_per_second   of warm steps, reading clips left out
    NAME_peak_memory_gb     10^9 bytes of tensors at most, networks and optimizers included
    frames_per_second_512   of a whole dub as in `end_to_end`: a 512 px video, TSG and SGI at 512 px (16
                            codes), bf16; `share_STAGE` says where its time goes

Without a CUDA device every figure reads "not run".
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks._clip import portrait_clip
from benchmarks._paper_trainings import PAPER, TRAININGS, draw_corpus, measure, paper_config
from benchmarks._report import log, main
from benchmarks.end_to_end import STAGES, timed_dub
from segtalker.config import load_config
from segtalker.data.prepare import PrepareConfig
from segtalker.dub_config import DubConfig
from segtalker.errors import SegTalkerError
from segtalker.faces.detect import FaceBackend
from segtalker.local_stages import Compute, LocalStages, Painter, Talker, pick_device
from segtalker.models.sgi import SGI, SGIConfig
from segtalker.models.tsg import TSG, TSGConfig
from segtalker.pipeline import SegTalker
from segtalker.stages import Networks
from segtalker.training.run import load_train_config

NOT_RUN = "not run"
TOO_LARGE = "out of memory"
FRAME_PX = 512
STEPS = {"quick": 16, "full": 48}
"""Of each training: multiples of the 16 of which one has R1."""
_SPEED = f"frames_per_second_{FRAME_PX}"
_SHARES = tuple(f"share_{stage}" for stage in STAGES)
FIGURES = (
    "gpu",
    "software",
    *(f"{name}_{what}" for name in TRAININGS for what in ("steps_per_second", "peak_memory_gb", "precision")),
    _SPEED,
    "dub_precision",
    *_SHARES,
    "notes",
)
"""What `run` gives on every machine."""


def run(quick: bool) -> dict[str, Any]:
    """All of `FIGURES`, by name."""
    if not torch.cuda.is_available():
        log(f'No CUDA device here: every figure of a GPU is "{NOT_RUN}".')
        return dict.fromkeys(FIGURES, NOT_RUN)
    figures: dict[str, Any] = {
        "gpu": torch.cuda.get_device_name(),
        "software": f"torch {torch.__version__}, CUDA {torch.version.cuda}",
        "notes": ["all networks are random; the dub draws maps of its source, moved by a few pixels."],
    }
    device, notes = torch.device("cuda"), figures["notes"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        corpus = draw_corpus(folder / "corpus", load_config(PrepareConfig, PAPER / "prepare.yaml").size)
        for name in TRAININGS:
            cfg = paper_config(name, corpus, folder)
            figures |= train_figures(name, cfg, device, STEPS["quick" if quick else "full"], notes)
        config = DubConfig(device="cuda", precision="bf16")
        segtalker = SegTalker(config, RandomStages(config, *dub_networks()))
        figures |= dub_figures(segtalker, 4 if quick else 10, folder, notes)
    return {name: figures[name] for name in FIGURES}


def train_figures(
    name: str, cfg: Any, device: torch.device, steps: int, notes: list[str]
) -> dict[str, float | str]:
    """Speed, memory and precision of a training of `TRAININGS`; what it says of itself joins `notes`."""
    speed: float | str = TOO_LARGE
    memory: float | str = TOO_LARGE
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(TRAININGS[name].network, cfg, device, steps, Path(folder))
    except torch.OutOfMemoryError as error:
        log(f"{name}: does not fit into the memory of this device ({str(error).splitlines()[0]})")
    else:
        speed = round(found.steps_per_second, 3)
        memory = NOT_RUN if found.peak_memory_gb is None else round(found.peak_memory_gb, 2)
        log(f"{name}: {speed} steps a second, {memory} GB")
        for note in found.notes:
            log(f"{name}: {note}")
            notes.append(f"{name}: {note}")
    return {
        f"{name}_steps_per_second": speed,
        f"{name}_peak_memory_gb": memory,
        f"{name}_precision": cfg.run.precision,
    }


def dub_figures(
    segtalker: SegTalker, seconds: float, folder: Path, notes: list[str], video: Path | None = None
) -> Mapping[str, Any]:
    """Speed and shares of a dub of `video`, else of the portrait of `end_to_end`, which wants face models."""
    precision = {"dub_precision": segtalker.config.precision}
    try:
        video = video or portrait_clip(folder / "talk.mp4", 10, FRAME_PX)
    except (SegTalkerError, ImportError) as error:
        log(f"dub: {NOT_RUN}, there is no portrait to dub ({error})")
        notes.append(f"dub: {error}")
        return {_SPEED: NOT_RUN, **dict.fromkeys(_SHARES, NOT_RUN), **precision}
    found = timed_dub(segtalker, video, seconds, folder)
    return {_SPEED: found["frames_per_second"], **{name: found[name] for name in _SHARES}, **precision}


def dub_networks() -> tuple[TSGConfig, SGIConfig]:
    """TSG of `configs/paper`, and its SGI with a generator of `FRAME_PX`."""
    tsg, sgi = (load_train_config(name, PAPER / f"{name}.yaml").model for name in ("tsg", "sgi"))
    return tsg, replace(sgi, generator=replace(sgi.generator, size=FRAME_PX))


class RandomStages(LocalStages):
    """Networks of any size that have learned nothing."""

    def __init__(
        self, config: DubConfig, tsg: TSGConfig, sgi: SGIConfig, backend: FaceBackend | None = None
    ) -> None:
        super().__init__(config, backend)
        self._config, self._sizes = config, (tsg, sgi)

    @cached_property
    def networks(self) -> Networks:
        """Talker and painter on the chosen device, in the chosen precision."""
        torch.manual_seed(0)
        cfg, (tsg, sgi) = self._config, self._sizes
        compute = Compute(pick_device(cfg.device), cfg.precision, cfg.render.batch)
        talker, painter = Talker(MovedPoseTSG(tsg), compute), Painter(SGI(sgi), compute)
        return Networks(talker, painter, hashes={})


class MovedPoseTSG(TSG):
    """Computes all that a TSG computes, then draws the pose source a little lower.

    Maps that a random network draws are noise: with borders everywhere, they would cost the renderer many
    times as much as a face.
    """

    def forward(self, pose: Tensor, reference: Tensor, mel: Tensor, context: Tensor) -> Tensor:
        """Logits [N, 12, S, S] that are the larger for the moved pose than for all that was computed."""
        logits = super().forward(pose, reference, mel, context)
        return logits.float().tanh() + 4 * pose.roll(max(1, self.cfg.size // 128), dims=2)


if __name__ == "__main__":
    main(__doc__, run)
