"""Whole checkpoints as they are published, of any size: random networks, and what stands beside them.

Each function returns what the file holds; the defaults are the published sizes. The same arguments give the
same numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.weights.convert import official, official_inversion
from tests.weights.nvidia import persistent, write_pickle

Checkpoint = dict[str, Any]
Sizes = dict[str, Any]

_BUFFERS = ("noise_const", "resample_filter", "w_avg")


def stylegan2(layout: str, dim: int = 512, mapping: int = 8, **widths: int) -> Checkpoint:
    """Generator, discriminator and the generator's average; layout: `port` or `nvidia`."""
    port = layout == "port"
    shapes = (official.port_generator if port else official.nvidia_generator)(
        **widths, dim=dim, mapping=mapping
    )
    average, raw = (official.drawn(shapes, seed) for seed in (1, 2))
    critic = official.drawn(
        (official.port_discriminator if port else official.nvidia_discriminator)(**widths), 3
    )
    if port:
        return {"g": raw, "d": critic, "g_ema": average, "latent_avg": torch.ones(dim)}
    return {"G": raw, "D": critic, "G_ema": average}


def write_nvidia(path: Path, networks: Checkpoint) -> None:
    """Pickle StyleGAN2's networks as NVIDIA's code does."""
    write_pickle(path, {name: persistent(name, values, _BUFFERS) for name, values in networks.items()})


def avhubert(heads: int = 12, prefix: str = "", scale: float = 0.04, **sizes: int) -> Checkpoint:
    """Pretrained, or with `encoder.w2v_model.` before its keys fine-tuned to write text.

    scale: of random weights; 1 / sqrt(width) keeps features about one.
    """
    shapes = official.avhubert(**sizes)
    dim = shapes["post_extract_proj.bias"][0]
    model = {**official.drawn(shapes, 5, scale), **official.drawn(official.avhubert_beside(dim))}
    model = {f"{prefix}{name}": value for name, value in model.items()}
    if prefix:
        model["decoder.embed_tokens.weight"] = torch.zeros(5, 2)
    options: dict[str, Any] = {"encoder_attention_heads": heads, "layer_norm_first": True}
    cfg = {"model": {"w2v_args": {"model": options}} if prefix else options}
    return {"args": None, "cfg": cfg, "model": model, "last_optimizer_state": {"state": {}}}


def e4s(generator: Sizes, encoder: Sizes, **sizes: int) -> Checkpoint:
    """Region-wise inversion as trained and averaged, its mean code [L, D] and its discriminator."""
    shapes = official_inversion.e4s(**generator, **encoder, **sizes)
    average, raw = (official_inversion.drawn(shapes, seed) for seed in (1, 2))
    widths = {name: value for name, value in generator.items() if name in ("size", "base", "most")}
    critic = official.drawn(official.port_discriminator(**{"size": 1024, **widths}), 3)
    return {
        "state_dict": in_parallel(raw),
        "opts": {"device": torch.device("cuda", 0), "remaining_layer_idx": sizes.get("codes", 13)},
        "state_dict_ema": average,
        "latent_avg": _mean_code(average, "G.", seed=4),
        "D_state_dict": in_parallel(critic),
    }


def psp(generator: Sizes, encoder: Sizes, heads: int = 18) -> Checkpoint:
    """pSp's encoder with its heads, its decoder, and the mean code [L, D]."""
    shapes = official_inversion.psp_encoder(**encoder, heads=heads)
    tensors = {f"encoder.{name}": value for name, value in official_inversion.drawn(shapes, 5).items()}
    decoder = official.drawn(official.port_generator(**{"size": 1024, **generator}), 6)
    tensors |= {f"decoder.{name}": value for name, value in decoder.items()}
    return {"state_dict": tensors, "opts": {}, "latent_avg": _mean_code(tensors, "decoder.", seed=7)}


def in_parallel(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A network's keys as data parallelism writes them."""
    return {f"module.{name}": value for name, value in tensors.items()}


class Tree(nn.Module):
    """Modules by dotted names; what it computes is of no interest."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def scripted(values: dict[str, Tensor]) -> torch.jit.ScriptModule:
    """The tensors as TorchScript keeps them: in objects inside objects."""
    root = Tree()
    for name, value in values.items():
        *path, last = name.split(".")
        node: nn.Module = root
        for step in path:
            if step not in dict(node.named_children()):
                node.add_module(step, Tree())
            node = node.get_submodule(step)
        node.register_buffer(last, value)
    return torch.jit.script(root)


def _mean_code(tensors: dict[str, Tensor], generator: str, seed: int) -> Tensor:
    """[L, D]: the same code for every layer; L is one more than the noise images."""
    layers = 1 + sum(name.startswith(f"{generator}noises.") for name in tensors)
    dim = tensors[f"{generator}conv1.conv.modulation.weight"].shape[1]
    return torch.randn(dim, generator=torch.Generator().manual_seed(seed)).repeat(layers, 1)
