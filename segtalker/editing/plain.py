"""The edits of a row: short forms and recipes become plain values, whose files have absolute places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import yaml

from segtalker.editing.files import name_files
from segtalker.editing.short import short_edits
from segtalker.errors import ConfigError
from segtalker.storage import Uri, read_bytes

Edits = list[dict[str, Any]]
Placed = Callable[[str, Uri], str]
"""A name and the folder that it counts from -> an absolute path or a URI."""


class EditReader:
    """Reads the edits of many rows; a recipe that they share is read once."""

    def __init__(self, placed: Placed) -> None:
        self._placed = placed
        self._recipe = cache(self._read)

    def read(self, value: Any, folder: Uri) -> Edits:
        """Edits as they stand among the options of a row: a text, an edit in plain values, or a list of both.

        folder: where files count from. A text is the place of a YAML recipe, or short forms with commas
        between them. `ConfigError` says what cannot be read; whether values are right is checked with the
        other settings.
        """
        if isinstance(value, str):
            return self._of_text(value.strip(), folder)
        if isinstance(value, Mapping):
            given = {key: item for key, item in value.items() if item is not None}  # as Parquet fills them
            return [name_files(given, lambda name: self._placed(name, folder))]
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"edits: expected short forms, a recipe or a list of edits, found {value!r}.")
        return [edit for item in value for edit in self.read(item, folder)]

    def _of_text(self, text: str, folder: Uri) -> Edits:
        if not text:
            return []
        if text.lower().endswith((".yaml", ".yml")):
            return self._recipe(self._placed(text, folder))
        found = [values for _, values in short_edits(text, "edits:")]
        return [name_files(values, lambda name: self._placed(name, folder)) for values in found]

    def _read(self, place: str) -> Edits:
        """The edits of a recipe's file, whose own folder its files count from."""
        try:
            told = yaml.safe_load(read_bytes(place))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{place}: not valid YAML: {' '.join(str(error).split())}") from error
        edits = told.get("edits") if isinstance(told, Mapping) else None
        if not isinstance(edits, list) or not all(isinstance(edit, Mapping) for edit in edits):
            raise ConfigError(f"{place}: not a recipe; it needs a list of edits, as those of configs/edit.")
        return self.read(edits, place.rpartition("/")[0] or "/")
