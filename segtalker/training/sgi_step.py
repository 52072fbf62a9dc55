"""One optimization step of SGI (arXiv 2409.03605, Sec. 3.3): prior learning with eq. (8)-(13).

The codes come from frame t, the map from frame t' within 15 frames of it, and frame t' is the truth. The
discriminator sees only the generator's pictures and the truth; lazy R1 keeps it smooth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from segtalker.data.dataset import ClipsConfig
from segtalker.data.dataset_sgi import SGIBatches, SGIDataConfig
from segtalker.losses.adversarial import d_logistic, g_nonsaturating, r1_penalty
from segtalker.metrics.image import psnr
from segtalker.models.discriminator import Discriminator, DiscriminatorConfig
from segtalker.models.sgi import SGI, SGIConfig
from segtalker.models.stylegan2 import Noise
from segtalker.regions import Region, colourize
from segtalker.training.loop import Metrics, RunConfig, TrainContext
from segtalker.training.provenance import save_trained
from segtalker.training.sgi_losses import LossNetworksConfig, SGILossConfig, SGILosses, loss_networks
from segtalker.training.state import OptimConfig, TrainState
from segtalker.training.steps import Batch, accumulate, autocast, seeded
from segtalker.training.weights_uri import local_weights
from segtalker.weights.checkpoint import fill_weights
from segtalker.weights.uses import WeightsUse

_WON_LOSS = 0.02


@dataclass(frozen=True, kw_only=True)
class SGITrainConfig:
    """What `segtalker train sgi` reads."""

    clips: ClipsConfig
    model: SGIConfig = field(default_factory=SGIConfig.mini)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig.mini)
    data: SGIDataConfig = field(default_factory=SGIDataConfig)
    loss: SGILossConfig = field(default_factory=SGILossConfig)
    networks: LossNetworksConfig = field(default_factory=LossNetworksConfig)
    optimizer: OptimConfig = field(default_factory=lambda: OptimConfig(kind="adam", weight_decay=0.0))
    d_optimizer: OptimConfig = field(
        default_factory=lambda: OptimConfig(kind="adam", weight_decay=0.0, ema_decay=0.0)
    )
    run: RunConfig = field(default_factory=RunConfig)
    start_from: str | None = None
    """Weights of an SGI to go on from, of the same size: a path, a URI or `cache:ROW`."""
    discriminator_from: str | None = None
    """Weights of a discriminator to go on from, of the same size: a path, a URI or `cache:ROW`."""
    freeze_unmasked: bool = False
    """Leave the layers that no region code reaches as they were pretrained."""
    noise: Noise = "fixed"
    accumulate: int = 1
    """Parts that a batch is cut into to save memory."""
    val_batches: int = 4

    def __post_init__(self) -> None:
        if self.discriminator.size != self.model.size and self.loss.adversarial:
            raise ValueError(
                f"discriminator.size is {self.discriminator.size}, the generator makes {self.model.size} px."
            )
        if self.discriminator_from is not None and not self.loss.adversarial:
            raise ValueError("discriminator_from: loss.adv_weight is 0, so no discriminator learns.")

    def weights(self) -> tuple[WeightsUse, ...]:
        """Where the network and its discriminator begin, and what the losses look through."""
        return (
            WeightsUse("start_from", self.start_from, "sgi", "start"),
            WeightsUse("discriminator_from", self.discriminator_from, "discriminator", "loss"),
            *loss_networks(self.loss, self.networks),
        )


class SGITask:
    """Trains SGI; see `training/loop.py` for what each method is for."""

    def __init__(self, cfg: SGITrainConfig) -> None:
        self.cfg = cfg
        self._train = SGIBatches(cfg.clips, cfg.data, cfg.run.seed)
        self._val = SGIBatches(cfg.clips, cfg.data, seed=0, train=False)
        self._losses = SGILosses(cfg.loss, cfg.networks)
        self.notes: list[str] = self._losses.notes

    def build(self, context: TrainContext) -> TrainState:
        """SGI with its average, the discriminator, the frozen networks."""
        cfg = self.cfg
        self._losses.agree(context)
        state = TrainState(self._train.sampler, context.device)  # the nets are channels-last by themselves
        state.loss_networks = self._losses.files
        net = seeded(self._new_sgi, cfg.run.seed)
        state.add("sgi", net, cfg.optimizer, cfg.run.max_steps, wrap=context.wrap)
        if cfg.loss.adversarial:
            critic = seeded(self._new_discriminator, cfg.run.seed + 1)
            state.add(
                "discriminator", critic, cfg.d_optimizer, cfg.run.max_steps, ema=False, wrap=context.wrap
            )
        self._losses.to(context.device)
        return state

    def batches(self) -> SGIBatches:
        """Training batches by step."""
        return self._train

    def step(self, state: TrainState, batch: Batch) -> Metrics:
        """The generator's update, then the discriminator's where it takes part."""
        loss = self.cfg.loss
        adversarial = loss.adversarial and state.step >= loss.adv_start_step
        sums: dict[str, float] = {}
        fakes = []
        for part in accumulate(state.nets["sgi"], batch, self.cfg.accumulate):
            losses, fake = self._generator_losses(state, part, adversarial)
            (losses["loss"] / self.cfg.accumulate).backward()
            fakes.append(fake.detach())
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / self.cfg.accumulate
        sums["grad_norm"] = float(state.apply("sgi"))
        sums["lr"] = state.learning_rate("sgi")
        turn = state.step - loss.adv_start_step
        if adversarial and turn % loss.d_every == 0:
            sums.update(self._discriminator_step(state, batch, torch.cat(fakes), turn // loss.d_every))
        return sums

    @torch.no_grad()
    def validate(self, state: TrainState) -> Metrics:
        """PSNR on held-out identities: of the whole crop, of the face (not background), of the mouth."""
        net = state.averaged("sgi")
        errors: dict[str, list[float]] = {"val_psnr": [], "val_psnr_face": [], "val_psnr_mouth": []}
        for number in range(self.cfg.val_batches):
            batch = {name: value.to(state.device) for name, value in self._val.batch(number).items()}
            pred, target = self._render(net, batch)
            error = (pred.clamp(-1, 1) - target).square().mean(dim=1)
            region_map = F.interpolate(batch["target_map"][:, None].float(), error.shape[-1])[:, 0]
            mouth = (region_map == Region.LIP) | (region_map == Region.MOUTH)
            places = (torch.ones_like(mouth), region_map != Region.BACKGROUND, mouth)
            for name, place in zip(errors, places, strict=True):
                for one, inside in zip(error, place, strict=True):
                    if bool(inside.any()):
                        errors[name].append(psnr(float(one[inside].mean()), peak=2.0))
        return {name: float(np.mean(values)) for name, values in errors.items() if values}

    @torch.no_grad()
    def picture(self, state: TrainState) -> NDArray[np.uint8]:
        """Held-out rows: source, target map, output, truth."""
        batch = {name: value[:6].to(state.device) for name, value in self._val.batch(0).items()}
        pred, target = self._render(state.averaged("sgi"), batch)
        size = target.shape[-1]
        source = to_float(batch["source_image"], size)
        maps = torch.from_numpy(colourize(batch["target_map"].cpu().numpy()))
        columns = [to_uint8(source), to_uint8(to_float(maps, size)), to_uint8(pred), to_uint8(target)]
        return np.concatenate([np.concatenate(list(column)) for column in columns], axis=1)

    def alert(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """A discriminator that is always right teaches nothing any more."""
        if metrics.get("d_loss", 1.0) < _WON_LOSS:
            found = metrics["d_loss"]
            return f"the discriminator has won (loss {found:.3f}): raise loss.r1_gamma or loss.d_every."
        return None

    def save(self, state: TrainState, folder: Path, figures: Mapping[str, float]) -> Path:
        """Slim weights of the averaged network."""
        path = folder / "sgi.safetensors"
        return save_trained(state.averaged("sgi"), self.cfg.model, path, self.cfg, state, figures)

    def _new_sgi(self) -> SGI:
        net = SGI(self.cfg.model)
        if self.cfg.start_from is not None:
            fill_weights(net, local_weights(self.cfg.start_from))
        if self.cfg.freeze_unmasked:
            net.freeze_unmasked()
        return net

    def _new_discriminator(self) -> Discriminator:
        net = Discriminator(self.cfg.discriminator)
        if self.cfg.discriminator_from is not None:
            fill_weights(net, local_weights(self.cfg.discriminator_from))
        return net

    def _generator_losses(
        self, state: TrainState, batch: Batch, adversarial: bool
    ) -> tuple[dict[str, Tensor], Tensor]:
        """All terms of one part of a batch, and the pictures."""
        with autocast(state.device, self.cfg.run.precision):
            fake, target = self._render(state.nets["sgi"], batch)
            losses = self._losses(fake, target, batch["target_map"])
            if adversarial:
                critic = state.nets["discriminator"].requires_grad_(False)
                losses["adv"] = g_nonsaturating(critic(fake))
                losses["loss"] = losses["loss"] + self.cfg.loss.adv_weight * losses["adv"]
                critic.requires_grad_(True)
        return losses, fake

    def _discriminator_step(self, state: TrainState, batch: Batch, fake: Tensor, turn: int) -> Metrics:
        """Logistic loss, and every `r1_every` turns the penalty times as much."""
        cfg = self.cfg.loss
        critic = state.nets["discriminator"]
        real = to_float(batch["target_image"], self.cfg.model.size)
        with autocast(state.device, self.cfg.run.precision):
            loss = d_logistic(critic(real), critic(fake))
        metrics = {"d_loss": float(loss.detach())}
        if cfg.r1_gamma and turn % cfg.r1_every == 0:
            real.requires_grad_()
            penalty = r1_penalty(critic(real), real)
            loss = loss + cfg.r1_gamma / 2 * cfg.r1_every * penalty
            metrics["r1"] = float(penalty.detach())
        loss.backward()
        state.apply("discriminator")
        return metrics

    def _render(self, net: torch.nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """The target frame as SGI makes it from the source frame, and as it is; [B, 3, S, S] in [-1, 1]."""
        source_size = batch["source_image"].shape[1]
        source = to_float(batch["source_image"], source_size)
        pred = net(source, batch["source_map"], batch["target_map"], self.cfg.noise)
        return pred.float(), to_float(batch["target_image"], self.cfg.model.size)


def to_float(images: Tensor, size: int) -> Tensor:
    """RGB uint8 [N, s, s, 3] to float [N, 3, size, size] in [-1, 1]; bicubic where the size differs."""
    values = images.permute(0, 3, 1, 2).float() / 127.5 - 1
    if values.shape[-1] != size:
        values = F.interpolate(values, size=(size, size), mode="bicubic", antialias=True).clamp(-1, 1)
    return values


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """[N, 3, S, S] in [-1, 1] (or beyond) to RGB uint8 [N, S, S, 3]."""
    values = (images.float().clamp(-1, 1) + 1) * 127.5
    return values.round().byte().permute(0, 2, 3, 1).cpu().numpy()
