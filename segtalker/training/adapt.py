"""Adaptation: a short fit of SGI to the clip at hand, so that small weights keep the person's real look.

Pivotal tuning (arXiv 2106.05744) with the prior learning of SGI: first the style codes that all frames of
the track share are fitted (the pivot), then the generator around them. One set of codes must paint every
frame from its map alone, so the map carries the shape and the codes carry the look. Frames are also warped to
mouths that the clip does not show; what the warp cannot know takes no part in the loss.
"""

from __future__ import annotations

import copy
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from segtalker.config import config_hash
from segtalker.errors import WeightsError
from segtalker.losses.perceptual import gradient_l1, pyramid_l1
from segtalker.regions import NUM_REGIONS, Region, merge_raw
from segtalker.training.maps import one_hot_maps

Progress = Callable[[int, int, float], None]
"""Called with steps done, steps in all, loss."""


@dataclass(frozen=True, kw_only=True)
class AdaptConfig:
    """How long and how boldly to fit."""

    steps: int = 200
    code_share: float = 0.25
    """Part of the steps that fits codes alone; the rest fits codes and generator."""
    batch: int = 2
    code_lr: float = 0.02
    generator_lr: float = 0.002
    max_seconds: float = 300.0
    """A machine that cannot make all steps in this time makes fewer; the result then depends on it."""
    warped: float = 0.25
    """Part of the samples that are warped to another opening of the mouth."""
    largest_opening: float = 0.09
    """Most that a warp opens the mouth, parts of the side."""
    mouth_weight: float = 4.0
    """Of lip and mouth pixels in the loss; skin, neck and nose count 1."""
    background_weight: float = 0.15
    """Of pixels that are never pasted."""
    stay_weight: float = 0.02
    """Of the squared distance of the generator from where it began, so that few frames cannot bend it."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise ValueError("steps and batch must be at least 1.")


class Renderer(Protocol):
    """What adaptation needs of SGI."""

    generator: nn.Module

    def encode(self, image: Tensor, regions: Tensor) -> Tensor:
        """Codes [N, R, L, D] of images [N, 3, S, S] in [-1, 1] and one-hot maps [N, R, S, S]."""

    def decode(self, codes: Tensor, regions: Tensor) -> Tensor:
        """Images [N, 3, S, S] of codes and region maps [N, S, S]."""


@dataclass(frozen=True)
class Adapted:
    """What a fit changes: the codes of the track, and the generator by difference."""

    codes: Tensor
    """[R, L, D]"""
    delta: dict[str, Tensor]
    """Parameter of the generator -> what to add to it."""

    def apply(self, sgi: nn.Module) -> nn.Module:
        """A copy of `sgi` with the fitted generator; `sgi` itself is left alone."""
        fitted = copy.deepcopy(sgi)
        parameters = dict(cast(Renderer, fitted).generator.named_parameters())
        if set(parameters) != set(self.delta):
            raise WeightsError("The adaptation was made for another generator: adapt again.")
        with torch.no_grad():
            for name, difference in self.delta.items():
                if parameters[name].shape != difference.shape:
                    raise WeightsError(f"The adaptation has another shape of {name}: adapt again.")
                parameters[name].add_(difference.to(parameters[name]))
        return fitted

    def save(self, path: Path) -> None:
        """Write to `path` (safetensors) in one move."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        tensors = {f"delta.{name}": value.contiguous() for name, value in self.delta.items()}
        save_file({"codes": self.codes.contiguous(), **tensors}, str(temporary))
        os.replace(temporary, path)

    @staticmethod
    def load(path: Path) -> Adapted:
        """Read what `save` wrote."""
        try:
            with safe_open(str(path), framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise WeightsError(
                f"{path}: cannot read the adaptation ({error}): delete it and adapt again."
            ) from error
        if "codes" not in tensors:
            raise WeightsError(f"{path}: is not an adaptation: delete it and adapt again.")
        codes = tensors.pop("codes")
        return Adapted(codes, {name.removeprefix("delta."): value for name, value in tensors.items()})


def adapt(
    sgi: nn.Module,
    crops: NDArray[np.uint8],
    raws: NDArray[np.uint8],
    cfg: AdaptConfig | None = None,
    progress: Progress | None = None,
    device: torch.device | str = "cpu",
) -> Adapted:
    """Fit `sgi` to K frames of a track: crops [K, S, S, 3] at its size, raw maps [K, S, S]; one is enough.

    The same seed gives the same result on one machine with the same threads.
    """
    cfg = cfg or AdaptConfig()
    fitted = copy.deepcopy(sgi).to(device).requires_grad_(False).eval()
    renderer = cast(Renderer, fitted)
    samples = _Samples(crops, raws, cfg, torch.device(device))
    codes = track_codes(fitted, samples.images, samples.maps).requires_grad_(True)
    begin = {name: value.detach().clone() for name, value in renderer.generator.named_parameters()}
    weights = list(renderer.generator.parameters())
    optimizer = torch.optim.Adam(
        [{"params": [codes], "lr": cfg.code_lr}, {"params": weights, "lr": cfg.generator_lr}],
        betas=(0.9, 0.99),
    )
    clock, step = _Clock(cfg), 0
    while clock.allows(step):
        done = step / clock.steps
        pivoting = step < round(clock.steps * cfg.code_share)
        renderer.generator.requires_grad_(not pivoting)
        for group, rate in zip(optimizer.param_groups, (cfg.code_lr, cfg.generator_lr), strict=True):
            group["lr"] = rate * (0.5 + 0.5 * float(np.cos(np.pi * done)))
        image, region_map, weight = samples.draw(step)
        loss = _loss(renderer.decode(codes.expand(len(image), -1, -1, -1), region_map), image, weight)
        if not pivoting:
            distance = sum(
                (value - begin[name]).square().sum() for name, value in renderer.generator.named_parameters()
            )
            loss = loss + cfg.stay_weight * distance / sum(value.numel() for value in weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        if progress is not None:
            progress(step, clock.steps, float(loss.detach()))
    delta = {
        name: (value.detach() - begin[name]).cpu() for name, value in renderer.generator.named_parameters()
    }
    return Adapted(codes.detach()[0].cpu(), delta)


@torch.no_grad()
def track_codes(sgi: nn.Module, images: Tensor, maps: Tensor) -> Tensor:
    """Codes [1, R, L, D] of a track: each region's mean over the frames that show it, by its area there.

    images: [K, 3, S, S] in [-1, 1]; maps: region maps [K, S, S].
    """
    renderer = cast(Renderer, sgi)
    onehot = one_hot_maps(maps).float()
    codes = torch.cat([renderer.encode(images[k : k + 1], onehot[k : k + 1]) for k in range(len(images))])
    area = onehot.sum(dim=(2, 3))
    absent = area.sum(0, keepdim=True) == 0
    share = torch.where(absent, torch.ones_like(area), area)
    share = share / share.sum(0, keepdim=True)
    return (codes * share[:, :, None, None]).sum(0, keepdim=True)


def cache_key(sgi: nn.Module, crops: NDArray[np.uint8], raws: NDArray[np.uint8], cfg: AdaptConfig) -> str:
    """Name of an adaptation: the same for the same frames, maps, configuration and weights."""
    digest = hashlib.sha256(config_hash(cfg).encode())
    for array in (crops, raws):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    for name, value in sorted(sgi.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:24]


def adapt_cached(
    sgi: nn.Module,
    crops: NDArray[np.uint8],
    raws: NDArray[np.uint8],
    cache_dir: Path,
    cfg: AdaptConfig | None = None,
    progress: Progress | None = None,
    device: torch.device | str = "cpu",
) -> Adapted:
    """`adapt`, or what it gave before for the same frames, maps, configuration and weights."""
    cfg = cfg or AdaptConfig()
    path = cache_dir / f"adapted-{cache_key(sgi, crops, raws, cfg)}.safetensors"
    if path.exists():
        return Adapted.load(path)
    adapted = adapt(sgi, crops, raws, cfg, progress, device)
    adapted.save(path)
    return adapted


class _Clock:
    """How many steps there is time for: a slow machine ends its schedule instead of breaking it off."""

    def __init__(self, cfg: AdaptConfig) -> None:
        self.steps = cfg.steps
        self._at_least = max(1, cfg.steps // 10)  # the first steps do not show the pace
        self._max_seconds, self._started = cfg.max_seconds, time.monotonic()

    def allows(self, step: int) -> bool:
        """Whether `step` (from 0) is to be made; `steps` never grows."""
        spent = time.monotonic() - self._started
        if step >= self._at_least and spent > 0:
            self.steps = min(self.steps, int(self._max_seconds / spent * step))
        return step < self.steps and spent < self._max_seconds


class _Samples:
    """Frames of the clip as they are, and warped to other openings of the mouth."""

    def __init__(
        self, crops: NDArray[np.uint8], raws: NDArray[np.uint8], cfg: AdaptConfig, device: torch.device
    ) -> None:
        self._crops, self._raws, self._cfg, self._device = crops, raws, cfg, device
        self.images = self._images(crops)
        self.maps = torch.from_numpy(merge_raw(raws)).to(device)
        self._weights = torch.full((NUM_REGIONS,), 1.0, device=device)
        self._weights[[Region.LIP, Region.MOUTH]] = cfg.mouth_weight
        self._weights[[Region.BACKGROUND, Region.HAIR, Region.EARS]] = cfg.background_weight

    def draw(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images [B, 3, S, S], region maps [B, S, S] and weights [B, 1, S, S] of a step."""
        rng = np.random.default_rng((self._cfg.seed, step))
        rows = [self._one(rng) for _ in range(self._cfg.batch)]
        images, maps, trust = (torch.stack(column) for column in zip(*rows, strict=True))
        return images, maps, (self._weights[maps.long()] * trust)[:, None]

    def _one(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        k = int(rng.integers(len(self._crops)))
        if rng.random() >= self._cfg.warped:
            return self.images[k], self.maps[k], torch.ones_like(self.maps[k], dtype=torch.float32)
        # Warping needs OpenCV, which training on prepared shards does without.
        from segtalker.compositing.warp import open_mouth

        region_map, warp = open_mouth(self._raws[k], float(rng.uniform(-1, 1)) * self._cfg.largest_opening)
        image = self._images(np.clip(warp(self._crops[k]), 0, 255)[None])[0]
        trust = torch.from_numpy(warp.trust).to(self._device)
        return image, torch.from_numpy(region_map).to(self._device), (trust > 0.9).float()

    def _images(self, crops: NDArray[np.uint8]) -> Tensor:
        values = torch.from_numpy(np.ascontiguousarray(crops)).to(self._device)
        return values.permute(0, 3, 1, 2).float() / 127.5 - 1


def _loss(pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted squared and absolute error, at full and coarser sizes, and that of edges."""
    error = pred - target
    mean = (weight * (error.square() + 0.25 * error.abs())).mean() / weight.mean()
    shown = weight.clamp(max=1).ceil()
    return mean + 0.25 * pyramid_l1(pred * shown, target * shown) + 0.25 * gradient_l1(pred, target, weight)
