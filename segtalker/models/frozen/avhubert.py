"""The audio path of AV-HuBERT (arXiv 2201.02184) at any size: contextual speech features, 25 a second.

`base` and `large` have the parameter names and shapes of the published checkpoints (the video half left
out), which `segtalker weights import` reads. `mini` learns to hear in `segtalker train speech`, and the
talking segmentation network takes it over. The missing video is a half of zeros, which takes part in the
statistics of the first layer norm.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class AVHubertConfig:
    """Size of the transformer."""

    dim: int = 768
    ffn_dim: int = 3072
    layers: int = 12
    heads: int = 12
    input_dim: int = 104
    pos_kernel: int = 128
    """Tokens that the convolutional position embedding spans."""
    pos_groups: int = 16
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.dim % self.pos_groups:
            raise ValueError(f"dim {self.dim} must be a multiple of heads and of pos_groups")

    @classmethod
    def mini(cls) -> AVHubertConfig:
        """The size that is trained on the synthetic corpus and shipped: 1.9 M parameters."""
        return cls(dim=192, ffn_dim=768, layers=4, heads=4, pos_kernel=32)

    @classmethod
    def base(cls) -> AVHubertConfig:
        """Published base size: 91,039,488 parameters."""
        return cls()

    @classmethod
    def large(cls) -> AVHubertConfig:
        """Published large size: 312,910,848 parameters."""
        return cls(dim=1024, ffn_dim=4096, layers=24, heads=16)


class AVHubertAudio(nn.Module):
    """Speech tokens to contextual features; `layer_norm`, `encoder`, ... carry the published names."""

    def __init__(self, cfg: AVHubertConfig) -> None:
        """Build the audio path at the size of `cfg`."""
        super().__init__()
        self.cfg = cfg
        self.feature_extractor_audio = nn.ModuleDict({"proj": nn.Linear(cfg.input_dim, cfg.dim)})
        self.layer_norm = nn.LayerNorm(2 * cfg.dim)
        self.post_extract_proj = nn.Linear(2 * cfg.dim, cfg.dim)
        self.dropout = nn.Dropout(cfg.dropout)
        self.encoder = TransformerEncoder(cfg)

    def forward(self, tokens: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Tokens [B, T, 104] and padding [B, T] (True is padding) to features [B, T, dim].

        Features of real tokens do not depend on how much padding follows; those of padding mean nothing.
        """
        audio = self.feature_extractor_audio["proj"](tokens)
        both = torch.cat([audio, torch.zeros_like(audio)], dim=-1)
        features = self.post_extract_proj(self.layer_norm(both))
        return self.encoder(self.dropout(features), padding_mask)


class TransformerEncoder(nn.Module):
    """Convolutional position embedding, pre-norm layers, final norm."""

    def __init__(self, cfg: AVHubertConfig) -> None:
        """Build `cfg.layers` layers."""
        super().__init__()
        self.pos_conv = nn.Sequential(PositionConv(cfg.dim, cfg.pos_kernel, cfg.pos_groups), nn.GELU())
        self.dropout = nn.Dropout(cfg.dropout)
        self.layers = nn.ModuleList(TransformerLayer(cfg) for _ in range(cfg.layers))
        self.layer_norm = nn.LayerNorm(cfg.dim)

    def forward(self, features: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Features [B, T, dim] to features [B, T, dim]."""
        visible = None
        if padding_mask is not None:
            features = features.masked_fill(padding_mask[:, :, None], 0.0)
            # A sample of nothing but padding attends to its zeros: a softmax over no key is not a number.
            hidden = padding_mask & ~padding_mask.all(dim=1, keepdim=True)
            visible = ~hidden[:, None, None, :]
        features = features + self.pos_conv(features.transpose(1, 2)).transpose(1, 2)
        features = self.dropout(features)
        for layer in self.layers:
            features = layer(features, visible)
        return self.layer_norm(features)


class PositionConv(nn.Module):
    """Grouped convolution over time with weight `weight_g * weight_v / |weight_v|` per kernel position."""

    def __init__(self, dim: int, kernel: int, groups: int) -> None:
        """Names and shapes of the published weight norm over the last dimension."""
        super().__init__()
        self.groups = groups
        direction, gain = torch.randn(dim, dim // groups, kernel), torch.empty(1, 1, kernel)
        if not direction.is_meta:  # shapes alone: torch would import hundreds of modules to compute there
            direction *= (4.0 / (kernel * dim)) ** 0.5
            gain = _norm_per_position(direction)
        self.weight_v, self.weight_g = nn.Parameter(direction), nn.Parameter(gain)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, dim, T] to [B, dim, T] in fp32; an even kernel sees one token more of the past."""
        weight = self.weight_g * self.weight_v / _norm_per_position(self.weight_v)
        kernel = weight.shape[-1]
        # Never in bf16: with 12 channels a group and 32 taps, torch 2.13 gives wrong sums on CPUs with AMX.
        with torch.autocast(features.device.type, enabled=False):
            result = F.conv1d(
                features.float(), weight.float(), self.bias.float(), padding=kernel // 2, groups=self.groups
            )
        return result[:, :, : features.shape[-1]]


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and feed-forward with exact GELU."""

    def __init__(self, cfg: AVHubertConfig) -> None:
        """One layer of width `cfg.dim`."""
        super().__init__()
        self.self_attn = SelfAttention(cfg)
        self.self_attn_layer_norm = nn.LayerNorm(cfg.dim)
        self.fc1 = nn.Linear(cfg.dim, cfg.ffn_dim)
        self.fc2 = nn.Linear(cfg.ffn_dim, cfg.dim)
        self.final_layer_norm = nn.LayerNorm(cfg.dim)
        self.dropout = nn.Dropout(cfg.dropout)

    def forward(self, features: Tensor, visible: Tensor | None) -> Tensor:
        """Features [B, T, dim] to the same."""
        features = features + self.dropout(self.self_attn(self.self_attn_layer_norm(features), visible))
        hidden = F.gelu(self.fc1(self.final_layer_norm(features)))
        return features + self.dropout(self.fc2(hidden))


class SelfAttention(nn.Module):
    """Multi-head attention with the published projection names."""

    def __init__(self, cfg: AVHubertConfig) -> None:
        """`cfg.heads` heads."""
        super().__init__()
        self.heads = cfg.heads
        self.k_proj = nn.Linear(cfg.dim, cfg.dim)
        self.v_proj = nn.Linear(cfg.dim, cfg.dim)
        self.q_proj = nn.Linear(cfg.dim, cfg.dim)
        self.out_proj = nn.Linear(cfg.dim, cfg.dim)

    def forward(self, features: Tensor, visible: Tensor | None) -> Tensor:
        """Features [B, T, dim], keys that may be seen [B, 1, 1, T] (None: all), to [B, T, dim]."""
        batch, time, dim = features.shape

        def split(projected: Tensor) -> Tensor:
            return projected.view(batch, time, self.heads, dim // self.heads).transpose(1, 2)

        query, key, value = (
            split(self.q_proj(features)),
            split(self.k_proj(features)),
            split(self.v_proj(features)),
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        return self.out_proj(attended.transpose(1, 2).reshape(batch, time, dim))


def _norm_per_position(weight: Tensor) -> Tensor:
    return weight.norm(dim=(0, 1), keepdim=True)
