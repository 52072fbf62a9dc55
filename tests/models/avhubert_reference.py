"""AV-HuBERT's audio path from its published description, slow and in double precision, by published names."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch


def layer_norm(row: torch.Tensor, weights: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    centred = row - row.mean()
    normal = centred / math.sqrt(float((centred**2).mean()) + 1e-5)
    return normal * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(value: torch.Tensor) -> torch.Tensor:
    return value * 0.5 * (1 + torch.erf(value / math.sqrt(2)))


def reference(weights: Mapping[str, torch.Tensor], tokens: torch.Tensor, num_heads: int) -> torch.Tensor:
    """One sample [T, input] through the audio path, token by token and head by head."""
    w = {name: value.double() for name, value in weights.items()}
    size, per_group, pos_kernel = w["encoder.pos_conv.0.weight_v"].shape
    num_layers = sum(name.endswith(".fc1.weight") for name in w)
    per_head = size // num_heads
    rows = []
    for token in tokens.double():
        audio = w["feature_extractor_audio.proj.weight"] @ token + w["feature_extractor_audio.proj.bias"]
        both = layer_norm(torch.cat([audio, torch.zeros(size).double()]), w, "layer_norm")
        rows.append(w["post_extract_proj.weight"] @ both + w["post_extract_proj.bias"])
    gain, direction = w["encoder.pos_conv.0.weight_g"], w["encoder.pos_conv.0.weight_v"]
    positioned = []
    for t in range(len(rows)):
        value = w["encoder.pos_conv.0.bias"].clone()
        for k in range(pos_kernel):
            source = t + k - pos_kernel // 2
            if 0 <= source < len(rows):
                kernel = (
                    gain[0, 0, k] * direction[:, :, k] / math.sqrt(float((direction[:, :, k] ** 2).sum()))
                )
                for channel in range(size):
                    group = channel // per_group
                    value[channel] += (
                        kernel[channel] @ rows[source][group * per_group : (group + 1) * per_group]
                    )
        positioned.append(rows[t] + gelu(value))
    x = positioned
    for layer in range(num_layers):
        p = f"encoder.layers.{layer}."
        normal = [layer_norm(row, w, p + "self_attn_layer_norm") for row in x]
        q, k, v = (
            [
                w[f"{p}self_attn.{name}_proj.weight"] @ row + w[f"{p}self_attn.{name}_proj.bias"]
                for row in normal
            ]
            for name in "qkv"
        )
        for t in range(len(x)):
            heads = []
            for head in range(num_heads):
                part = slice(head * per_head, (head + 1) * per_head)
                scores = torch.stack([q[t][part] @ key[part] * per_head**-0.5 for key in k]).softmax(0)
                heads.append(sum(score * value[part] for score, value in zip(scores, v, strict=True)))
            out = w[p + "self_attn.out_proj.weight"] @ torch.cat(heads) + w[p + "self_attn.out_proj.bias"]
            x[t] = x[t] + out
        for t in range(len(x)):
            hidden = gelu(
                w[p + "fc1.weight"] @ layer_norm(x[t], w, p + "final_layer_norm") + w[p + "fc1.bias"]
            )
            x[t] = x[t] + w[p + "fc2.weight"] @ hidden + w[p + "fc2.bias"]
    return torch.stack([layer_norm(row, w, "encoder.layer_norm") for row in x])
