"""Published layouts, recognised by their keys whatever a file is called."""

from __future__ import annotations

from segtalker.errors import WeightsError
from segtalker.weights.convert import (
    arcface,
    avhubert,
    bisenet,
    frechet,
    inversion,
    lpips,
    maskgan_unet,
    stylegan2,
    sync_experts,
)
from segtalker.weights.convert.layout import Layout, Match
from segtalker.weights.foreign import ForeignFile

LAYOUTS: tuple[Layout, ...] = (
    *inversion.LAYOUTS,
    *stylegan2.LAYOUTS,
    *avhubert.LAYOUTS,
    *bisenet.LAYOUTS,
    *arcface.LAYOUTS,
    *maskgan_unet.LAYOUTS,
    *lpips.LAYOUTS,
    *sync_experts.LAYOUTS,
    *frechet.LAYOUTS,
)
"""Every layout that is known; a family of networks brings its own. The first that fits a group is right:
those that only one project's files have stand before those of any file."""

_NEAREST = 3


def recognise(file: ForeignFile, group: str | None = None) -> list[Match]:
    """Every network in `file`, in the order of `LAYOUTS`; `WeightsError` with the nearest ones if none is.

    group: look only there, as in `g` for the generator that `g_ema` averages.
    """
    if group is not None and group not in file.groups:
        known = ", ".join(repr(name) for name in file.groups)
        raise WeightsError(f"{file.path}: has no group '{group}'; groups with tensors: {known}.")
    found: dict[tuple[str, str], Match] = {}
    for layout in LAYOUTS:
        if (match := _match(layout, file, group)) is not None:
            found.setdefault((layout.network, match.group), match)
    matches = list(found.values())
    if not matches:
        raise WeightsError(f"{file.path}: no network that is known by its keys. {_nearest(file)}")
    return matches


def _match(layout: Layout, file: ForeignFile, group: str | None) -> Match | None:
    for name in _candidates(layout, file):
        if group is not None and name != group:
            continue
        tensors = layout.own_keys(file.groups[name])
        if set(layout.signature) <= set(tensors):
            outermost = file.groups.get("", {})
            beside = {key: outermost[key] for key in layout.beside if key in outermost}
            return Match(file, layout, name, {**tensors, **beside})
    return None


def _candidates(layout: Layout, file: ForeignFile) -> list[str]:
    """The groups of a file, the preferred ones and averages first."""
    rank = {name: number for number, name in enumerate(layout.groups)}
    names = [name for name in file.groups if layout.anywhere or name in rank]
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), "ema" not in name))


def _nearest(file: ForeignFile) -> str:
    """The layouts that share most of their signature with the file."""
    found = []
    for layout in LAYOUTS:
        for name in _candidates(layout, file):
            own = layout.own_keys(file.groups[name])
            lacking = [key for key in layout.signature if key not in own]
            have = len(layout.signature) - len(lacking)
            where = f" in {name!r}" if name else ""
            found.append((-have, f"{layout.title}{where} (lacks {', '.join(map(repr, lacking))})"))
    near = [text for have, text in sorted(found, key=lambda item: item[0]) if have][:_NEAREST]
    example = ", ".join(repr(key) for key in list(next(iter(file.groups.values())))[:_NEAREST])
    known = "Nothing is near; known are: " + "; ".join(layout.title for layout in LAYOUTS)
    return (f"Nearest: {'; '.join(near)}" if near else known) + f". The file has keys such as {example}."
