"""Edits in a request: a recipe in its own form, checked whole, its files named by the caller.

Drivers read the edits of a stored job through the same functions, so this module knows no web framework.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, WithJsonSchema

from segtalker.config import parse_config
from segtalker.editing.files import FILE_FIELDS, name_files, named_files
from segtalker.editing.recipe import KINDS, LOOKS, Edit, check_conflicts
from segtalker.editing.short import short_edits
from segtalker.errors import ConfigError

MAX_REFERENCES = 8
"""Files that the edits of one request may name."""
_MAX_EDITS = 50
_MAX_TEXT = 4000
_MAX_NAME = 2000
_MAX_TIMES = 1000
_MAX_NUMBER = 1e9
_MAX_SENTENCE = 300

PlainEdits = list[dict[str, Any]]


def read_edits(value: Any) -> PlainEdits:
    """Edits in plain values, out of a list of them or a text of short forms; `ValueError` says what is wrong.

    Nothing is looked up: a name of a file is a text, whatever it looks like.
    """
    try:
        edits = _plain(value)
        _check_bounds(edits)
        recipe = tuple(parse_config(Edit, edit, f"edits[{i}]") for i, edit in enumerate(edits))
        check_conflicts(recipe)
    except (ConfigError, ValueError) as error:
        raise ValueError(str(error)[:_MAX_SENTENCE].rstrip(".")) from None
    return edits


def reference_name(number: int) -> str:
    """What the file number 1, 2... of a recipe is called among the inputs of a job."""
    return f"reference-{number}"


def with_names(edits: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> PlainEdits:
    """The edits with other names for their files."""
    return [name_files(edit, lambda name: names.get(name, name)) for edit in edits]


def _plain(value: Any) -> PlainEdits:
    if isinstance(value, str):
        if len(value) > _MAX_TEXT:
            raise ValueError(f"the text has more than {_MAX_TEXT} characters; send a list")
        if value.strip().lower().endswith((".yaml", ".yml")):
            raise ValueError("a recipe's file cannot be named here; send the list of its edits")
        return [values for _, values in short_edits(value, "edits:")] if value.strip() else []
    if not isinstance(value, list) or not all(isinstance(edit, dict) for edit in value):
        raise ValueError('write a list of edits, or short forms as in "blink=0.2/s,lip=red@0.7"')
    return value


def _check_bounds(edits: PlainEdits) -> None:
    """What no recipe needs, and nobody shall make us compute with."""
    if len(edits) > _MAX_EDITS:
        raise ValueError(f"there are more than {_MAX_EDITS} edits")
    for edit in edits:
        for name, value in edit.items():
            _check_value(name, value)
    if len(named_files(edits)) > MAX_REFERENCES:
        raise ValueError(f"the edits name more than {MAX_REFERENCES} files")


def _check_value(name: str, value: Any, depth: int = 0) -> None:
    if isinstance(value, (int, float)) and not abs(value) <= _MAX_NUMBER:  # or NaN
        raise ValueError(f"{name[:40]}: no number that makes sense here")
    if isinstance(value, str) and len(value) > _MAX_NAME:
        raise ValueError(f"{name[:40]}: longer than {_MAX_NAME} characters")
    if isinstance(value, dict) or (isinstance(value, list) and depth > 1):
        raise ValueError(f"{name[:40]}: expected a text, a number or a list of them")
    if isinstance(value, list):
        if len(value) > _MAX_TIMES:
            raise ValueError(f"{name[:40]}: more than {_MAX_TIMES} values")
        for item in value:
            _check_value(name, item, depth + 1)


def _edit_schema() -> dict[str, Any]:
    """JSON schema of one edit, with the kinds, regions and fields that the recipe knows."""
    schema = TypeAdapter(Edit).json_schema()
    told: dict[str, dict[str, Any]] = {
        "edit": {"enum": list(KINDS), "description": "; ".join(map(_told, KINDS))},
        "region": {"enum": [*LOOKS, None]},
        "colour": {"anyOf": [{"type": "string", "maxLength": 40}, {"type": "null"}]},
    }
    named = "The name of a `reference` part; in a JSON body, its address."
    for name in FILE_FIELDS:
        told[name] = {
            "anyOf": [{"type": "string", "maxLength": _MAX_NAME}, {"type": "null"}],
            "description": named,
        }
    schema["properties"] = {name: told.get(name, value) for name, value in schema["properties"].items()}
    schema.pop("description", None)
    return {**schema, "additionalProperties": False}


def _told(name: str) -> str:
    kind = KINDS[name]
    low, high = kind.amounts
    fields = [f"needs {', '.join(kind.needs)}"] if kind.needs else []
    fields += [f"takes {', '.join(kind.takes)}"] if kind.takes else []
    return ", ".join([f"{name}: amount {low:g}..{high:g}", *fields])


EDITS_EXAMPLE: list[Any] = [
    {"edit": "blink", "rate": 0.2},
    {"edit": "raise_brows", "amount": 0.6, "span": [1.0, 2.5]},
    {"edit": "recolour", "region": "lip", "colour": "#b3123f", "amount": 0.7},
    {"edit": "texture", "region": "hair", "reference": "ref.jpg", "amount": 0.7},
]

Edits = Annotated[
    list[dict[str, Any]],
    BeforeValidator(read_edits),
    Field(max_length=_MAX_EDITS),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "maxItems": _MAX_EDITS, "items": _edit_schema()},
                {"type": "string", "maxLength": _MAX_TEXT, "examples": ["blink=0.2/s,lip=red@0.7"]},
            ],
            "examples": [EDITS_EXAMPLE],
        }
    ),
]
"""Edits of a request; a text of short forms becomes a list."""
