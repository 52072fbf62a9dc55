"""One optimization step of our own small face parser: the MaskGAN layout on the synthetic corpus.

It stands in for the published parser in SGI's parsing loss (`parsing_mini`) and gives the features of
`perceptual_mini`; it is not the parser that dubbing uses.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from segtalker.data.dataset import ClipsConfig
from segtalker.data.dataset_sgi import SGIBatches, SGIDataConfig
from segtalker.metrics.segmentation import confusion, mean_iou
from segtalker.models.frozen.maskgan_unet import ParsingUNet, ParsingUNetConfig
from segtalker.regions import colourize
from segtalker.training.loop import Metrics, RunConfig
from segtalker.training.sgi_step import to_float
from segtalker.training.single import SingleTask
from segtalker.training.state import OptimConfig, TrainState
from segtalker.training.steps import Batch, autocast


@dataclass(frozen=True, kw_only=True)
class ParsingUNetTrainConfig:
    """What `segtalker train parsing_unet` reads."""

    clips: ClipsConfig
    model: ParsingUNetConfig = field(default_factory=ParsingUNetConfig.mini)
    data: SGIDataConfig = field(default_factory=SGIDataConfig)
    optimizer: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    val_batches: int = 4


class ParsingUNetTask(SingleTask[ParsingUNetTrainConfig]):
    """Trains the U-Net; see `training/loop.py` for what each method is for."""

    name, network = "parsing_unet", ParsingUNet

    def __init__(self, cfg: ParsingUNetTrainConfig) -> None:
        super().__init__(cfg, SGIBatches(cfg.clips, cfg.data, cfg.run.seed))
        self._val = SGIBatches(cfg.clips, cfg.data, seed=0, train=False)

    def step(self, state: TrainState, batch: Batch) -> Metrics:
        """Cross-entropy of every pixel."""
        image = to_float(batch["source_image"], batch["source_image"].shape[1])
        with autocast(state.device, self.cfg.run.precision):
            logits = state.nets["parsing_unet"](image)
        return self.update(state, {"loss": F.cross_entropy(logits.float(), batch["source_map"].long())})

    @torch.no_grad()
    def validate(self, state: TrainState) -> Metrics:
        """Mean IoU over the regions of held-out identities."""
        table = np.zeros((self.cfg.model.num_classes, self.cfg.model.num_classes), np.int64)
        for number in range(self.cfg.val_batches):
            found, truth, _ = self._parsed(state, number)
            table += confusion(found, truth)
        return {"val_miou": mean_iou(table)}

    @torch.no_grad()
    def picture(self, state: TrainState) -> NDArray[np.uint8]:
        """Picture, found map, true map."""
        found, truth, images = self._parsed(state, 0)
        columns = [images, colourize(found), colourize(truth)]
        return np.concatenate([np.concatenate(list(column[:6])) for column in columns], axis=1)

    def _parsed(
        self, state: TrainState, number: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Found maps, true maps [B, S, S] and pictures [B, S, S, 3] of one held-out batch."""
        batch = self._val.batch(number)
        images = batch["source_image"]
        logits = state.averaged("parsing_unet")(to_float(images.to(state.device), images.shape[1]))
        return logits.argmax(dim=1).byte().cpu().numpy(), batch["source_map"].numpy(), images.numpy()
