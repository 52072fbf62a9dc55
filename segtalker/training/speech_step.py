"""One optimization step of the speech context encoder: which phone sounds, and what the mouth does then.

It stands in for AV-HuBERT's pretraining at the mini size. Without it TSG would have to learn to hear from
the few frames whose maps it can afford to draw, and would know no voice but those.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segtalker.data.dataset import ClipsConfig
from segtalker.data.dataset_speech import SpeechBatches, SpeechDataConfig
from segtalker.data.phones import UNKNOWN_PHONE
from segtalker.data.shards import MOUTH
from segtalker.metrics.opening import correlation
from segtalker.models.speech_encoder import SpeechEncoder, SpeechEncoderConfig
from segtalker.training.loop import Metrics, RunConfig
from segtalker.training.phones import note_missing_phones, phone_loss
from segtalker.training.single import SingleTask
from segtalker.training.state import OptimConfig, TrainState
from segtalker.training.steps import Batch, autocast
from segtalker.weights.uses import WeightsUse

_OPENING = MOUTH.index("opening")


@dataclass(frozen=True, kw_only=True)
class SpeechTrainConfig:
    """What `segtalker train speech` reads."""

    clips: ClipsConfig
    model: SpeechEncoderConfig = field(default_factory=SpeechEncoderConfig)
    data: SpeechDataConfig = field(default_factory=SpeechDataConfig)
    start_from: str | None = None
    """Weights of a speech encoder to go on from, of the same size: a path, a URI or `cache:ROW`."""
    phone_weight: float = 0.3
    """Of the cross-entropy of the phones."""
    mouth_weight: float = 4.0
    """Of the mean squared error of the mouth."""
    optimizer: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    val_batches: int = 4

    def weights(self) -> tuple[WeightsUse, ...]:
        """The encoder that it goes on from."""
        return (WeightsUse("start_from", self.start_from, "speech", "start"),)


class SpeechTask(SingleTask[SpeechTrainConfig]):
    """Trains the speech encoder; see `training/loop.py` for what each method is for."""

    name, network = "speech", SpeechEncoder

    def __init__(self, cfg: SpeechTrainConfig) -> None:
        train = SpeechBatches(cfg.clips, cfg.data, cfg.run.seed)
        super().__init__(cfg, train)
        self._val = SpeechBatches(cfg.clips, cfg.data, seed=0, train=False)
        if cfg.phone_weight:
            self.notes += note_missing_phones(train.reader, train.clips)

    def step(self, state: TrainState, batch: Batch) -> Metrics:
        """Cross-entropy of the phones and squared error of the mouth, at every token that is no padding."""
        with autocast(state.device, self.cfg.run.precision):
            phones, mouth = state.nets["speech"](batch["tokens"], batch["padding"])
        heard = phone_loss(phones, batch["phones"])
        mouth_loss = F.mse_loss(mouth.float()[~batch["padding"]], batch["mouth"][~batch["padding"]])
        loss = self.cfg.phone_weight * heard + self.cfg.mouth_weight * mouth_loss
        return self.update(state, {"loss": loss, "phones": heard, "mouth": mouth_loss})

    @torch.no_grad()
    def validate(self, state: TrainState) -> Metrics:
        """Share of known phones that are heard, and correlation of the opening within 3 s, held-out clips."""
        net = state.averaged("speech")
        right: list[Tensor] = []
        correlations = []
        for number in range(self.cfg.val_batches):
            batch = {name: value.to(state.device) for name, value in self._val.batch(number).items()}
            phones, mouth = net(batch["tokens"], batch["padding"])
            known = batch["phones"] != UNKNOWN_PHONE
            right.append((phones.argmax(dim=-1) == batch["phones"])[known].float())
            for i, spoken in enumerate(~batch["padding"]):
                drawn, truth = (m[i, spoken, _OPENING].cpu().numpy() for m in (mouth, batch["mouth"]))
                correlations.append(correlation(drawn, truth))
        figures = {"val_correlation": float(np.mean(correlations))}
        heard = torch.cat(right)
        return {"val_phone_accuracy": float(heard.mean()), **figures} if len(heard) else figures
