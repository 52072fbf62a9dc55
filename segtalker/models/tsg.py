"""Talking segmentation generation: speech moves the mouth of a region map (arXiv 2409.03605, Sec. 3.2).

The pose source (region map of the target frame, its lower half left empty) and the identity reference
(another region map of the person) run through the mask encoder; a 0.2 s mel window and the context of 3 s
of speech are fused into one speech embedding; a U-Net decoder draws the talking segmentation from both.

`paper` presets decode the whole map and feed the speech in at the one-pixel bottleneck only. The `mini`
preset also modulates every decoder block by speech and face together, so that an opening of one pixel is
under control; it works on 2x2 patches of the map and decodes the lower half only, because the upper half is
the pose source's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segtalker.models.blocks import ConvBlock, MelEncoder, Norm
from segtalker.models.frozen.avhubert import AVHubertAudio, AVHubertConfig
from segtalker.regions import NUM_REGIONS

_COPIED_LOGIT = 12.0
"""Logit of the copied class where the upper half is copied: probability 0.9999."""


@dataclass(frozen=True)
class TSGConfig:
    """Widths from the largest map to one pixel; the decoder's from one pixel to the largest map."""

    size: int = 128
    """Side of a region map in pixels."""
    patch: int = 2
    """Pixels per side of the patches that the first layer sees as one position."""
    encoder_channels: tuple[int, ...] = (32, 64, 96, 128, 160, 192)
    encoder_residuals: tuple[int, ...] = (0, 1, 1, 1, 1, 0)
    stem_kernel: int = 3
    decoder_channels: tuple[int, ...] = (192, 160, 128, 96, 64, 40)
    decoder_residuals: tuple[int, ...] = (0, 1, 1, 1, 1, 1)
    head_channels: int = 0
    """Width of a last convolution before the logits; 0 goes to the logits directly."""
    mel_channels: tuple[int, ...] = (24, 40, 80, 128, 192)
    mel_residuals: tuple[int, ...] = (2, 2, 2, 1)
    speech_dim: int = 256
    """Width of the fused speech embedding."""
    context: AVHubertConfig | None = field(default_factory=AVHubertConfig.mini)
    """None: no speech context, the mel window alone (an ablation)."""
    modulate: bool = True
    """Modulate every decoder block by speech and face."""
    decode: Literal["full", "lower_half"] = "lower_half"
    norm: Norm = "group"

    def __post_init__(self) -> None:
        stages = len(self.encoder_channels)
        lengths = {len(self.encoder_residuals), len(self.decoder_channels), len(self.decoder_residuals)}
        if lengths != {stages} or stages < 3:
            raise ValueError("encoder and decoder need equally many stages, at least three")
        smallest = self.size // self.patch // 2 ** (stages - 2)
        if smallest not in (3, 4) or self.size != self.patch * smallest * 2 ** (stages - 2):
            raise ValueError(
                f"{stages} stages do not bring size {self.size} to 3 or 4 pixels before the last"
            )
        if self.decode == "lower_half" and smallest == 3:
            raise ValueError("decode: lower_half needs a size that is a power of two")

    @property
    def bottleneck(self) -> int:
        """Side of the last feature map before the one-pixel bottleneck."""
        return self.size // self.patch // 2 ** (len(self.encoder_channels) - 2)

    @classmethod
    def mini(cls, size: int = 128) -> TSGConfig:
        """The size that is trained on the synthetic corpus and shipped: 128 (or 64 for tests)."""
        if size == 128:
            return cls()
        if size == 64:
            return cls(
                size=64,
                encoder_channels=(32, 48, 64, 96, 128),
                encoder_residuals=(0, 1, 1, 1, 0),
                decoder_channels=(128, 96, 64, 48, 32),
                decoder_residuals=(0, 1, 1, 1, 1),
                mel_channels=(16, 24, 48, 64, 96),
                speech_dim=128,
            )
        raise ValueError(f"no mini TSG of size {size}; there are 128 and 64")

    @classmethod
    def paper(cls, size: int = 512, norm: Norm = "batch") -> TSGConfig:
        """The paper's network for maps of 512, 256, 128 or 96 pixels, with AV-HuBERT base as context."""
        if size not in _PAPER_ENCODERS:
            raise ValueError(f"no paper TSG of size {size}; there are {', '.join(map(str, _PAPER_ENCODERS))}")
        encoder = _PAPER_ENCODERS[size]
        residuals = (2, 3, 2, 2, 1, 1, 1)[: len(encoder) - 2]
        return cls(
            size=size,
            patch=1,
            encoder_channels=encoder,
            encoder_residuals=(0, *residuals, 0),
            stem_kernel=7,
            decoder_channels=_PAPER_DECODERS[size],
            decoder_residuals=(0, 1) + (2,) * (len(encoder) - 2),
            head_channels=32,
            mel_channels=(32, 64, 128, 256, 512),
            speech_dim=512,
            context=AVHubertConfig.base(),
            modulate=False,
            decode="full",
            norm=norm,
        )


_PAPER_ENCODERS: dict[int, tuple[int, ...]] = {
    512: (16, 32, 64, 128, 256, 512, 512, 512, 512),
    256: (16, 32, 64, 128, 256, 512, 512, 512),
    128: (16, 32, 64, 128, 256, 512, 512),
    96: (16, 32, 64, 128, 256, 512, 512),
}
_PAPER_DECODERS: dict[int, tuple[int, ...]] = {
    512: (512, 512, 512, 512, 384, 256, 128, 64, 32),
    256: (512, 512, 512, 384, 256, 128, 64, 32),
    128: (512, 512, 512, 384, 256, 128, 64),
    96: (512, 512, 512, 384, 256, 128, 64),
}


class TSG(nn.Module):
    """Pose source, identity reference and speech to a talking segmentation."""

    def __init__(self, cfg: TSGConfig) -> None:
        """Build the network of `cfg`."""
        super().__init__()
        self.cfg = cfg
        self.context_encoder = AVHubertAudio(cfg.context) if cfg.context is not None else None
        self.mel_encoder = MelEncoder(cfg.mel_channels, cfg.mel_residuals, cfg.norm)
        context_dim = cfg.context.dim if cfg.context is not None else 0
        self.fuse = nn.Linear(cfg.mel_channels[-1] + context_dim, cfg.speech_dim)
        self.mask_encoder = MaskEncoder(cfg)
        self.decoder = Decoder(cfg)

    def context(self, tokens: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Speech tokens [B, 75, 104], padding [B, 75] (True is padding), to context features [B, 75, C].

        C is 0 in a network without context.
        """
        if self.context_encoder is None:
            return tokens.new_zeros(*tokens.shape[:2], 0)
        return self.context_encoder(tokens, padding_mask)

    def forward(self, pose: Tensor, reference: Tensor, mel: Tensor, context: Tensor) -> Tensor:
        """Logits [N, 12, S, S] of the talking segmentation.

        Args:
            pose: one-hot pose source [N, 12, S, S]; whatever its lower half holds is ignored.
            reference: one-hot identity reference [N, 12, S, S].
            mel: mel windows [N, 1, 80, 16].
            context: context features at the frames' times [N, C] (`interpolate_context`).
        """
        speech = torch.cat([self.mel_encoder(mel).flatten(1), context], dim=1)
        speech = torch.relu(self.fuse(speech))
        maps = torch.cat([occlude_lower_half(pose), reference], dim=1)
        features = self.mask_encoder(F.pixel_unshuffle(maps, self.cfg.patch))
        logits = self.decoder(features, speech)
        if self.cfg.decode == "full":
            return logits
        upper = pose[:, :, : self.cfg.size // 2].to(logits.dtype) * _COPIED_LOGIT
        return torch.cat([upper, logits], dim=2)


class MaskEncoder(nn.Module):
    """Two region maps to feature maps at every scale."""

    def __init__(self, cfg: TSGConfig) -> None:
        """One stage per width: the first keeps the size, the last leaves one pixel, the others halve."""
        super().__init__()
        previous = 2 * NUM_REGIONS * cfg.patch**2
        stages: list[nn.Module] = []
        last = len(cfg.encoder_channels) - 1
        for index, (width, count) in enumerate(zip(cfg.encoder_channels, cfg.encoder_residuals, strict=True)):
            if index == 0:
                # One-hot patches are well scaled already; a norm on the largest map would cost the most.
                norm = cfg.norm if cfg.patch == 1 else "none"
                blocks = [ConvBlock(previous, width, cfg.stem_kernel, norm=norm)]
            elif index < last:
                blocks = [ConvBlock(previous, width, 3, 2, norm=cfg.norm)]
            else:
                shrink = ConvBlock(previous, width, cfg.bottleneck, padding=0, norm=cfg.norm, one_pixel=True)
                blocks = [shrink, ConvBlock(width, width, 1, norm=cfg.norm, one_pixel=True)]
            blocks += [ConvBlock(width, width, norm=cfg.norm, residual=True) for _ in range(count)]
            stages.append(nn.Sequential(*blocks))
            previous = width
        self.stages = nn.ModuleList(stages)

    def forward(self, maps: Tensor) -> list[Tensor]:
        """Patches of both maps [N, 24 p^2, S/p, S/p] to features, largest first, the last [N, C, 1, 1]."""
        features = []
        for stage in self.stages:
            maps = stage(maps)
            features.append(maps)
        return features


class Decoder(nn.Module):
    """Speech embedding and mask features to logits: each stage doubles the size and takes its skip."""

    def __init__(self, cfg: TSGConfig) -> None:
        """Stages from one pixel up; the transposed convolution of a stage sees the skip of the one before."""
        super().__init__()
        self.lower_half = cfg.decode == "lower_half"
        skips = cfg.encoder_channels[::-1]
        condition_dim = cfg.speech_dim + skips[0] if cfg.modulate else 0
        stages = []
        previous = cfg.speech_dim
        for index, (width, count) in enumerate(zip(cfg.decoder_channels, cfg.decoder_residuals, strict=True)):
            if index == 0:
                blocks = [ConvBlock(previous, width, 1, norm=cfg.norm, one_pixel=True)]
            else:
                kernel, stride, padding = (cfg.bottleneck, 1, 0) if index == 1 else (3, 2, 1)
                grow = ConvBlock(
                    previous, width, kernel, stride, padding,
                    norm=cfg.norm, transposed=True, condition_dim=condition_dim,
                )  # fmt: skip
                blocks = [grow]
            for _ in range(count):
                blocks.append(
                    ConvBlock(width, width, norm=cfg.norm, residual=True, condition_dim=condition_dim)
                )
            stages.append(nn.ModuleList(blocks))
            previous = width + skips[index]
        self.stages = nn.ModuleList(stages)
        self.head = _make_head(cfg, previous)

    def forward(self, features: list[Tensor], speech: Tensor) -> Tensor:
        """Features of the mask encoder and speech [N, D] to logits [N, 12, S, S] or [N, 12, S/2, S]."""
        condition = torch.cat([speech, features[-1].flatten(1)], dim=1)
        decoded = speech[:, :, None, None].to(features[-1].dtype)
        for index, (blocks, skip) in enumerate(zip(self.stages, reversed(features), strict=True)):
            for position, block in enumerate(cast(nn.ModuleList, blocks)):
                decoded = block(decoded, condition)
                if self.lower_half and index == 1 and position == 0:
                    decoded = _lower_half(decoded)
            decoded = torch.cat([decoded, _lower_half(skip) if self.lower_half else skip], dim=1)
        return self.head(decoded)


def _make_head(cfg: TSGConfig, channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    if cfg.head_channels:
        layers.append(ConvBlock(channels, cfg.head_channels, norm=cfg.norm))
        channels = cfg.head_channels
    if cfg.patch == 1:
        layers.append(nn.Conv2d(channels, NUM_REGIONS, 1))
    else:  # a transposed convolution whose windows overlap by half, so that patches show no border
        layers.append(nn.ConvTranspose2d(channels, NUM_REGIONS, 2 * cfg.patch, cfg.patch, cfg.patch // 2))
    return nn.Sequential(*layers)


def _lower_half(features: Tensor) -> Tensor:
    """Rows H/2..H of [N, C, H, W]; a single pixel stays."""
    return features[:, :, features.shape[2] // 2 :]


def occlude_lower_half(onehot: Tensor) -> Tensor:
    """One-hot [..., 12, S, S] with the zero vector (no class at all) in rows S/2..S."""
    size = onehot.shape[-2]
    return torch.cat([onehot[..., : size // 2, :], torch.zeros_like(onehot[..., size // 2 :, :])], dim=-2)


def interpolate_context(features: Tensor, chunk: Tensor, token: Tensor, weight: Tensor) -> Tensor:
    """Context at frame times [N, C] from chunk features [K, 75, C] and the fields of an audio `ContextPlan`.

    `chunk` [N] and `token` [N, 2] are indices (int64), `weight` [N] is the share of the second token.
    """
    first, second = features[chunk, token[:, 0]], features[chunk, token[:, 1]]
    return torch.lerp(first, second, weight[:, None].to(features.dtype))


def merge_talking_map(logits: Tensor, pose_map: Tensor) -> Tensor:
    """Talking map [N, S, S] uint8: most likely class below, upper half of `pose_map` [N, S, S] kept."""
    size = logits.shape[-2]
    lower = logits[:, :, size // 2 :].argmax(dim=1).to(torch.uint8)
    return torch.cat([pose_map[:, : size // 2].to(torch.uint8), lower], dim=1)
