"""Recipes on the command line: `--edit blink=0.2/s,hair=ref.jpg@0.7`, or the name of a YAML file.

blink=0.2/s            natural blinks, 0.2 a second           blink=1.5s      one that begins at 1.5 s
raise_brows=0.6        any edit with its amount               frown           the same with amount 1
lip=#b3123f@0.7        a region's colour with strength        hair=blond
hair=ref.jpg@0.7       a region's texture from a picture or video of a face
frown=0.5:1-2.5        any of them from second 1 to 2.5

Several stand with commas between them; a name with a comma in it wants a file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segtalker.config import parse_config
from segtalker.editing.colours import parse_colour
from segtalker.editing.recipe import KINDS, LOOKS, Edit, Recipe, check_conflicts, load_recipe
from segtalker.errors import ConfigError

_NUMBER = r"\d+(?:\.\d+)?"
_SPAN = re.compile(rf"^(.*):({_NUMBER})-({_NUMBER})$")
_STRENGTH = re.compile(r"^(.+)@([^@/\\]+)$")


def read_edits(texts: Sequence[str]) -> Recipe:
    """All edits of the given files and short forms together."""
    edits: list[Edit] = []
    for text in texts:
        if text.lower().endswith((".yaml", ".yml")):
            edits.extend(load_recipe(text))
        else:
            edits.extend(parse_config(Edit, values, where) for where, values in short_edits(text))
    recipe = tuple(edits)
    try:
        check_conflicts(recipe)
    except ValueError as error:
        raise ConfigError(f"--edit: {error}") from None
    return recipe


def short_edits(text: str, where: str = "--edit") -> list[tuple[str, dict[str, Any]]]:
    """(its place, for error messages; its plain values as in YAML) of every edit of a text of short forms.

    Values are not checked, and files are named as they were written: a path, or an address.
    """
    found = []
    for part in text.split(","):
        place = f"{where} {part.strip()}"
        found.append((place, _values(part.strip(), place)))
    return found


def _values(text: str, where: str) -> dict[str, Any]:
    body = text
    values: dict[str, Any] = {}
    if match := _SPAN.match(body):
        body, values["span"] = match[1], (float(match[2]), float(match[3]))
    name, equals, value = body.partition("=")
    if name in LOOKS:
        if not value:
            raise ConfigError(f"{where}: say how it shall look, as in {name}=red or {name}=ref.jpg.")
        values |= _look(name, value, where)
    elif name == "blink":
        values |= {"edit": name, **_blink(value, where)}
    else:
        if name not in KINDS:
            raise ConfigError(f"{where}: {_nothing_called(name)}")
        values["edit"] = name
        if equals:
            values["amount"] = _number(value, where)
    return values


def _look(region: str, value: str, where: str) -> dict[str, Any]:
    """The colour or the texture of a region, with its strength."""
    values: dict[str, Any] = {"region": region}
    if match := _STRENGTH.match(value):
        value, values["amount"] = match[1], _number(match[2], where)
    if Path(value).suffix or "/" in value:
        return {**values, "edit": "texture", "reference": value}
    try:
        parse_colour(value)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}, or a file.") from None
    return {**values, "edit": "recolour", "colour": value}


def _blink(value: str, where: str) -> dict[str, Any]:
    if not value:
        return {}
    if value.endswith("/s"):
        return {"rate": _number(value[:-2], where)}
    if value.endswith("s"):
        return {"times": (_number(value[:-1], where),)}
    raise ConfigError(f"{where}: write blink=0.2/s for a rate, or blink=1.5s for one blink.")


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{where}: {text!r} is not a number.") from None


def _nothing_called(name: str) -> str:
    names = [*KINDS, *LOOKS]
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}."
    return f"there is no edit and no region {name!r}; {hint}"
