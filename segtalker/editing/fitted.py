"""What `segtalker directions` fits to pictures: directions in code space, and the spread of people's styles.

Both are safetensors files that know the renderer whose codes they are of; no other renderer takes them.

Shape legend: R regions (12), L code layers, D style dim, K components.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from segtalker.editing.recipe import Lender, Recipe
from segtalker.editing.texture import Codes
from segtalker.errors import ConfigError, StorageError, WeightsError
from segtalker.regions import REGION_NAMES
from segtalker.weights.checkpoint import weights_path

_FORMAT = "segtalker-{}-1"
_REMEDY = {"direction": "segtalker directions fit", "style": "segtalker directions styles"}
_FARTHEST = 2.0  # standard deviations; further out nobody was seen


@dataclass(frozen=True)
class Fitted:
    """The contents of a file."""

    kind: str
    """The edit that takes it: `direction` or `style`."""
    tensors: Mapping[str, NDArray[np.floating]]
    """`direction` [R, L, D], or `mean` [R, L, D] and `components` [K, R, L, D], a standard deviation each."""
    sgi: str
    """sha256 of the weights of the renderer."""
    counts: tuple[int, ...]
    """[R] pictures that showed each region; of a direction, in the smaller set."""
    info: Mapping[str, Any]
    """What else is told of the fit."""

    def save(self, path: Path) -> None:
        """Write to `path` in one move."""
        header = {
            "format": _FORMAT.format(self.kind),
            "sgi": self.sgi,
            "counts": json.dumps(self.counts),
            "info": json.dumps(dict(self.info)),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            save_file(dict(self.tensors), str(temporary), metadata=header)
            os.replace(temporary, path)
        except SafetensorError as error:
            raise StorageError(f"{path}: cannot be written ({error}). Is the disk full?") from error
        finally:
            temporary.unlink(missing_ok=True)

    @staticmethod
    def load(path: Path, kind: str) -> Fitted:
        """Read what `save` wrote; `ConfigError` and `WeightsError` say what is wrong with a file."""
        header = check_fitted(path, kind)
        with safe_open(str(path), framework="np") as file:
            names = list(file.keys())
            tensors = {name: np.asarray(file.get_tensor(name), np.float32) for name in names}
        counts = tuple(json.loads(header["counts"]))
        return Fitted(kind, tensors, header["sgi"], counts, json.loads(header["info"]))

    def draw(self, seed: int) -> Codes:
        """Codes [R, L, D] of a person who does not exist: Gaussian along the components, ends cut off.

        The regions of one number belong together, as brows and hair of one person do.
        """
        components = self.tensors["components"]
        amounts = np.random.default_rng(seed).standard_normal(len(components)).clip(-_FARTHEST, _FARTHEST)
        return self.tensors["mean"] + np.tensordot(amounts.astype(np.float32), components, axes=1)


def read_fitted(recipe: Recipe, sgi: str) -> dict[Lender, Codes]:
    """Directions, and people drawn from styles, of a recipe; sgi: sha256 of the renderer's weights.

    Raises `WeightsError` for what was fitted to another renderer, or knows nothing of a region.
    """
    lent: dict[Lender, Codes] = {}
    for edit in recipe:
        if edit.edit not in _REMEDY:
            continue
        path = edit.file or weights_path("mini", "styles")
        fitted = Fitted.load(path, edit.edit)
        what, remedy = f"{edit.edit} of {edit.region}", _REMEDY[edit.edit]
        if fitted.sgi != sgi:
            raise WeightsError(
                f"{path}: {what}: fitted to the codes of another renderer ({fitted.sgi[:8]}, not {sgi[:8]}). "
                f"Fit one with '{remedy}' and name it as file."
            )
        if not fitted.counts[edit.at]:
            raise WeightsError(f"{path}: {what}: its pictures showed no {REGION_NAMES[edit.at]}. Use others.")
        lent[edit.lender] = fitted.draw(edit.seed) if edit.edit == "style" else fitted.tensors["direction"]
    return lent


def check_fitted(path: Path, kind: str) -> dict[str, str]:
    """The header of a file; raises where it is not what an edit of that kind takes."""
    remedy = f"Fit one with '{_REMEDY[kind]}'"
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such {kind}. {remedy}.")
    try:
        with safe_open(str(path), framework="np") as file:
            header = dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read ({error}). {remedy}.") from error
    if header.get("format") != _FORMAT.format(kind) or {"sgi", "counts", "info"} - set(header):
        raise WeightsError(f"{path}: holds no {kind} (format {header.get('format')!r}). {remedy}.")
    return header
