"""One optimization step of the lip-sync expert (arXiv 2409.03605, Sec. 3.2, eq. (3)).

The paper pairs each window with one right or wrong piece of speech. Here every window of a clip meets the
speech of every other window of that clip, and the network must also pick the right one among them: without
these many in-clip negatives it sits at a loss of 0.69 for very long. In training only, it also tells the
mouth's opening from either embedding alone, and from the speech the phones where a corpus knows them: under
a norm that does not mix samples both embeddings would otherwise collapse to constants, and the loss stay at
0.69 for good. The same task trains the expert that only evaluates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from segtalker.data.dataset import ClipsConfig, SyncBatches, SyncDataConfig
from segtalker.data.phones import PHONE_NAMES
from segtalker.losses.sync import in_clip_sync_loss, pair_bce
from segtalker.models.syncnet import SyncNet, SyncNetConfig
from segtalker.regions import Region
from segtalker.training.loop import Metrics, RunConfig, TrainContext
from segtalker.training.maps import pool_lower_half
from segtalker.training.phones import note_missing_phones, phone_loss
from segtalker.training.provenance import save_trained
from segtalker.training.state import OptimConfig, TrainState
from segtalker.training.steps import Batch, accumulate, autocast, seeded
from segtalker.training.weights_uri import local_weights
from segtalker.weights.checkpoint import fill_weights
from segtalker.weights.uses import WeightsUse

EVALUATION_GAP = 10
"""Frames (0.4 s) that wrong pairs are apart at least when accuracy is measured."""
_SHAPE_REGIONS = (Region.LIP, Region.MOUTH)
_STUCK_LOSS = 0.67
_STUCK_STEP = 300


@dataclass(frozen=True, kw_only=True)
class SyncLossConfig:
    """Every weight of the loss."""

    nce_weight: float = 0.25
    """Of the two-way choice among a clip's windows, beside the binary cross-entropy."""
    shape_weight: float = 0.5
    """Of telling the mouth's opening from either embedding alone, which keeps embeddings from collapsing to
    a constant before they have found what they share; our addition to the paper."""
    phone_weight: float = 0.0
    """Of telling from the speech embedding which phone sounds in each frame, where a corpus knows; a short
    training learns to hear by it."""
    negative_gap: int = 5
    """Frames that two windows must be apart at least to make a wrong pair."""


@dataclass(frozen=True, kw_only=True)
class SyncNetTrainConfig:
    """What `segtalker train syncnet` reads."""

    clips: ClipsConfig
    model: SyncNetConfig = field(default_factory=SyncNetConfig.mini)
    data: SyncDataConfig = field(default_factory=SyncDataConfig)
    loss: SyncLossConfig = field(default_factory=SyncLossConfig)
    optimizer: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    start_from: str | None = None
    """Weights of a SyncNet to go on from, of the same size: a path, a URI or `cache:ROW`."""
    name: str = "syncnet"
    """Of the weights file."""
    accumulate: int = 1
    """Parts (of whole clips) that a batch is cut into to save memory."""
    val_batches: int = 4

    def weights(self) -> tuple[WeightsUse, ...]:
        """The expert that it goes on from."""
        return (WeightsUse("start_from", self.start_from, "syncnet", "start"),)


class SyncNetTask:
    """Trains SyncNet; see `training/loop.py` for what each method is for."""

    def __init__(self, cfg: SyncNetTrainConfig) -> None:
        self.cfg = cfg
        self.notes: list[str] = []
        if cfg.data.voices is not None and not cfg.loss.phone_weight:
            self.notes.append("data.voices is not used: loss.phone_weight is 0.")
        self._train = SyncBatches(cfg.clips, cfg.data, cfg.model.window, cfg.run.seed)
        self._val = SyncBatches(cfg.clips, cfg.data, cfg.model.window, seed=0, train=False)
        if cfg.loss.phone_weight:
            self.notes += note_missing_phones(self._train.reader, self._train.clips)
            self.notes += note_missing_phones(*self._train.voices) if self._train.voices else []

    def build(self, context: TrainContext) -> TrainState:
        """The network with its optimizer."""
        cfg = self.cfg
        state = TrainState(self._train.sampler, context.device, cfg.run.channels_last)
        net = seeded(lambda: Embedder(SyncNet(cfg.model), cfg.loss.phone_weight > 0), cfg.run.seed)
        if cfg.start_from is not None:
            fill_weights(net.syncnet, local_weights(cfg.start_from))
        state.add("syncnet", net, cfg.optimizer, cfg.run.max_steps, wrap=context.wrap)
        return state

    def batches(self) -> SyncBatches:
        """Training batches by step."""
        return self._train

    def step(self, state: TrainState, batch: Batch) -> Metrics:
        """All pairs within each clip."""
        sums: dict[str, float] = {}
        for part in accumulate(state.nets["syncnet"], batch, self.cfg.accumulate):
            losses = self._losses(state.nets["syncnet"], part)
            (losses["loss"] / self.cfg.accumulate).backward()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / self.cfg.accumulate
        return {**sums, "grad_norm": float(state.apply("syncnet")), "lr": state.learning_rate("syncnet")}

    @torch.no_grad()
    def validate(self, state: TrainState) -> Metrics:
        """Loss and accuracy on held-out clips: balanced pairs >= 0.4 s apart, silent windows left out."""
        figures: dict[str, list[float]] = {"val_bce": [], "val_accuracy": []}
        for number in range(self.cfg.val_batches):
            batch = {name: value.to(state.device) for name, value in self._val.batch(number).items()}
            logits, _, _ = self._pair_logits(state.averaged("syncnet"), batch)
            pairs = pair_masks(batch["start"], batch["spoken"], EVALUATION_GAP, spoken_only=True)
            figures["val_bce"].append(float(pair_bce(logits, *pairs)))
            figures["val_accuracy"].append(float(balanced_accuracy(logits, *pairs)))
        return {name: float(np.mean(values)) for name, values in figures.items()}

    def picture(self, state: TrainState) -> NDArray[np.uint8] | None:
        """Probability of every mask window (down) with every mel window (across) of one held-out batch."""
        batch = {name: value.to(state.device) for name, value in self._val.batch(0).items()}
        with torch.no_grad():
            logits, _, _ = self._pair_logits(state.averaged("syncnet"), batch)
        grids = torch.sigmoid(logits).cpu().numpy()
        tiles = np.kron(np.concatenate(grids[:6], axis=1), np.ones((12, 12)))
        return np.repeat((255 * tiles).astype(np.uint8)[..., None], 3, axis=2)

    def alert(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """SyncNet's known way to fail is to answer one half to everything."""
        if step >= _STUCK_STEP and metrics.get("bce", 0.0) > _STUCK_LOSS:
            return (
                f"the loss still sits near 0.69 (now {metrics['bce']:.3f}): nothing is being learned. Check "
                "that speech and maps of the clips are in sync, raise data.windows, or warm up longer."
            )
        return None

    def save(self, state: TrainState, folder: Path, figures: Mapping[str, float]) -> Path:
        """Slim weights of the averaged network."""
        net = state.averaged("syncnet")
        assert isinstance(net, Embedder)
        path = folder / f"{self.cfg.name}.safetensors"
        return save_trained(net.syncnet, self.cfg.model, path, self.cfg, state, figures)

    def _losses(self, net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Means over clips, which weigh the same however many pairs they have."""
        cfg = self.cfg.loss
        logits, shapes, phones = self._pair_logits(net, batch)
        positive, negative = pair_masks(batch["start"], batch["spoken"], cfg.negative_gap)
        rows = []
        for grid in zip(logits.split(1), positive.split(1), negative.split(1), strict=True):
            losses = in_clip_sync_loss(*grid, cfg.nce_weight)
            rows.append({**losses, "accuracy": balanced_accuracy(*grid)})
        means = {name: torch.stack([row[name] for row in rows]).mean() for name in rows[0]}
        # Even at weight 0: heads without any gradient are what data parallelism does not forgive.
        means["shape"] = shape_loss(shapes, mouth_shares(batch["masks"]))
        means["loss"] = means["loss"] + cfg.shape_weight * means["shape"]
        if cfg.phone_weight:
            means["phones"] = phone_loss(phones, batch["phones"])
            if "voices_mel" in batch:
                means["phones"] = 0.5 * (means["phones"] + self._voices_loss(net, batch))
            means["loss"] = means["loss"] + cfg.phone_weight * means["phones"]
        return means

    def _voices_loss(self, net: nn.Module, batch: Batch) -> Tensor:
        with autocast(batch["mel"].device, self.cfg.run.precision):
            told = net(None, batch["voices_mel"].flatten(0, 1))
        return phone_loss(told, batch["voices_phones"])

    def _pair_logits(self, net: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Any]:
        """Log-odds [C, W, W] of mask window i with mel window j of each clip; what `Embedder` tells."""
        clips, windows = batch["start"].shape
        with autocast(batch["mel"].device, self.cfg.run.precision):
            masks, mel, scale, shapes, phones = net(batch["masks"].flatten(0, 1), batch["mel"].flatten(0, 1))
        masks = F.normalize(masks.float(), dim=1).unflatten(0, (clips, windows))
        mel = F.normalize(mel.float(), dim=1).unflatten(0, (clips, windows))
        logits = scale[0] * (masks @ mel.transpose(1, 2)) + scale[1]
        return logits, shapes.unflatten(1, (clips, windows)), phones


class Embedder(nn.Module):
    """SyncNet's two branches in one forward pass, fed with region maps as stored."""

    def __init__(self, syncnet: SyncNet, hear_phones: bool = False) -> None:
        super().__init__()
        self.syncnet = syncnet
        outputs = len(_SHAPE_REGIONS) * syncnet.cfg.window
        self.shape_heads = nn.ModuleList(nn.Linear(syncnet.cfg.embedding, outputs) for _ in range(2))
        # A head without a loss would have no gradient, which data parallelism does not forgive.
        phones = len(PHONE_NAMES) * syncnet.cfg.window
        self.phone_head = nn.Linear(syncnet.cfg.embedding, phones) if hear_phones else None

    def forward(self, masks: Tensor | None, mel: Tensor) -> Any:
        """Embeddings [N, 512] of lower-half maps [N, T, S/2, S] and of mel [N, 1, 80, 16].

        Also scale and bias of the cosine, the mouth's shape as either embedding tells it [2, N, 2 T], and
        logits [N, T, 40] of the phones that the speech embedding tells (None without `hear_phones`); these
        alone without masks.
        """
        net = self.syncnet
        heard = net.embed_mel(mel)
        phones = (
            None if self.phone_head is None else self.phone_head(heard).unflatten(1, (net.cfg.window, -1))
        )
        if masks is None:
            return phones
        pooled = pool_lower_half(masks, net.cfg.size)
        zero = torch.zeros((), device=mel.device)
        bias = net.scale_cosine(zero)
        scale = torch.stack([net.scale_cosine(zero + 1) - bias, bias])
        embeddings = net.embed_masks(pooled), heard
        shapes = [head(embedding) for head, embedding in zip(self.shape_heads, embeddings, strict=True)]
        return *embeddings, scale, torch.stack(shapes), phones


def mouth_shares(masks: Tensor) -> Tensor:
    """Shares of lip and mouth pixels [C, W, 2 T] in each frame of lower-half maps [C, W, T, S/2, S]."""
    return torch.cat([(masks == region).float().mean(dim=(-2, -1)) for region in _SHAPE_REGIONS], dim=-1)


def shape_loss(shapes: Tensor, shares: Tensor) -> Tensor:
    """Mean squared error of told shapes [2, C, W, K] and `shares` [C, W, K], both as deviations in a clip.

    Shares are scaled to unit variance within each clip: how big a person's mouth is does not matter.
    """
    target = shares - shares.mean(dim=1, keepdim=True)
    target = target / target.std(dim=1, keepdim=True).clamp_min(1e-4)
    told = shapes.float() - shapes.float().mean(dim=2, keepdim=True)
    return (told - target).square().mean()


def pair_masks(start: Tensor, spoken: Tensor, gap: int, spoken_only: bool = False) -> tuple[Tensor, Tensor]:
    """Right and wrong pairs [C, W, W] of windows that start at frames [C, W] of C clips.

    Wrong ones are at least `gap` frames apart, and not both silent: two silences do belong together. With
    `spoken_only`, silent windows take part in no pair at all.
    """
    both = spoken[:, :, None] & spoken[:, None, :]
    either = spoken[:, :, None] | spoken[:, None, :]
    apart = (start[:, :, None] - start[:, None, :]).abs()
    positive = torch.eye(start.shape[1], dtype=torch.bool, device=start.device).expand_as(apart)
    negative = (apart >= gap) & either
    return (positive & both, negative & both) if spoken_only else (positive, negative)


def balanced_accuracy(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Mean of the shares of right pairs found and of wrong ones refused at probability one half."""
    found, refused = (logits > 0) & positive, (logits <= 0) & negative
    return 0.5 * (found.sum() / positive.sum().clamp(min=1) + refused.sum() / negative.sum().clamp(min=1))
