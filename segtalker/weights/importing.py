"""`segtalker weights import FILE`: a published network becomes a slim file of ours, whatever it is called.

The file is recognised by its keys, its tensors go through a strict table, and what is written is the network
in full precision with its configuration, its licence and the hash of where it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segtalker.errors import ConfigError, WeightsError
from segtalker.models.sgi import SGIConfig
from segtalker.storage import fingerprint
from segtalker.weights.checkpoint import (
    build_network,
    is_ours,
    load_weights,
    network_shapes,
    read_weights,
    weights_info,
    write_weights,
)
from segtalker.weights.convert.layout import Layout, Match
from segtalker.weights.convert.layouts import recognise
from segtalker.weights.convert.table import identity_table
from segtalker.weights.foreign import open_foreign
from segtalker.weights.lineage import LISTS, Lineage, licence_of, lineage_in, lineage_lines, published_as
from segtalker.weights.partial import Fate
from segtalker.weights.pickles.tensors import InMemory
from segtalker.weights.placing import default_place
from segtalker.weights.registry import rows_of
from segtalker.weights.starts import PARTS_OF_SGI, SGI_NAME, STARTS, fitted, section_for, start_sgi
from segtalker.weights.store import installing


@dataclass(frozen=True)
class Imported:
    """What was written, and out of what."""

    path: Path
    network: str
    match: Match
    cfg: Any
    row: str
    """Name in the registry of what the file looks like."""
    left_out: tuple[str, ...]
    """Tensors of the file that the table drops, each with the reason."""
    fates: tuple[Fate, ...] = ()
    """Of a start for another network: what became of every tensor."""
    others: tuple[str, ...] = ()
    """What else the file could be imported as."""


def import_file(
    path: Path | str,
    network: str | None = None,
    out: Path | None = None,
    training: Path | None = None,
    group: str | None = None,
    expected: str | None = None,
    onto: Path | None = None,
) -> Imported:
    """Recognise the network in `path` and write it to `out` (default: its place in the cache).

    Into the cache comes the published file only: one of other bytes than the registry knows is refused, and
    where it knows none, one that would replace the network of another file.

    network: which one, where a file holds several: a name of `checkpoint.NETWORKS`, or `sgi` for a start of
    SGI from its parts, `syncnet` from Wav2Lip's expert. training: the YAML file of the training whose sizes
    `sgi`, `discriminator` and `syncnet` take on; what the file lacks begins at random, or as in `onto`, an
    earlier one. group: as in `recognise`.
    expected: the row of the registry that the file must be.
    """
    path = Path(path)
    if out is not None and out.is_dir():  # as "" is, which is the folder that one is in
        raise ConfigError(f"-o {out}: is a folder. Name the file to write, such as -o OUT.safetensors.")
    ours = path.is_file() and is_ours(path)
    if ours and group is not None:
        raise ConfigError(f"{path}: a file of ours holds one copy of a network. Leave --group out.")
    if network is None and ours:
        found = weights_info(path)["network"]
        raise WeightsError(f"{path}: is a SegTalker '{found}' already. Use it as it is.")
    matches = [our_match(path)] if ours else recognise(open_foreign(path), group)
    match, others = _chosen(matches, network)
    published, table = match.plan()
    kind, row = network or match.layout.network, match.layout.row(published)
    if expected is not None and row != expected:
        raise WeightsError(f"{path}: looks like {row}, not like {expected}. Nothing was installed.")
    used = [match]
    if kind == SGI_NAME and (training is not None or match.layout.network != SGI_NAME):
        cfg = section_for(SGI_NAME, training, "model", SGIConfig)
        tensors, fates = start_sgi(matches, cfg, onto)
        used = [part for part in matches if part.layout.network in PARTS_OF_SGI]
    elif onto is not None:
        raise ConfigError("--onto is of use with --as sgi and --for TRAINING.yaml only. Leave it out.")
    else:
        tensors, cfg, fates = fitted(kind, match.read(published, table), published, training, path)
    zeros = _zeros(match, kind, cfg)
    lineage = _lineage_of(path, used)
    if onto is not None:
        lineage = lineage_in(weights_info(onto)["info"]) | lineage
    sha256 = str(fingerprint(path)["sha256"])
    place = out or default_place(row, kind, bool(fates), path, (sha256, match.group))
    info = {
        "source": path.name,
        "sha256": sha256,
        "layout": match.layout.title,
        "group": match.group,
        "published_as": row,
        "licence": licence_of(row),
        "random": [fate.name for fate in fates if fate.what == "random"],
        "zero": list(zeros),
        **({"onto": weights_info(onto)["info"]} if onto else {}),
        **lineage.told(),
    }
    with installing(place, path.name) if out is None else nullcontext(place) as made:
        write_weights(kind, cfg, {**tensors, **zeros}, made, info)
    left_out = tuple(f"{name}: {why}" for name in match.tensors if (why := table.why_dropped(name)))
    return Imported(place, kind, match, cfg, row, left_out, tuple(fates), others)


def our_match(path: Path) -> Match:
    """A file of ours as if it were published, so that it can start something else."""
    network, info = weights_info(path)["network"], weights_info(path)["info"]
    cfg, tensors = read_weights(path, network)
    table = identity_table({name: tuple(value.shape) for name, value in tensors.items()})
    row = str(info.get("published_as", "a training of ours"))
    layout = Layout(f"SegTalker '{network}'", network, (), (), lambda *_: (cfg, table), lambda _: row)
    return Match(open_foreign(path), layout, "", {name: InMemory(value) for name, value in tensors.items()})


def load_network(path: Path | str, network: str) -> nn.Module:
    """`network` out of a file of ours, as `load_weights`, or straight out of a published one."""
    path = Path(path)
    if not path.is_file() or is_ours(path):
        return load_weights(path, network)
    match = _published(path, network)
    cfg, table = match.plan()
    return build_network(network, cfg, {**match.read(cfg, table), **_zeros(match, network, cfg)}, path)


def lineage_of(path: Path | str, network: str) -> Lineage:
    """Whose networks are behind the file that `load_network` would take."""
    path = Path(path)
    ours = not path.is_file() or is_ours(path)
    return _lineage_of(path, [] if ours else [_published(path, network)])


def describe(path: Path | str) -> list[str]:
    """What a file is, line by line: one of ours, or a published one and what it can be imported as."""
    path = Path(path)
    file = open_foreign(path)
    if is_ours(path):
        told = weights_info(path)
        lines = [f"{path}: a SegTalker '{told['network']}'", f"config: {told['config']}"]
        lines += [f"{name}: {value}" for name, value in told["info"].items() if name not in LISTS]
        return lines + lineage_lines(lineage_in(told["info"]))
    lines = []
    for match in recognise(file):
        cfg, table = match.plan()
        row = match.layout.row(cfg)
        missing, unknown = table.differences(match.tensors)
        lines.append(f"{match.title}; {provenance(row)}")
        tensors = f"{len(table.entries)} tensors, {len(missing)} missing, {len(unknown)} unknown"
        lines.append(f"  --as {match.layout.network}: {tensors}; {cfg}")
    return lines


def provenance(row: str) -> str:
    """What a network looks like, and under which licence that was published."""
    known = "looks like" if rows_of(row) else "of no published size:"
    return f"{known} {row}; licence: {licence_of(row)}"


def _published(path: Path, network: str) -> Match:
    """`network` in a published file."""
    match, _ = _chosen(recognise(open_foreign(path)), network)
    if (found := match.layout.network) != network:
        raise WeightsError(
            f"{path}: holds a '{found}', not a '{network}'. Give the weights of a '{network}'."
        )
    return match


def _lineage_of(path: Path, used: Sequence[Match]) -> Lineage:
    """Of a file of ours, which says so itself, or of the networks in a published one that are used."""
    if not used or is_ours(path):
        return lineage_in(weights_info(path)["info"])
    rows = [match.layout.row(match.plan()[0]) for match in used]
    # A file in the registry may hold a part that has no row of its own, such as pSp's decoder.
    known = [row for row in rows if rows_of(row)]
    return reduce(or_, map(published_as, known or rows))


def _chosen(matches: Sequence[Match], network: str | None) -> tuple[Match, tuple[str, ...]]:
    """The network to import, and the names of the others."""
    names = [match.layout.network for match in matches]
    for started, by in STARTS.items():
        parts = [name for name in names if name in by]
        if parts and started not in parts:
            names.insert(names.index(parts[-1]) + 1, started)
    wanted = network or names[0]
    if wanted not in names:
        path = matches[0].file.path
        raise WeightsError(f"{path}: holds no '{wanted}'; it can be imported as: {', '.join(names)}.")
    sources = STARTS.get(wanted, (wanted,))
    match = next(match for match in matches if match.layout.network in sources)
    return match, tuple(name for name in names if name != wanted)


def _zeros(match: Match, network: str, cfg: Any) -> dict[str, Tensor]:
    """The parts of the network that no published file has."""
    alone = match.layout.ours_alone
    shapes = network_shapes(network, cfg) if alone else {}
    return {name: torch.zeros(shape) for name, shape in shapes.items() if name.startswith(alone)}
