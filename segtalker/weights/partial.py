"""Part of one network as the start of another: which tensors are taken, left at random or skipped, and why.

A generator is the prior of SGI (arXiv 2409.03605, Sec. 3.3) and an IR-SE network its encoder's body; a
region-wise inversion is an SGI of its own, of which a smaller one takes what it has room for. A discriminator
serves at another size, since its blocks are numbered from the picture inwards. A lip-sync expert on colours
(arXiv 2008.10010) starts one on region maps, which differs by its first layer.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from segtalker.models.discriminator import DiscriminatorConfig
from segtalker.models.sgi import SGIConfig
from segtalker.models.style_encoder import StyleEncoderConfig
from segtalker.models.syncnet import SyncNetConfig
from segtalker.weights.convert.stylegan2 import LATENT_AVG
from segtalker.weights.convert.table import BATCH_COUNTERS

What = Literal["taken", "kept", "random", "skipped"]


@dataclass(frozen=True)
class Fate:
    """What became of one tensor: of the new network (taken, kept, random) or of the old one (skipped)."""

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


class EncoderSize(Protocol):
    """What an IR-SE network says about its body."""

    @property
    def norm(self) -> str:
        """Kind of its norms."""

    @property
    def units(self) -> tuple[int, ...]:
        """Residual units a stage."""


Source = tuple[Mapping[str, Tensor], Callable[[str], Place]]
"""The tensors of an old network, and where each goes."""


def start_from(
    state: Mapping[str, Tensor], source: Mapping[str, Tensor], place: Callable[[str], Place]
) -> tuple[dict[str, Tensor], list[Fate]]:
    """`start_from_all` with one old network; place: name in `source` to where it goes."""
    return start_from_all(state, [(source, place)])


def start_from_all(
    state: Mapping[str, Tensor], sources: Sequence[Source], random: Collection[str] | None = None
) -> tuple[dict[str, Tensor], list[Fate]]:
    """`state` of a new network with what fits of the sources, and the fate of every tensor of all.

    A tensor of another shape is skipped; `latent_avg` [D] is repeated for every layer [L, D], and one that
    knows more layers gives the first. random: names that are random in `state`, None for all; what is not
    among them and not taken was put there before.
    """
    result, fates = dict(state), []
    taken: dict[str, str] = {}
    for source, place in sources:
        for name, value in source.items():
            target = place(name)
            if target.name is None or target.name not in state:
                fates.append(Fate(name, "skipped", target.why or "the new network has no such layer"))
                continue
            wanted = state[target.name].shape
            if target.name == LATENT_AVG:
                value = _mean_codes(value, wanted)
            if value.shape != wanted:
                why = f"is {list(value.shape)}, '{target.name}' is {list(wanted)}"
                fates.append(Fate(name, "skipped", why))
                continue
            result[target.name], taken[target.name] = value, name
    for name in state:
        if name in taken:
            fates.append(Fate(name, "taken", f"from '{taken[name]}'"))
        elif re.fullmatch(BATCH_COUNTERS.pattern, name):
            fates.append(Fate(name, "kept", BATCH_COUNTERS.why))
        elif random is None or name in random:
            fates.append(Fate(name, "random", "the file has none"))
        else:
            fates.append(Fate(name, "kept", "put there by an earlier import"))
    return result, fates


def _mean_codes(value: Tensor, wanted: Sequence[int]) -> Tensor:
    """`latent_avg` [D] or [L, D] for a network of `wanted` layers and dimensions, where it can be."""
    if value.shape[-1:] != tuple(wanted)[-1:]:
        return value
    return value.expand(*wanted) if value.dim() == 1 else value[: wanted[0]]


def generator_in_sgi(name: str) -> Place:
    """Where a tensor of a StyleGAN2 generator goes in SGI; layers beyond SGI's size find no place there."""
    if name == LATENT_AVG:
        return Place(LATENT_AVG)
    if name.startswith("style."):
        return Place(f"generator.{name}", "the mapping network, which SGI never runs")
    return Place(f"generator.{name}", "the new generator ends at a lower resolution")


def encoder_in_sgi(old: EncoderSize, new: StyleEncoderConfig) -> Callable[[str], Place]:
    """Where a tensor of an IR-SE network (ArcFace's, pSp's encoder) goes in SGI: to its encoder's body.

    Weights that were trained under one norm mean nothing under another, and the N-th unit of another depth
    is another unit: such an encoder takes none. The pyramid is found by its names.
    """
    why = ""
    if old.norm != new.norm:
        why = f"trained under {old.norm} norm, the new encoder has {new.norm} norm"
    elif old.units != new.units:
        why = f"the new encoder has stages of {list(new.units)} units, this one of {list(old.units)}"

    def place(name: str) -> Place:
        if name.startswith("output_layer."):
            return Place(None, "names a person, which the new network does not")
        return Place(None if why else f"encoder.{name}", why or "the new encoder has no such layer")

    return place


def sgi_in_sgi(old: SGIConfig, new: SGIConfig) -> Callable[[str], Place]:
    """Where a tensor of SGI goes in one of another size or with another encoder, whose MLPs begin anew."""

    def place(name: str) -> Place:
        if name.startswith("generator."):
            return generator_in_sgi(name.removeprefix("generator."))
        if name.startswith(("encoder.", "mlps.")) and old.encoder != new.encoder:
            part = "of" if name.startswith("encoder.") else "reads the features of"
            return Place(None, f"{part} another encoder than the new network's")
        if name.startswith("mlps.") and old.codes != new.codes:
            return Place(None, f"for codes of {old.codes}, the new network has codes of {new.codes}")
        return Place(name)

    return place


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


def syncnet_in_syncnet(old: SyncNetConfig, new: SyncNetConfig) -> Callable[[str], Place]:
    """Where a tensor of SyncNet goes in one for other pictures: to the same layer of the same branch.

    A branch of other blocks takes none: the N-th block of one is not the N-th of the other.
    """
    other = []
    if (old.channels, old.residuals, old.stem_stride) != (new.channels, new.residuals, new.stem_stride):
        other.append("face_encoder")
    if (old.mel_channels, old.mel_residuals) != (new.mel_channels, new.mel_residuals):
        other.append("audio_encoder")

    def place(name: str) -> Place:
        branch = name.partition(".")[0]
        if old.norm != new.norm:
            return Place(None, f"trained under {old.norm} norm, the new network has {new.norm} norm")
        return Place(None, f"the new {branch} has other blocks") if branch in other else Place(name)

    return place


def summary(fates: list[Fate]) -> list[str]:
    """The fates in a few lines: how many were taken, then the others by reason."""
    count = Counter(fate.what for fate in fates)
    kept = f", {count['kept']} kept" if count["kept"] else ""
    lines = [
        f"{count['taken']} tensors taken{kept}, {count['random']} left at random, {count['skipped']} skipped"
    ]
    groups: dict[tuple[str, str], list[str]] = {}
    for fate in fates:
        if fate.what != "taken":
            groups.setdefault((fate.what, fate.why), []).append(fate.name)
    for (what, why), names in groups.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"  {what}: {names[0]}{more}: {why}")
    return lines
