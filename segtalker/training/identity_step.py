"""One optimization step of our own small identity embedder (ArcFace's layout) on the synthetic corpus.

It stands in for a published face recognizer as `id_mini`, in SGI's identity loss and in evaluation.
Background is blanked, or the network would learn the room instead of the person.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from segtalker.data.dataset import ClipsConfig
from segtalker.data.dataset_sgi import SGIBatches, SGIDataConfig
from segtalker.losses.contrastive import identity_contrast
from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.regions import Region
from segtalker.training.loop import Metrics, RunConfig
from segtalker.training.sgi_step import to_float
from segtalker.training.single import SingleTask
from segtalker.training.state import OptimConfig, TrainState
from segtalker.training.steps import Batch, autocast

_ANYWHERE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class IdentityTrainConfig:
    """What `segtalker train identity` reads."""

    clips: ClipsConfig
    model: ArcFaceConfig = field(default_factory=ArcFaceConfig.mini)
    data: SGIDataConfig = field(default_factory=lambda: SGIDataConfig(items=32, max_gap=_ANYWHERE))
    temperature: float = 0.1
    optimizer: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    val_batches: int = 4


class IdentityTask(SingleTask[IdentityTrainConfig]):
    """Trains the embedder; see `training/loop.py` for what each method is for."""

    name, network = "identity", ArcFace

    def __init__(self, cfg: IdentityTrainConfig) -> None:
        super().__init__(cfg, SGIBatches(cfg.clips, cfg.data, cfg.run.seed))
        self._val = SGIBatches(cfg.clips, cfg.data, seed=0, train=False)

    def step(self, state: TrainState, batch: Batch) -> Metrics:
        """Contrast of two pictures of each person, anywhere in a clip, with all other people."""
        with autocast(state.device, self.cfg.run.precision):
            both = state.nets["identity"](torch.cat(_faces(batch)))
        one, other = both.chunk(2)
        loss = identity_contrast(one, other, batch["identity"], self.cfg.temperature)
        return self.update(state, {"loss": loss})

    @torch.no_grad()
    def validate(self, state: TrainState) -> Metrics:
        """On held-out people: share of (same, different) pairs that the cosine puts in the right order."""
        net = state.averaged("identity")
        same, different = [], []
        for number in range(self.cfg.val_batches):
            batch = {name: value.to(state.device) for name, value in self._val.batch(number).items()}
            one, other = (net(faces) for faces in _faces(batch))
            cosine = one @ other.t()
            others = batch["identity"][:, None] != batch["identity"][None]
            same.append(cosine.diagonal())
            different.append(cosine[others])
        right, wrong = torch.cat(same), torch.cat(different)
        if not len(wrong):
            return {"val_same_cosine": float(right.mean())}
        order = (right[:, None] > wrong[None]).float().mean()
        return {"val_auc": float(order), "val_same_cosine": float(right.mean())}


def _faces(batch: Batch) -> tuple[Tensor, Tensor]:
    """Both pictures [B, 3, S, S] with a grey background."""
    faces = []
    for which in ("source", "target"):
        images = batch[f"{which}_image"]
        inside = (batch[f"{which}_map"] != Region.BACKGROUND)[:, None]
        faces.append(to_float(images, images.shape[1]) * inside)
    return faces[0], faces[1]
