"""The files that a recipe names: pictures and videos that lend something to an edit, whatever its kind."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from segtalker.editing.recipe import Edit, Recipe

FILE_FIELDS = tuple(
    name for name, hint in typing.get_type_hints(Edit).items() if Path in (hint, *typing.get_args(hint))
)
"""Fields of an edit that name a file."""


def files_of(recipe: Recipe) -> list[Path]:
    """Every file of a recipe, once, in order."""
    named = (getattr(edit, name) for edit in recipe for name in FILE_FIELDS)
    return list(dict.fromkeys(path for path in named if path is not None))


def with_files(recipe: Recipe, files: Mapping[Path, Path]) -> Recipe:
    """The same edits with other names for their files; a file that `files` does not have keeps its own."""

    def other(edit: Edit) -> Edit:
        named = {name: getattr(edit, name) for name in FILE_FIELDS if getattr(edit, name) is not None}
        return replace(edit, **{name: files.get(path, path) for name, path in named.items()})

    return tuple(map(other, recipe))


def name_files(edit: Mapping[str, Any], name: Callable[[str], str]) -> dict[str, Any]:
    """An edit in plain values, as YAML has it, with `name` called for each file that it names."""
    return {
        field: name(value) if field in FILE_FIELDS and isinstance(value, str) else value
        for field, value in edit.items()
    }


def named_files(edits: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every file that edits in plain values name, once, in order: a path or an address."""
    found: dict[str, None] = {}
    for edit in edits:
        found.update(dict.fromkeys(edit[name] for name in FILE_FIELDS if isinstance(edit.get(name), str)))
    return list(found)
