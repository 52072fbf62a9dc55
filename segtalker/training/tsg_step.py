"""One optimization step of the talking segmentation generator (arXiv 2409.03605, Sec. 3.2 and 4.1).

First weighted cross-entropy alone (eq. (2)), on frames scattered over a clip; from `sync_from` on the frames
are windows of five and a frozen SyncNet adds -log P_sync of the softmax maps (eq. (4)).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segtalker.data.dataset import ClipsConfig, TSGBatches, TSGDataConfig
from segtalker.data.phones import frame_times
from segtalker.errors import ConfigError
from segtalker.losses.reconstruction import area_weights, probability_l1, weighted_cross_entropy
from segtalker.losses.sync import sync_loss
from segtalker.metrics.opening import closure_ratio, correlation, mouth_area, silence_ratio
from segtalker.metrics.segmentation import STRAY_SHARE, confusion, lower_half, mean_iou
from segtalker.models.speech_encoder import SpeechEncoder
from segtalker.models.syncnet import SyncNet
from segtalker.models.tsg import TSG, TSGConfig
from segtalker.regions import NUM_REGIONS, colourize
from segtalker.training.loop import Metrics, RunConfig, TrainContext
from segtalker.training.maps import mouth_zone, one_hot_maps
from segtalker.training.phones import note_missing_phones
from segtalker.training.provenance import save_trained
from segtalker.training.state import OptimConfig, TrainState
from segtalker.training.steps import Batch, accumulate, autocast, seeded
from segtalker.training.talk import choose_reference, talk
from segtalker.training.weights_uri import local_weights
from segtalker.weights.checkpoint import fill_weights, load_weights
from segtalker.weights.uses import WeightsUse


@dataclass(frozen=True, kw_only=True)
class TSGLossConfig:
    """Every weight of the loss."""

    reconstruction: Literal["cross_entropy", "l1"] = "cross_entropy"
    """`l1`: of the probabilities, without class weights (the paper's ablation "without cross entropy")."""
    area_power: float = 0.5
    """Class weights are area^-power; 1 is the paper's inverse area, which fattens thin regions."""
    max_class_weight: float = 4.0
    upper_half_weight: float = 0.2
    """Of pixels whose class the pose source already shows; without effect where they are copied."""
    mouth_weight: float = 1.0
    """Of pixels near lips and mouth."""
    closure_weight: float = 3.0
    """Of pixels near lips and mouth in frames with lips pressed together (p, b, m), on top."""
    mouth_reach: float = 0.05
    """How far "near" is, share of the map's side."""
    sync_weight: float = 0.03
    """Of -log P_sync; 0 switches it off."""


@dataclass(frozen=True, kw_only=True)
class TSGTrainConfig:
    """What `segtalker train tsg` reads."""

    clips: ClipsConfig
    model: TSGConfig = field(default_factory=TSGConfig)
    data: TSGDataConfig = field(default_factory=TSGDataConfig)
    loss: TSGLossConfig = field(default_factory=TSGLossConfig)
    optimizer: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    start_from: str | None = None
    """Weights of a TSG to go on from, of the same size. As all weights here a path, a URI, or `cache:ROW` for
    what the weights cache holds of that row of the registry."""
    speech: str | None = None
    """Weights of a trained speech encoder to listen with; without it the context encoder starts at random."""
    tune_speech: bool = False
    """Train a pretrained speech encoder (of `speech` or `start_from`) further; else it stays as it is."""
    syncnet: str | None = None
    """Weights of the frozen SyncNet; without it the sync loss is off."""
    sync_from: int = 0
    """First step with the sync loss."""
    accumulate: int = 1
    """Parts that a batch is cut into to save memory; the result is that of the whole."""
    val_clips: int = 8

    @property
    def hears_expert(self) -> bool:
        """Whether the sync loss takes part; its windows are five frames."""
        return self.syncnet is not None and self.loss.sync_weight > 0 and self.data.frames == 5

    def weights(self) -> tuple[WeightsUse, ...]:
        """Where the network begins, its ear, and the expert that the sync loss asks."""
        expert = WeightsUse("syncnet", self.syncnet, "syncnet", "loss", term="sync")
        return (
            WeightsUse("start_from", self.start_from, "tsg", "start"),
            WeightsUse("speech", self.speech, "speech", "start"),
            *((expert,) if self.hears_expert else ()),
        )


class TSGTask:
    """Trains TSG; see `training/loop.py` for what each method is for."""

    def __init__(self, cfg: TSGTrainConfig) -> None:
        self.cfg = cfg
        self.notes: list[str] = []
        windows_from = cfg.sync_from if cfg.syncnet and cfg.loss.sync_weight else cfg.run.max_steps
        self._train = TSGBatches(cfg.clips, cfg.data, cfg.run.seed, windows_from)
        self._val = TSGBatches(cfg.clips, cfg.data, cfg.run.seed, train=False)
        areas = torch.from_numpy(self._train.region_areas())
        self._weights = area_weights(areas, cfg.loss.area_power, cfg.loss.max_class_weight)
        self._expert: SyncNet | None = None
        if cfg.loss.closure_weight:
            self.notes += note_missing_phones(self._train.reader, self._train.clips, "closure")
        if cfg.model.context is None:
            self.notes.append("no speech context: the network hears its mel window alone.")
        elif cfg.speech is None and cfg.start_from is None:
            self.notes.append("context encoder starts at random: no speech encoder is given (key `speech`).")
        if cfg.loss.sync_weight and cfg.syncnet is None:
            self.notes.append("sync loss is off: no SyncNet weights are given (key `syncnet`).")
        elif cfg.loss.sync_weight and cfg.data.frames != 5:
            self.notes.append("sync loss is off: items need data.frames: 5.")

    def build(self, context: TrainContext) -> TrainState:
        """The network with its optimizer, and the frozen SyncNet."""
        cfg = self.cfg
        state = TrainState(self._train.sampler, context.device, cfg.run.channels_last)
        net = seeded(lambda: TalkingNet(TSG(cfg.model)), cfg.run.seed)
        if cfg.start_from is not None:
            fill_weights(net.tsg, local_weights(cfg.start_from))
        if cfg.speech is not None:
            self._take_over(net.tsg, cfg.speech)
        pretrained = cfg.speech is not None or cfg.start_from is not None
        if net.tsg.context_encoder is not None:
            net.tsg.context_encoder.requires_grad_(cfg.tune_speech or not pretrained)
        state.add("tsg", net, cfg.optimizer, cfg.run.max_steps, wrap=context.wrap)
        if cfg.syncnet is not None and cfg.hears_expert:
            expert = load_weights(local_weights(cfg.syncnet), "syncnet", context.device)
            assert isinstance(expert, SyncNet)
            self._expert = expert.requires_grad_(False)
        self._weights = self._weights.to(context.device)
        return state

    def batches(self) -> TSGBatches:
        """Training batches by step."""
        return self._train

    def step(self, state: TrainState, batch: Batch) -> Metrics:
        """Cross-entropy, and from `sync_from` on the sync loss."""
        with_sync = self._expert is not None and state.step >= self.cfg.sync_from
        sums: dict[str, float] = {}
        for part in accumulate(state.nets["tsg"], batch, self.cfg.accumulate):
            losses = self._losses(state.nets["tsg"], part, with_sync)
            (losses["loss"] / self.cfg.accumulate).backward()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / self.cfg.accumulate
        return {**sums, "grad_norm": float(state.apply("tsg")), "lr": state.learning_rate("tsg")}

    def validate(self, state: TrainState) -> Metrics:
        """Figures on held-out clips drawn whole, each from one reference that is not scored."""
        net = state.averaged("tsg")
        assert isinstance(net, TalkingNet)
        table = np.zeros((NUM_REGIONS, NUM_REGIONS), np.int64)
        rows = []
        for clip, frames, drawn, truth in self._drawn_clips(net, state):
            table += confusion(lower_half(drawn), lower_half(truth))
            opening, row = mouth_area(drawn), self._val.reader.rows[clip]
            times = frame_times(row)[frames]
            rows.append(
                {
                    "val_correlation": correlation(opening, mouth_area(truth)),
                    "val_closure_ratio": closure_ratio(opening, times, row.phones),
                    "val_silence_opening": silence_ratio(opening, times, row.phones),
                }
            )
        figures = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        means = {name: float(v[np.isfinite(v)].mean()) for name, v in figures.items() if np.isfinite(v).any()}
        return {"val_miou": mean_iou(table, STRAY_SHARE), **means}

    def picture(self, state: TrainState) -> NDArray[np.uint8]:
        """Truth above, drawn below, eight moments of the first held-out clips."""
        net = state.averaged("tsg")
        assert isinstance(net, TalkingNet)
        sheets = []
        for _, _, drawn, truth in self._drawn_clips(net, state, 3):
            shown = np.linspace(0, len(truth) - 1, 8).astype(int)
            sheets.append(np.concatenate([np.hstack(truth[shown]), np.hstack(drawn[shown])]))
        return colourize(np.concatenate(sheets))

    def alert(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """Nothing is known to go wrong quietly; gradients that are not finite end the run by themselves."""
        return None

    def save(self, state: TrainState, folder: Path, figures: Mapping[str, float]) -> Path:
        """Slim weights of the averaged network."""
        net = state.averaged("tsg")
        assert isinstance(net, TalkingNet)
        return save_trained(net.tsg, self.cfg.model, folder / "tsg.safetensors", self.cfg, state, figures)

    def _take_over(self, tsg: TSG, path: str) -> None:
        """Give `tsg` the trained context encoder in `path`."""
        encoder = load_weights(local_weights(path), "speech")
        assert isinstance(encoder, SpeechEncoder)
        if tsg.cfg.context is None or tsg.context_encoder is None:
            raise ConfigError(
                f"speech: {path} has no place in a network whose model.context is null. Drop one."
            )
        wanted = replace(tsg.cfg.context, dropout=encoder.cfg.context.dropout)
        if encoder.cfg.context != wanted:
            raise ConfigError(
                f"speech: {path} is a context encoder of another size than model.context. Copy its "
                "model.context into this configuration."
            )
        tsg.context_encoder.load_state_dict(encoder.context.state_dict())

    def _losses(self, net: nn.Module, batch: Batch, with_sync: bool) -> dict[str, Tensor]:
        """Losses of one part of a batch; see `TSGBatches` for its fields."""
        cfg = self.cfg
        target = batch["target"]
        with autocast(target.device, cfg.run.precision):
            logits = net(*(batch[name] for name in _INPUTS))
        flat = target.flatten(0, 1)
        weights = self._pixel_weights(flat, batch["closure"].flatten())
        # A network that copies the upper half has nothing to learn there.
        rows = slice(cfg.model.size // 2 if cfg.model.decode == "lower_half" else 0, None)
        drawn, wanted, weights = logits[:, :, rows], flat[:, rows], weights[:, rows]
        if cfg.loss.reconstruction == "l1":
            loss = probability_l1(drawn, wanted, weights)
            losses = {"loss": loss, "l1": loss}
        else:
            loss = weighted_cross_entropy(drawn, wanted, self._weights, weights)
            losses = {"loss": loss, "ce": loss}
        if with_sync and self._expert is not None:
            probabilities = logits.float().softmax(dim=1).unflatten(0, target.shape[:2])
            with autocast(target.device, cfg.run.precision):
                losses["sync"] = sync_loss(self._expert(probabilities, batch["sync_mel"]))
            losses["loss"] = loss + cfg.loss.sync_weight * losses["sync"]
        return losses

    def _pixel_weights(self, target: Tensor, closure: Tensor) -> Tensor:
        """[N, S, S] from region maps [N, S, S] and whether the lips are pressed together [N]."""
        cfg, size = self.cfg.loss, target.shape[-1]
        zone = mouth_zone(target, max(1, round(cfg.mouth_reach * size)))
        in_zone = cfg.mouth_weight * torch.where(closure, cfg.closure_weight, 1.0)
        weights = torch.where(zone, in_zone[:, None, None], 1.0)
        weights[:, : size // 2] *= cfg.upper_half_weight
        return weights

    def _drawn_clips(
        self, net: TalkingNet, state: TrainState, limit: int | None = None
    ) -> list[tuple[int, NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]]:
        """Clip, frames, drawn maps and true maps of held-out clips, up to 100 frames each."""
        results = []
        for clip in self._val.clips[: limit or self.cfg.val_clips]:
            truth = self._val.reader.read(clip, "maps")
            reference = choose_reference(truth)
            frames = np.delete(np.arange(len(truth)), reference)[:100]
            with autocast(state.device, self.cfg.run.precision):
                drawn = talk(net.tsg, self._val.reader, clip, frames, truth[reference], state.device)
            results.append((clip, frames, drawn, truth[frames]))
        return results


_INPUTS = ("target", "reference", "mel", "tokens", "padding", "token")


class TalkingNet(nn.Module):
    """TSG with its context encoder in one forward pass, so that data parallelism sees all of it."""

    def __init__(self, tsg: TSG) -> None:
        super().__init__()
        self.tsg = tsg

    def forward(
        self, target: Tensor, reference: Tensor, mel: Tensor, tokens: Tensor, padding: Tensor, token: Tensor
    ) -> Tensor:
        """Logits [B * F, 12, S, S] from the fields of `TSGBatches`."""
        items, frames = target.shape[:2]
        context = self.tsg.context(tokens, padding)
        context = context[torch.arange(items, device=token.device)[:, None], token].flatten(0, 1)
        pose = one_hot_maps(target.flatten(0, 1))
        identity = one_hot_maps(reference)[:, None].expand(-1, frames, -1, -1, -1).flatten(0, 1)
        return self.tsg(pose, identity, mel.flatten(0, 1), context)
