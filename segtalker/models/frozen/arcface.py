"""ArcFace identity embedder on IR-SE50 (arXiv 1801.07698), in the layout of its published weights.

Also at any smaller width, for an embedder of our own. 397 state-dict entries and 43.80 M parameters at full
size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from segtalker.models.irse import IRSENorm, irse_body, irse_stem


@dataclass(frozen=True)
class ArcFaceConfig:
    """Size of the embedder; the defaults are IR-SE50 at 112 px."""

    input_size: int = 112
    stem: int = 64
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    units: tuple[int, int, int, int] = (3, 4, 14, 3)
    norm: IRSENorm = "batch"
    dropout: float = 0.6
    embedding_dim: int = 512

    @staticmethod
    def mini() -> ArcFaceConfig:
        """64 px, under half a million parameters."""
        return ArcFaceConfig(
            input_size=64, stem=16, widths=(16, 32, 48, 64), units=(1, 2, 2, 1), dropout=0.2, embedding_dim=64
        )


class ArcFace(nn.Module):
    """Aligned face to a unit vector; the cosine of two vectors says how alike two identities are."""

    def __init__(self, cfg: ArcFaceConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.input_layer = irse_stem(cfg.stem, 1, cfg.norm)
        self.body, self.stage_ends = irse_body(cfg.stem, cfg.widths, cfg.units, (2, 2, 2, 2), cfg.norm)
        side = cfg.input_size // 16
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(cfg.widths[-1]),
            nn.Dropout(cfg.dropout),
            nn.Flatten(),
            nn.Linear(cfg.widths[-1] * side * side, cfg.embedding_dim),
            nn.BatchNorm1d(cfg.embedding_dim),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Aligned faces [N, 3, S, S] in [-1, 1] to unit vectors [N, embedding_dim]."""
        return self.features(image)[-1]

    def features(self, image: Tensor) -> list[Tensor]:
        """The four stages' features [N, C, H, W], then the embedding [N, embedding_dim]."""
        size = self.cfg.input_size
        if image.shape[-2:] != (size, size):
            image = F.adaptive_avg_pool2d(image, size) if image.shape[-1] > size else _enlarged(image, size)
        x = self.input_layer(image)
        levels = []
        for index, unit in enumerate(self.body):
            x = unit(x)
            if index in self.stage_ends:
                levels.append(x)
        return [*levels, F.normalize(self.output_layer(x))]


def _enlarged(image: Tensor, size: int) -> Tensor:
    return F.interpolate(image, size=(size, size), mode="bilinear", align_corners=False)
