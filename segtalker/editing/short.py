"""Recipes on the command line: `--edit blink=0.2/s,hair=ref.jpg@0.7`, or the name of a YAML file.

blink=0.2/s            natural blinks, 0.2 a second           blink=1.5s      one that begins at 1.5 s
raise_brows=0.6        any edit with its amount               frown           the same with amount 1
lip=#b3123f@0.7        a region's colour with strength        hair=blond
hair=ref.jpg@0.7       a region's texture from a picture or video of a face
hair=random:7@0.5      that of somebody who does not exist, here number 7
skin=beard.safetensors@0.8   a direction that `segtalker directions fit` found; @-0.8 goes the other way
background=office.jpg  a picture or video behind the person   background=#204060@0.5, background=blur@0.6
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

USUAL_BLUR = 20.0
"""Thousandths of the frame's height, at full strength."""
_NUMBER = r"\d+(?:\.\d+)?"
_SPAN = re.compile(rf"^(.*):({_NUMBER})-({_NUMBER})$")
_RANDOM = re.compile(r"^random(?::(\d+))?$")
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
    elif name == "background":
        if not value:
            raise ConfigError(
                f"{where}: say what it shall be, as in background=office.jpg or background=blur."
            )
        values |= _background(value, where)
    else:
        if name not in KINDS:
            raise ConfigError(f"{where}: {_nothing_called(name)}")
        values["edit"] = name
        if equals:
            values["amount"] = _number(value, where)
    return values


def _look(region: str, value: str, where: str) -> dict[str, Any]:
    """The colour or the texture of a region, with its strength."""
    value, amount = _with_strength(value, where)
    values = {"region": region, **amount}
    if match := _RANDOM.match(value):
        return {**values, "edit": "style", "seed": int(match[1] or 0)}
    if value.endswith(".safetensors"):
        return {**values, "edit": "direction", "file": value}
    if _names_file(value):
        return {**values, "edit": "texture", "reference": value}
    _check_colour(value, where, "or a file")
    return {**values, "edit": "recolour", "colour": value}


def _background(value: str, where: str) -> dict[str, Any]:
    """What stands behind a person, with its strength."""
    value, amount = _with_strength(value, where)
    values: dict[str, Any] = {"edit": "background", **amount}
    if value == "blur":
        return {**values, "blur": USUAL_BLUR}
    if _names_file(value):
        return {**values, "file": value}
    _check_colour(value, where, "blur, or a file")
    return {**values, "colour": value}


def _with_strength(value: str, where: str) -> tuple[str, dict[str, float]]:
    match = _STRENGTH.match(value)
    return (match[1], {"amount": _number(match[2], where)}) if match else (value, {})


def _names_file(value: str) -> bool:
    return bool(Path(value).suffix) or "/" in value


def _check_colour(text: str, where: str, otherwise: str) -> None:
    try:
        parse_colour(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}, {otherwise}.") from None


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
