"""Directions and styles in code space, fitted to folders of pictures: `segtalker directions`.

A direction is the difference of the mean codes of two sets, region by region. That is Fisher's discriminant
with the same spread in all dimensions: dozens of pictures in thousands of dimensions tell of no other spread.
And 1 of it has a meaning: from the first set to the second. Styles are the mean and the principal
components of people's codes, all regions together, so that what is drawn for several regions goes together.

Shape legend: N pictures, R regions (12), L code layers, D style dim, K components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtalker.dub_config import DubConfig
from segtalker.editing.fitted import Fitted
from segtalker.editing.references import read_face, shown_regions
from segtalker.errors import ConfigError, FaceNotFound, MediaError
from segtalker.extract import FaceReader
from segtalker.local_stages import LocalStages
from segtalker.progress import OnProgress, Progress, ProgressBar, StageClock
from segtalker.regions import REGION_NAMES
from segtalker.stages import Stages
from segtalker.workspace import explain_os_errors

_LEAST = 4  # pictures of a set
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class People:
    """Codes of the pictures of one folder."""

    codes: NDArray[np.float32]
    """[N, R, L, D]"""
    shown: NDArray[np.bool_]
    """[N, R]"""
    names: tuple[str, ...]
    """[N] of the files."""
    left_out: tuple[str, ...]
    """Sentences on files that could not be used."""


def fit_direction(
    cfg: DubConfig, first: Path, second: Path, output: Path, stages: Stages | None = None, quiet: bool = False
) -> str:
    """Fit what leads from the pictures in one folder to those in another; returns what to tell a person."""
    stages = stages or LocalStages(cfg)
    paths = [_pictures(folder) for folder in (first, second)]
    _check_output(output, (*paths[0], *paths[1]))
    with ProgressBar(quiet) as bar, explain_os_errors(output):
        before, after = (read_people(found, stages, bar) for found in paths)
        direction, counts = difference(before, after)
        apart = told_apart(before, after)
        info = {"first": first.name, "second": second.name, "told_apart": dict(apart)}
        sgi = stages.networks.hashes["sgi"]
        Fitted("direction", {"direction": direction.astype(np.float16)}, sgi, counts, info).save(output)
    lines = [
        f"direction: {output}, from {len(before.codes)} pictures in {first} to {len(after.codes)} in "
        f"{second}",
        "pairs that the others put in order (50% is chance): "
        + ", ".join(f"{name} {share:.0%}" for name, share in apart.items()),
        *(f"left out: {sentence}" for sentence in before.left_out + after.left_out),
    ]
    return "\n".join(lines)


def fit_styles(
    cfg: DubConfig,
    folder: Path,
    output: Path,
    num_components: int = 32,
    stages: Stages | None = None,
    quiet: bool = False,
) -> str:
    """Fit how the people in a folder of pictures differ; returns what to tell a person."""
    stages = stages or LocalStages(cfg)
    paths = _pictures(folder)
    _check_output(output, paths)
    with ProgressBar(quiet) as bar, explain_os_errors(output):
        people = read_people(paths, stages, bar)
        mean, components, share = spread(people, num_components)
        tensors = {"mean": mean.astype(np.float16), "components": components.astype(np.float16)}
        counts = tuple(people.shown.sum(0).tolist())
        info = {"folder": folder.name, "pictures": len(people.codes), "share_of_variance": share}
        Fitted("style", tensors, stages.networks.hashes["sgi"], counts, info).save(output)
    told = f"{len(components)} components with {share:.0%} of the variance of {len(people.codes)} pictures"
    return "\n".join([f"styles: {output}, {told}", *(f"left out: {line}" for line in people.left_out)])


def read_people(paths: Sequence[Path], stages: Stages, tell: OnProgress) -> People:
    """The codes of the largest face of each file; files without one are left out and named."""
    networks = stages.networks
    reader = FaceReader(stages.parser, networks.painter.size, StageClock())
    codes, shown, names, left_out = [], [], [], []
    for done, path in enumerate(paths):
        tell(Progress(f"reading faces in {path.parent.name}", done, len(paths), "picture"))
        try:
            crops, maps = read_face(path, stages.backend, reader)
        except (FaceNotFound, MediaError) as error:
            left_out.append(str(error))
            continue
        codes.append(networks.painter.encode(crops, maps))
        shown.append(shown_regions(maps))
        names.append(path.stem)
    tell(Progress(f"reading faces in {paths[0].parent.name}", len(paths), len(paths), "picture"))
    if len(codes) < _LEAST:
        raise FaceNotFound(
            f"{paths[0].parent}: {len(codes)} of {len(paths)} files show a face, at least {_LEAST} must. "
            f"{left_out[0]}"
        )
    return People(np.stack(codes), np.stack(shown), tuple(names), tuple(left_out))


def difference(before: People, after: People) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """The direction [R, L, D], and how many pictures of the smaller set showed each region.

    A region that fewer than `_LEAST` pictures of a set show does not move, and counts 0.
    """
    counts = np.minimum(before.shown.sum(0), after.shown.sum(0))
    counts[counts < _LEAST] = 0
    means = [_mean(people.codes, people.shown) for people in (before, after)]
    direction = np.where((counts > 0)[:, None, None], means[1] - means[0], 0)
    return direction.astype(np.float32), tuple(counts.tolist())


def told_apart(before: People, after: People) -> dict[str, float]:
    """Region -> share of pairs, a picture of each set, that the direction of all others puts in order.

    Files of one name are taken for pictures of one person and compared with each other; where there are few
    such, all pictures are compared with all. Without any difference the share is about a half.
    """
    _, counts = difference(before, after)
    shares = {}
    for region in np.flatnonzero(counts).tolist():
        pairs = _pairs(before, after, region)
        first, second = (people.codes[:, region].reshape(len(people.codes), -1) for people in (before, after))
        sums = first[before.shown[:, region]].sum(axis=0), second[after.shown[:, region]].sum(axis=0)
        rest = before.shown[:, region].sum() - 1, after.shown[:, region].sum() - 1
        right = [
            (second[j] - first[i]) @ ((sums[1] - second[j]) / rest[1] - (sums[0] - first[i]) / rest[0]) > 0
            for i, j in pairs
        ]
        shares[REGION_NAMES[region]] = float(np.mean(right))
    return shares


def _pairs(before: People, after: People, region: int) -> list[tuple[int, int]]:
    """Positions of pictures that show a region, one of each set."""
    both = [
        (int(i), int(j))
        for i in np.flatnonzero(before.shown[:, region])
        for j in np.flatnonzero(after.shown[:, region])
    ]
    named = [(i, j) for i, j in both if before.names[i] == after.names[j]]
    return named if len(named) >= _LEAST else both


def spread(people: People, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Mean [R, L, D], at most `count` components [K, R, L, D], and their share of all variance.

    Every region weighs the same, however far its codes spread; one that a picture does not show lies at the
    mean of those who show it.
    """
    mean = _mean(people.codes, people.shown)
    apart = np.where(people.shown[..., None, None], people.codes - mean, 0)
    scale = np.sqrt(np.square(apart).mean(axis=(0, 2, 3)))[:, None, None] + np.float32(1e-6)
    _, sizes, axes = np.linalg.svd((apart / scale).reshape(len(apart), -1), full_matrices=False)
    kept = min(count, len(apart) - 1)
    deviations = sizes[:kept] / np.sqrt(len(apart) - 1)
    components = (deviations[:, None] * axes[:kept]).reshape(kept, *mean.shape) * scale
    share = float(np.square(sizes[:kept]).sum() / max(np.square(sizes).sum(), 1e-12))
    return mean, components.astype(np.float32), share


def _mean(codes: NDArray[np.float32], shown: NDArray[np.bool_]) -> NDArray[np.float32]:
    """[R, L, D] mean over those who show a region; of a region that nobody shows over all, its prior."""
    weight = np.where(shown.any(axis=0), shown, 1).astype(np.float32)
    return np.einsum("nr,nrld->rld", weight / weight.sum(axis=0), codes)


def _pictures(folder: Path) -> list[Path]:
    """The files of a folder, by name."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder; name one with pictures of faces.")
    found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if len(found) < _LEAST:
        raise ConfigError(f"{folder}: holds {len(found)} files; at least {_LEAST} pictures are needed.")
    return found


def _check_output(output: Path, inputs: Sequence[Path]) -> None:
    if output.suffix != _SUFFIX:
        raise ConfigError(f"{output}: give a name that ends in {_SUFFIX}, such as {output.stem}{_SUFFIX}.")
    if output in inputs or output.is_dir():
        raise ConfigError(f"{output}: is an input or a folder; choose another output name.")
