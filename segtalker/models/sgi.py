"""Segmentation-guided GAN injection (SGI): a region's look comes from a picture, its shape from a map.

arXiv 2409.03605, Sec. 3.3: the style encoder averages features region by region, one MLP a region turns them
into style codes, and the mask-guided StyleGAN2 paints the codes into the regions of another map.

Shape legend: N batch, R regions (12), L code layers, D style dim, S picture size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segtalker.models.style_encoder import RegionMLPs, StyleEncoder, StyleEncoderConfig
from segtalker.models.stylegan2 import Generator, Noise, RegionRouting, SynthesisConfig
from segtalker.regions import NUM_REGIONS


@dataclass(frozen=True)
class SGIConfig:
    """Size of SGI; the defaults are the paper's: 18 codes for a generator at 1024 px."""

    encoder: StyleEncoderConfig = field(default_factory=StyleEncoderConfig)
    generator: SynthesisConfig = field(default_factory=lambda: SynthesisConfig(mask_until_res=256))
    mlp_hidden: int = 512
    num_regions: int = NUM_REGIONS
    codes: Literal["regions", "plain"] = "regions"
    """`plain`: one code for the whole picture, the same in all regions (an ablation). The generator is a
    plain StyleGAN2 then, and the map reaches the picture in no way."""

    @property
    def size(self) -> int:
        """Side of the pictures it makes, px."""
        return self.generator.size

    @staticmethod
    def mini() -> SGIConfig:
        """128 px, fast on a CPU, every layer region by region."""
        return SGIConfig(
            encoder=StyleEncoderConfig(
                input_size=128,
                stem=32,
                stem_stride=2,
                widths=(32, 64, 96, 128),
                units=(1, 2, 3, 2),
                strides=(1, 1, 2, 2),
                norm="group",
                mask_resize="area",
            ),
            generator=SynthesisConfig(
                size=128, style_dim=128, channel_base=6144, channel_max=192, num_mapping_layers=0
            ),
            mlp_hidden=128,
        )

    @staticmethod
    def paper() -> SGIConfig:
        """IR-SE50 with a pyramid, generator at 1024 px with 18 codes, regions up to 256 px."""
        return SGIConfig()

    @staticmethod
    def e4s() -> SGIConfig:
        """The layout of the published region-wise inversion weights."""
        return SGIConfig(encoder=StyleEncoderConfig.e4s())


class SGI(nn.Module):
    """Style encoder, region MLPs, mask-guided generator."""

    latent_avg: Tensor

    def __init__(self, cfg: SGIConfig) -> None:
        super().__init__()
        self.cfg = cfg
        synthesis = cfg.generator
        self.encoder = StyleEncoder(cfg.encoder)
        self.mlps = RegionMLPs(
            cfg.num_regions if cfg.codes == "regions" else 1,
            cfg.encoder.num_features,
            cfg.mlp_hidden,
            synthesis.num_region_layers,
            synthesis.style_dim,
        )
        self.generator = Generator(synthesis)
        self.register_buffer("latent_avg", torch.zeros(synthesis.num_layers, synthesis.style_dim))

    def forward(
        self,
        image: Tensor,
        source_regions: Tensor,
        target_regions: Tensor | RegionRouting,
        noise: Noise = "fixed",
    ) -> Tensor:
        """The look of `image` [N, 3, S, S] in the shape of `target_regions`: [N, 3, S, S], about [-1, 1]."""
        return self.decode(self.encode(image, source_regions), target_regions, noise)

    def encode(self, image: Tensor, regions: Tensor) -> Tensor:
        """Style codes [N, R, L, D] of `image` [N, 3, s, s] in [-1, 1].

        `regions`: one-hot [N, R, s, s] or integer region map [N, s, s]. A region that is absent gets the
        learned prior of its MLP; the layers beyond the region-wise ones get `latent_avg`.
        """
        if self.cfg.codes == "plain":
            onehot = torch.ones_like(image[:, :1])
        else:
            onehot = self._one_hot(regions)
        offsets = self.mlps(self.encoder(image, onehot)).float().expand(-1, self.cfg.num_regions, -1, -1)
        codes = self.latent_avg.expand(*offsets.shape[:2], -1, -1)
        count = offsets.shape[2]
        return torch.cat([codes[:, :, :count] + offsets, codes[:, :, count:]], dim=2)

    def decode(self, codes: Tensor, regions: Tensor | RegionRouting, noise: Noise = "fixed") -> Tensor:
        """Picture [N, 3, S, S], about [-1, 1], of style codes [N, R, L, D].

        `regions`: integer region map [N, s, s] of any size, one-hot [N, R, s, s], or a `RegionRouting`.
        `noise` "fixed" uses the stored buffers, so that a video does not flicker. Maps on the host save a
        GPU a wait.
        """
        if isinstance(regions, Tensor) and regions.dim() == 4:
            regions = regions.argmax(dim=1)
        return self.generator(codes, regions, noise)

    def freeze_unmasked(self) -> None:
        """Leave as pretrained what no region code reaches: the mapping, and layers above the masked ones."""
        count = self.cfg.generator.num_region_layers
        generator = self.generator
        frozen: list[nn.Module] = [generator.style] if hasattr(generator, "style") else []
        frozen += [conv for index, conv in enumerate(generator.convs, start=1) if index >= count]
        frozen += [rgb for index, rgb in enumerate(generator.to_rgbs) if 2 * index + 3 >= count]
        for module in frozen:
            module.requires_grad_(False)

    def _one_hot(self, regions: Tensor) -> Tensor:
        if regions.dim() == 4:
            return regions
        onehot = F.one_hot(regions.long(), self.cfg.num_regions)
        return onehot.permute(0, 3, 1, 2).float()
