"""The start of a training from published networks: SGI from its parts, SyncNet from one on colours.

The generator is SGI's prior (arXiv 2409.03605, Sec. 3.3), pSp's encoder and ArcFace's IR-SE50 have the body
of its style encoder (arXiv 2008.00951), a region-wise inversion is an SGI itself. What they lack begins at
random, or with what an earlier start brought.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segtalker.config import load_yaml, parse_config, to_dict
from segtalker.errors import ConfigError, WeightsError
from segtalker.models.discriminator import Discriminator, DiscriminatorConfig
from segtalker.models.sgi import SGI, SGIConfig
from segtalker.models.syncnet import SyncNet, SyncNetConfig
from segtalker.weights.checkpoint import read_weights, weights_info
from segtalker.weights.convert.layout import Match
from segtalker.weights.convert.stylegan2 import LATENT_AVG
from segtalker.weights.partial import (
    Fate,
    Place,
    Source,
    discriminator_of_size,
    encoder_in_sgi,
    generator_in_sgi,
    sgi_in_sgi,
    start_from,
    start_from_all,
    syncnet_in_syncnet,
)

SGI_NAME, SYNCNET_NAME = "sgi", "syncnet"
PARTS_OF_SGI = (SGI_NAME, "generator", "style_encoder", "identity")
"""Networks that SGI can start from."""
STARTS: dict[str, tuple[str, ...]] = {SGI_NAME: PARTS_OF_SGI, SYNCNET_NAME: (SYNCNET_NAME, "lip_expert")}
"""Networks that others start, and by which."""
_SEED = 1


def start_sgi(
    matches: Sequence[Match], cfg: SGIConfig, onto: Path | None = None
) -> tuple[dict[str, Tensor], list[Fate]]:
    """The tensors of an SGI that begins with what `matches` hold of `PARTS_OF_SGI`, and the fate of each.

    matches: all of one file. onto: an earlier start of the same configuration, which keeps what they lack.
    """
    place = str(matches[0].file.path)
    state, random = (_seeded(SGI, cfg), None) if onto is None else _earlier(onto, cfg)
    sources: list[Source] = []
    fates: list[Fate] = []
    for match in (match for match in matches if match.layout.network in PARTS_OF_SGI):
        old, table = match.plan()
        sources.append((match.read(old, table), _way(match.layout.network, old, cfg)))
        fates += [Fate(name, "skipped", why) for name in match.tensors if (why := table.why_dropped(name))]
    state, found = start_from_all(state, sources, random)
    what = {fate.name: fate.what for fate in found if fate.what != "skipped"}
    _check_taken(found, state, "SGI", place)
    if what["generator.input.input"] == "taken" and what[LATENT_AVG] == "random":
        raise WeightsError(
            f"{place}: lacks '{LATENT_AVG}', the mean code around which SGI's codes lie. "
            "Use the publisher's file, which has it."
        )
    return state, fates + found


def start_discriminator(
    tensors: dict[str, Tensor], old: DiscriminatorConfig, new: DiscriminatorConfig, place: str
) -> tuple[dict[str, Tensor], list[Fate]]:
    """The tensors of a discriminator that begins with those of another size, and the fate of each.

    place: the file, for errors.
    """
    state, fates = start_from(_seeded(Discriminator, new), tensors, discriminator_of_size(old, new))
    _check_taken(fates, state, "discriminator", place)
    return state, fates


def start_syncnet(
    tensors: dict[str, Tensor], old: SyncNetConfig, new: SyncNetConfig, place: str
) -> tuple[dict[str, Tensor], list[Fate]]:
    """The tensors of a SyncNet that begins with those of `old`, such as Wav2Lip's expert on colour frames.

    place: the file, for errors.
    """
    state, fates = start_from(_seeded(SyncNet, new), tensors, syncnet_in_syncnet(old, new))
    _check_taken(fates, state, "SyncNet", place)
    return state, fates


def fitted(
    kind: str, tensors: dict[str, Tensor], cfg: Any, training: Path | None, path: Path
) -> tuple[dict[str, Tensor], Any, list[Fate]]:
    """Tensors and configuration of a network as they are published, or as a training wants them.

    kind: a name of `checkpoint.NETWORKS` but `sgi`. training: the YAML file whose sizes `discriminator` and
    `syncnet` take on. path: the file, for errors. With them the fate of each tensor, none where all stay.
    """
    if kind == SYNCNET_NAME:
        sync_cfg = section_for(SYNCNET_NAME, training, "model", SyncNetConfig)
        state, fates = start_syncnet(tensors, cfg, sync_cfg, str(path))
        return state, sync_cfg, fates
    if training is None:
        return tensors, cfg, []
    if kind == "discriminator":
        wanted = section_for(SGI_NAME, training, "discriminator", DiscriminatorConfig)
        state, fates = start_discriminator(tensors, cfg, wanted, str(path))
        return state, wanted, fates
    raise WeightsError(
        f"{path}: --for is of use with --as sgi, discriminator and syncnet only. Leave it out."
    )


def section_for(started: str, training: Path | None, name: str, cls: type[Any]) -> Any:
    """The section `name` of the configuration of a training of `started`; `ConfigError` without one."""
    if training is None:
        example = f"configs/paper/{started}.yaml"
        raise ConfigError(
            f"--as {started} needs --for TRAINING.yaml, whose sizes it takes, such as {example}."
        )
    values = load_yaml(training)
    if not isinstance(values.get(name), dict):
        raise ConfigError(
            f"{training}: has no section '{name}'. Give the configuration of a training of '{started}'."
        )
    try:
        return parse_config(cls, values[name], name)
    except ConfigError as error:
        raise ConfigError(f"{training}: {error}") from None


def _check_taken(fates: Sequence[Fate], state: Mapping[str, Tensor], network: str, place: str) -> None:
    """`WeightsError` if no weight of the file `place` went into `network`, which now has the tensors `state`.

    Biases, norms, fixed noise and the mean code fit by chance and are no start.
    """
    taken = [fate.name for fate in fates if fate.what == "taken" and fate.name.endswith(".weight")]
    if any(state[name].squeeze().dim() > 1 for name in taken):
        return
    reason = next((fate.why for fate in fates if fate.what == "skipped"), "it holds no part of one")
    raise WeightsError(f"{place}: nothing in it fits the {network} of this training: {reason}.")


def _way(network: str, old: Any, new: SGIConfig) -> Callable[[str], Place]:
    if network == "generator":
        return generator_in_sgi
    return sgi_in_sgi(old, new) if network == "sgi" else encoder_in_sgi(old, new.encoder)


def _earlier(path: Path, cfg: SGIConfig) -> tuple[dict[str, Tensor], set[str]]:
    """Tensors of an earlier start, and the names of those that it left at random."""
    found, tensors = read_weights(path, "sgi")
    if to_dict(found) != to_dict(cfg):
        raise WeightsError(
            f"{path}: an SGI of another configuration than this training's. Import it anew for this one."
        )
    return tensors, set(weights_info(path)["info"].get("random", ()))


def _seeded(build: Callable[[Any], nn.Module], cfg: Any) -> dict[str, Tensor]:
    """The tensors of a fresh network, the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return build(cfg).state_dict()
