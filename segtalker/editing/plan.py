"""The edits of one dub, ready for the render pass: the recipe, codes that it lends, files of backgrounds."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segtalker.config import parse_config, to_dict
from segtalker.editing.recipe import Lender, Recipe, RecipeFile, backgrounds, lenders
from segtalker.editing.texture import Codes


@dataclass(frozen=True)
class EditPlan:
    """What the render pass applies; empty by default."""

    recipe: Recipe = ()
    codes: Mapping[Lender, Codes] = field(default_factory=dict)
    """Style codes [R, L, D] of references and of people who are drawn; of a direction what 1 of it adds."""
    files: Mapping[Path, Path] = field(default_factory=dict)
    """Background -> its copy, which every worker has."""

    def to_bytes(self) -> bytes:
        """The contents of one .npz file."""
        buffer = io.BytesIO()
        text = json.dumps(to_dict(RecipeFile(edits=self.recipe)))
        codes = {f"codes_{i}": self.codes[lender] for i, lender in enumerate(lenders(self.recipe))}
        np.savez(buffer, recipe=np.str_(text), **codes)  # type: ignore[arg-type]
        return buffer.getvalue()

    @staticmethod
    def load(path: Path) -> EditPlan:
        """What `to_bytes` gave; the backgrounds lie beside it. `FileNotFoundError` where one does not."""
        with np.load(path) as stored:
            recipe = parse_config(RecipeFile, json.loads(str(stored["recipe"]))).edits
            codes = {lender: stored[f"codes_{i}"] for i, lender in enumerate(lenders(recipe))}
        files = copies(recipe, path.parent)
        for file in files.values():
            file.stat()
        return EditPlan(recipe, codes, files)


def copies(recipe: Recipe, folder: Path) -> dict[Path, Path]:
    """Background -> where its copy lies in a work folder."""
    return {path: folder / f"background_{i}{path.suffix}" for i, path in enumerate(backgrounds(recipe))}


def copy_backgrounds(recipe: Recipe, folder: Path) -> dict[Path, Path]:
    """Copy what is not there yet; each copy appears whole."""
    files = copies(recipe, folder)
    for path, copy in files.items():
        if not copy.is_file():
            unfinished = copy.with_name(f".{copy.name}.{os.getpid()}.part")
            try:
                shutil.copyfile(path, unfinished)
                unfinished.rename(copy)
            finally:
                unfinished.unlink(missing_ok=True)
    return files
