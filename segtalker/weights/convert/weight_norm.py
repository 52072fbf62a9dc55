"""Weight norm in published files: weight = g v / |v|, which three kinds of files keep under different names.

Older files say `weight_g` and `weight_v`, files of newer PyTorch `parametrizations.weight.original0` and
`original1`, and some were saved after the two had been multiplied. Our networks keep the pair, so that the
published numbers stay what they are; all three kinds are brought to the older names.
"""

from __future__ import annotations

import re

from torch import Tensor

from segtalker.weights.pickles.tensors import InMemory, StoredTensor

_NEW = re.compile(r"parametrizations\.weight\.original([01])$")


def as_pairs(tensors: dict[str, StoredTensor], layer: str, kept_dim: int) -> dict[str, StoredTensor]:
    """`tensors` with `layer`'s weight as `weight_g`, one number a place along `kept_dim`, and `weight_v`."""
    renamed = {}
    for name, value in tensors.items():
        if name.startswith(f"{layer}."):
            name = _NEW.sub(lambda match: f"weight_{'gv'[int(match[1])]}", name)
        renamed[name] = value
    whole = renamed.pop(f"{layer}.weight", None)
    if whole is not None:
        weight = whole.load().float()
        renamed[f"{layer}.weight_g"] = InMemory(norm_along(weight, kept_dim))
        renamed[f"{layer}.weight_v"] = InMemory(weight)
    return renamed


def norm_along(weight: Tensor, kept_dim: int) -> Tensor:
    """|weight| for each place along `kept_dim`, with all dimensions kept."""
    return weight.norm(dim=[dim for dim in range(weight.dim()) if dim != kept_dim], keepdim=True)
