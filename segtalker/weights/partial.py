"""Part of one network as the start of another: which tensors are taken, left at random or skipped, and why.

A generator is the prior of SGI (arXiv 2409.03605, Sec. 3.3), whose encoder begins at random; a discriminator
serves at another size, since its blocks are numbered from the picture inwards.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from segtalker.models.discriminator import DiscriminatorConfig
from segtalker.weights.convert.stylegan2 import LATENT_AVG

What = Literal["taken", "random", "skipped"]


@dataclass(frozen=True)
class Fate:
    """What became of one tensor: of the new network (taken, random) or of the old one (skipped)."""

    name: str
    what: What
    why: str

    def __str__(self) -> str:
        return f"{self.what:7} {self.name}: {self.why}"


@dataclass(frozen=True)
class Place:
    """Where a tensor of the old network goes, or why it goes nowhere."""

    name: str | None
    why: str = ""


def start_from(
    state: Mapping[str, Tensor], source: Mapping[str, Tensor], place: Callable[[str], Place]
) -> tuple[dict[str, Tensor], list[Fate]]:
    """`state` of a new network with what fits of `source`, and the fate of every tensor of both.

    place: name in `source` to where it goes. A tensor of another shape is skipped; `latent_avg` [D] is
    repeated for every layer [L, D].
    """
    result, fates = dict(state), []
    taken: dict[str, str] = {}
    for name, value in source.items():
        target = place(name)
        if target.name is None or target.name not in state:
            fates.append(Fate(name, "skipped", target.why or "the new network has no such layer"))
            continue
        wanted = state[target.name].shape
        if name == LATENT_AVG and value.shape[-1] == wanted[-1]:
            value = value.expand(wanted)
        if value.shape != wanted:
            why = f"is {list(value.shape)}, '{target.name}' is {list(wanted)}"
            fates.append(Fate(name, "skipped", why))
            continue
        result[target.name], taken[target.name] = value, name
    for name in state:
        why = f"from '{taken[name]}'" if name in taken else "the file has none"
        fates.append(Fate(name, "taken" if name in taken else "random", why))
    return result, fates


def generator_in_sgi(name: str) -> Place:
    """Where a tensor of a StyleGAN2 generator goes in SGI; layers beyond SGI's size find no place there."""
    if name == LATENT_AVG:
        return Place(LATENT_AVG)
    if name.startswith("style."):
        return Place(f"generator.{name}", "the mapping network, which SGI never runs")
    return Place(f"generator.{name}", "the new generator ends at a lower resolution")


def discriminator_of_size(old: DiscriminatorConfig, new: DiscriminatorConfig) -> Callable[[str], Place]:
    """Where a tensor of a discriminator goes in one for other pictures: to the block of its resolution."""
    shift = int(math.log2(new.size)) - int(math.log2(old.size))

    def place(name: str) -> Place:
        match = re.fullmatch(r"convs\.(\d+)\.(.+)", name)
        if match is None or shift == 0:
            return Place(name)
        index = int(match[1])
        if index == 0:
            return Place(None, f"reads pictures of {old.size} px into the block of that resolution")
        if index + shift < 1:
            return Place(None, f"the new discriminator begins at {new.size} px")
        return Place(f"convs.{index + shift}.{match[2]}")

    return place


def summary(fates: list[Fate]) -> list[str]:
    """The fates in a few lines: how many were taken, then the others by reason."""
    count = Counter(fate.what for fate in fates)
    lines = [f"{count['taken']} tensors taken, {count['random']} left at random, {count['skipped']} skipped"]
    groups: dict[tuple[str, str], list[str]] = {}
    for fate in fates:
        if fate.what != "taken":
            groups.setdefault((fate.what, fate.why), []).append(fate.name)
    for (what, why), names in groups.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"  {what}: {names[0]}{more}: {why}")
    return lines
