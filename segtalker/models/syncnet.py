"""Lip-sync expert on region maps: do five lower halves and 0.2 s of speech belong together?

arXiv 2409.03605, Sec. 3.2: five soft one-hot maps on the channel axis and a mel window become 512-d
embeddings, whose cosine is P_sync (eq. 3). `paper` presets end both branches in a ReLU, so that the cosine
itself lies in [0, 1]. The `mini` presets end them linearly and turn the cosine into a probability by a
learned scale and bias, which trains far better (many in-clip negatives) and makes 0.5 a usable threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segtalker.models.blocks import ConvBlock, MelEncoder, Norm
from segtalker.regions import NUM_REGIONS

COSINE_EPSILON = 1e-8


@dataclass(frozen=True)
class SyncNetConfig:
    """Widths of the mask branch: stem, a stage that halves the width only, then stages that halve both."""

    size: int = 96
    """Side in pixels to which the maps are pooled; the network sees the lower half [size / 2, size]."""
    window: int = 5
    """Frames."""
    frame_channels: int = NUM_REGIONS
    """Channels of one frame (3 for the published network on colour images)."""
    channels: tuple[int, ...] = (32, 64, 128, 256, 512, 512)
    residuals: tuple[int, ...] = (0, 2, 3, 2, 2, 0)
    stem_kernel: int = 7
    stem_stride: int = 1
    mel_channels: tuple[int, ...] = (32, 64, 128, 256, 512)
    mel_residuals: tuple[int, ...] = (2, 2, 2, 2)
    embedding: int = 512
    calibrated: bool = False
    """Linear embeddings with a learned scale and bias; otherwise ReLU embeddings and the bare cosine."""
    norm: Norm = "batch"

    def __post_init__(self) -> None:
        if len(self.channels) != len(self.residuals) or len(self.channels) < 3:
            raise ValueError("channels and residuals of the mask branch need equal lengths of at least three")
        if min(self.stage_sizes[-1]) < 1 or self.stage_sizes[-1][0] != self.stage_sizes[-1][1]:
            raise ValueError(
                f"size {self.size} does not shrink to a square through {len(self.channels)} stages"
            )

    @property
    def squeeze_padding(self) -> int:
        """Padding of the second stage; the published 96-px network pads by one only."""
        return 1 if self.size == 96 and self.stem_stride == 1 else 2

    @property
    def stage_sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width after each stage."""
        pad = self.stem_kernel // 2
        height, width = (
            _conv_size(side, self.stem_kernel, self.stem_stride, pad) for side in (self.size // 2, self.size)
        )
        sizes = [(height, width)]
        padding = self.squeeze_padding
        height, width = _conv_size(height, 5, 1, padding), _conv_size(width, 5, 2, padding)
        sizes.append((height, width))
        for _ in self.channels[2:]:
            height, width = _conv_size(height, 3, 2, 1), _conv_size(width, 3, 2, 1)
            sizes.append((height, width))
        return tuple(sizes)

    @classmethod
    def paper(cls, size: int = 96, frame_channels: int = NUM_REGIONS) -> SyncNetConfig:
        """The published layout at 96 px, or its 128 px relative."""
        if size not in (96, 128):
            raise ValueError(f"no paper SyncNet of size {size}; there are 96 and 128")
        return cls(size=size, frame_channels=frame_channels)

    @classmethod
    def mini(cls) -> SyncNetConfig:
        """The expert that supervises the mini TSG: 128 px maps, five frames."""
        return cls(
            size=128,
            channels=(32, 48, 96, 160, 192),
            residuals=(0, 1, 1, 1, 1),
            stem_kernel=5,
            stem_stride=2,
            mel_channels=(24, 48, 96, 160, 192),
            mel_residuals=(1, 1, 1, 1),
            calibrated=True,
            norm="group",
        )

    @classmethod
    def expert(cls, window: int = 5) -> SyncNetConfig:
        """The judge that only evaluates: another resolution and other widths than `mini`."""
        return cls(
            size=96,
            window=window,
            channels=(24, 64, 96, 128, 192),
            residuals=(0, 1, 1, 1, 1),
            stem_kernel=5,
            stem_stride=2,
            mel_channels=(32, 48, 80, 160, 192),
            mel_residuals=(1, 1, 1, 1),
            calibrated=True,
            norm="group",
        )


class SyncNet(nn.Module):
    """Two branches to one embedding space; `face_encoder` and `audio_encoder` carry the published names."""

    def __init__(self, cfg: SyncNetConfig) -> None:
        """Build the network of `cfg`."""
        super().__init__()
        self.cfg = cfg
        self.face_encoder = _make_face_encoder(cfg)
        self.audio_encoder = MelEncoder(cfg.mel_channels, cfg.mel_residuals, cfg.norm)
        if cfg.calibrated:
            self.face_projection = nn.Linear(cfg.channels[-1], cfg.embedding)
            self.audio_projection = nn.Linear(cfg.mel_channels[-1], cfg.embedding)
            self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
            self.bias = nn.Parameter(torch.tensor(-3.0))
        elif cfg.channels[-1] != cfg.embedding or cfg.mel_channels[-1] != cfg.embedding:
            raise ValueError("without calibration the last widths are the embedding")

    def pool_masks(self, onehot: Tensor) -> Tensor:
        """(Soft) one-hot maps [N, T, C, S, S] to the input of `embed_masks` [N, T * C, size / 2, size].

        Lower halves are averaged over areas to the network's size, the same for real and generated maps.
        """
        batch, frames, channels, size, width = onehot.shape
        lower = onehot[..., size // 2 :, :].reshape(batch, frames * channels, size - size // 2, width)
        return F.adaptive_avg_pool2d(lower, (self.cfg.size // 2, self.cfg.size))

    def embed_masks(self, masks: Tensor) -> Tensor:
        """Pooled lower halves [N, T * C, size / 2, size], frame-major, to embeddings [N, 512]."""
        features = self.face_encoder(masks).flatten(1)
        return self.face_projection(features) if self.cfg.calibrated else features

    def embed_mel(self, mel: Tensor) -> Tensor:
        """Mel windows [N, 1, 80, 16] to embeddings [N, 512]."""
        features = self.audio_encoder(mel).flatten(1)
        return self.audio_projection(features) if self.cfg.calibrated else features

    def logits(self, masks: Tensor, mel: Tensor) -> Tensor:
        """Log-odds of every pair [N, M] of mask embeddings [N, 512] and mel embeddings [M, 512].

        Without calibration the scale is that with which the cosine is compared to 0.5.
        """
        cosines = F.normalize(masks.float(), dim=1) @ F.normalize(mel.float(), dim=1).T
        return self.scale_cosine(cosines)

    def scale_cosine(self, cosine: Tensor) -> Tensor:
        """Log-odds of cosines, elementwise; 0 is the decision threshold."""
        if self.cfg.calibrated:
            return self.log_scale.exp() * cosine + self.bias
        return 10.0 * (cosine - 0.5)

    def probability(self, masks: Tensor, mel: Tensor) -> Tensor:
        """P_sync (eq. 3) in [0, 1] of pairs: embeddings [N, 512] and [N, 512] to [N]."""
        cosine = F.cosine_similarity(masks.float(), mel.float(), dim=1, eps=COSINE_EPSILON)
        return torch.sigmoid(self.scale_cosine(cosine)) if self.cfg.calibrated else cosine.clamp(0.0, 1.0)

    def forward(self, onehot: Tensor, mel: Tensor) -> Tensor:
        """Maps [N, T, C, S, S] and mel windows [N, 1, 80, 16] to P_sync [N]."""
        return self.probability(self.embed_masks(self.pool_masks(onehot)), self.embed_mel(mel))


def _make_face_encoder(cfg: SyncNetConfig) -> nn.Sequential:
    blocks: list[nn.Module] = []
    previous = cfg.window * cfg.frame_channels
    for index, (width, count) in enumerate(zip(cfg.channels, cfg.residuals, strict=True)):
        if index == 0:
            block = ConvBlock(previous, width, cfg.stem_kernel, cfg.stem_stride, norm=cfg.norm)
        elif index == 1:
            block = ConvBlock(previous, width, 5, (1, 2), padding=cfg.squeeze_padding, norm=cfg.norm)
        else:
            block = ConvBlock(previous, width, 3, 2, norm=cfg.norm)
        blocks.append(block)
        blocks += [ConvBlock(width, width, norm=cfg.norm, residual=True) for _ in range(count)]
        previous = width
    smallest = cfg.stage_sizes[-1][0]
    blocks.append(ConvBlock(previous, previous, smallest, padding=0, norm=cfg.norm, one_pixel=True))
    blocks.append(ConvBlock(previous, previous, 1, norm=cfg.norm, one_pixel=True))
    return nn.Sequential(*blocks)


def _conv_size(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1
