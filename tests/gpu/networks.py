"""Small copies of the paper's networks, each with inputs, for tests of what a device makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segtalker.models.discriminator import Discriminator, DiscriminatorConfig
from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.models.frozen.maskgan_unet import ParsingUNet, ParsingUNetConfig
from segtalker.models.sgi import SGI
from segtalker.models.syncnet import SyncNet
from segtalker.models.tsg import TSG, interpolate_context
from segtalker.training.run import load_train_config
from tests.training.recipes import CONFIGS


@dataclass(frozen=True)
class Case:
    """A network in evaluation mode and a call of it."""

    net: nn.Module
    inputs: tuple[Tensor, ...]
    call: Callable[..., Tensor]
    """Of the network and its inputs, which lie on its device."""
    bf16: float
    """How far bf16 may take the output from that of fp32, as a part of the largest value."""

    def run(self, device: torch.device) -> Tensor:
        return self.call(self.net.to(device), *(value.to(device) for value in self.inputs))


def make_case(name: str) -> Case:
    """A case of `BUILDERS`, the same every time."""
    torch.manual_seed(0)
    case = BUILDERS[name]()
    for norm in case.net.modules():  # statistics as after a training, where batch norm does something
        if isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 2)
    case.net.eval()
    return case


def small_paper(network: str, sizes: dict[str, Any], *changes: str) -> Any:
    """The model of a configuration of the paper, at other sizes."""
    changes = *changes, *(f"model.{name}={value}" for name, value in sizes.items())
    return load_train_config(network, CONFIGS / "paper" / f"{network}.yaml", changes).model


def region_maps(size: int) -> Tensor:
    """[2, S, S] blocks of all regions."""
    coarse = torch.randint(0, 12, (2, 8, 8), dtype=torch.uint8)
    return coarse.repeat_interleave(size // 8, 1).repeat_interleave(size // 8, 2)


def tsg() -> Case:
    sizes = {
        "size": 32,
        "encoder_channels": [8, 16, 16, 16, 16],
        "encoder_residuals": [0, 1, 1, 1, 0],
        "decoder_channels": [16, 16, 16, 16, 8],
        "decoder_residuals": [0, 1, 1, 1, 1],
        "head_channels": 8,
        "mel_channels": [4, 8, 8, 16, 16],
        "speech_dim": 16,
        "context": "{dim: 32, ffn_dim: 64, layers: 2, heads: 2, pos_kernel: 16, pos_groups: 4}",
    }
    pose, reference = (F.one_hot(region_maps(32).long(), 12).permute(0, 3, 1, 2).float() for _ in range(2))
    speech = torch.randn(2, 1, 80, 16), torch.randn(2, 75, 104), torch.arange(75).expand(2, -1) > 60
    places = torch.tensor([0, 1]), torch.tensor([[3, 4], [50, 51]]), torch.tensor([0.2, 0.7])

    def call(net: TSG, *inputs: Tensor) -> Tensor:
        pose, reference, mel, tokens, padding, *places = inputs
        return net(pose, reference, mel, interpolate_context(net.context(tokens, padding), *places))

    net = TSG(small_paper("tsg", sizes))
    return Case(net, (pose, reference, *speech, *places), call, bf16=0.02)


def syncnet() -> Case:
    sizes = {
        "size": 32,
        "channels": [8, 8, 16, 16],
        "residuals": [0, 1, 1, 0],
        "stem_kernel": 3,
        "mel_channels": [4, 8, 8, 16, 16],
        "embedding": 16,
    }
    inputs = torch.randn(2, 5, 12, 64, 64).softmax(dim=2), torch.randn(2, 1, 80, 16)
    return Case(SyncNet(small_paper("syncnet", sizes)), inputs, nn.Module.__call__, bf16=0.03)


def sgi() -> Case:
    encoder = (
        "{kind: psp_fpn, norm: batch, input_size: 32, stem: 8, widths: [8, 8, 16, 16], units: [1, 1, 1, 1]}"
    )
    sizes = {"size": 64, "style_dim": 16, "channel_base": 1024, "channel_max": 32, "mask_until_res": 32}
    generator = {f"generator.{name}": value for name, value in sizes.items()}
    model = small_paper("sgi", {"encoder": encoder, "mlp_hidden": 16, **generator}, "discriminator.size=64")
    image, source, target = torch.rand(2, 3, 64, 64) * 2 - 1, region_maps(64), region_maps(64)

    def call(net: SGI, image: Tensor, source: Tensor) -> Tensor:
        return net(image, source, target)  # its map stays on the host, as in a dub

    return Case(SGI(model), (image, source), call, bf16=0.06)


def discriminator() -> Case:
    net = Discriminator(DiscriminatorConfig(size=32, channel_base=512, channel_max=16))
    return Case(net, (torch.rand(4, 3, 32, 32) * 2 - 1,), nn.Module.__call__, bf16=0.1)


def arcface() -> Case:
    image = torch.rand(2, 3, 100, 100) * 2 - 1
    return Case(ArcFace(ArcFaceConfig.mini()), (image,), nn.Module.__call__, bf16=0.03)


def parsing_unet() -> Case:
    net = ParsingUNet(ParsingUNetConfig(widths=(8, 8, 16, 16, 16)))
    return Case(net, (torch.rand(2, 3, 32, 32) * 2 - 1,), nn.Module.__call__, bf16=0.02)


BUILDERS = {
    "tsg": tsg,
    "syncnet": syncnet,
    "sgi": sgi,
    "discriminator": discriminator,
    "arcface": arcface,
    "parsing_unet": parsing_unet,
}
