"""The edits of one dub, ready for the render pass: the recipe and the codes that it lends."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segtalker.config import parse_config, to_dict
from segtalker.editing.recipe import Lender, Recipe, RecipeFile, lenders
from segtalker.editing.texture import Codes


@dataclass(frozen=True)
class EditPlan:
    """What the render pass applies; empty by default."""

    recipe: Recipe = ()
    codes: Mapping[Lender, Codes] = field(default_factory=dict)
    """Style codes [R, L, D] of references and of people who are drawn; of a direction what 1 of it adds."""

    def to_bytes(self) -> bytes:
        """The contents of one .npz file."""
        buffer = io.BytesIO()
        text = json.dumps(to_dict(RecipeFile(edits=self.recipe)))
        codes = {f"codes_{i}": self.codes[lender] for i, lender in enumerate(lenders(self.recipe))}
        np.savez(buffer, recipe=np.str_(text), **codes)  # type: ignore[arg-type]
        return buffer.getvalue()

    @staticmethod
    def load(path: Path) -> EditPlan:
        """What `to_bytes` gave."""
        with np.load(path) as stored:
            recipe = parse_config(RecipeFile, json.loads(str(stored["recipe"]))).edits
            codes = {lender: stored[f"codes_{i}"] for i, lender in enumerate(lenders(recipe))}
            return EditPlan(recipe, codes)
