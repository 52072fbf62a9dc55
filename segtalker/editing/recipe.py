"""A recipe: which edits, how strong, and when. YAML files and short forms become frozen values here.

    edits:                                  # configs/edit/lipstick.yaml
      - {edit: blink, rate: 0.2}
      - {edit: raise_brows, amount: 0.6, span: [1.0, 2.5], ease: 0.4}
      - {edit: recolour, region: lip, colour: "#b3123f", amount: 0.7}
      - {edit: texture, region: hair, reference: ref.jpg, keyframes: [[0, 0], [2, 1]]}
      - {edit: style, region: hair, seed: 7, amount: 0.5}           # of somebody who does not exist
      - {edit: direction, region: skin, file: beard.safetensors, amount: 0.8}
      - {edit: background, file: office.jpg}          # or colour: "#204060", or blur: 20

Everything that can be wrong with a recipe alone is said here, before any work.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path

from segtalker.config import load_yaml, parse_config
from segtalker.editing.colours import parse_colour
from segtalker.editing.spans import (
    MAX_RATE,
    RESTING_RATE,
    Keyframe,
    Span,
    envelope,
    interpolate,
    natural_closure,
    timed_closure,
)
from segtalker.errors import ConfigError
from segtalker.regions import REGION_NAMES, Region

LOOKS = tuple(name for name in REGION_NAMES if name != "background")
"""Regions whose colour and texture can be chosen; the background is no part of the face."""
MAX_BLUR = 100.0
"""Thousandths of the frame's height."""


@dataclass(frozen=True)
class Kind:
    """What one kind of edit takes."""

    amounts: tuple[float, float]
    """Least and largest `amount`."""
    needs: tuple[str, ...] = ()
    """Fields that must be given."""
    takes: tuple[str, ...] = ()
    """Fields that may be given."""


KINDS = {
    "blink": Kind((0.0, 1.0), takes=("rate", "times", "seed")),
    "close_eyes": Kind((0.0, 1.0)),
    "raise_brows": Kind((-1.0, 1.0)),
    "frown": Kind((0.0, 1.0)),
    "open_mouth": Kind((-1.0, 1.0)),
    "thicken_lips": Kind((-0.5, 1.0)),
    "recolour": Kind((0.0, 1.0), needs=("region", "colour")),
    "texture": Kind((0.0, 1.0), needs=("region", "reference")),
    "style": Kind((0.0, 1.0), needs=("region",), takes=("seed", "file")),
    "direction": Kind((-2.0, 2.0), needs=("region", "file")),
    "background": Kind((0.0, 1.0), takes=("file", "colour", "blur", "light")),
}
"""Edits by name. `open_mouth` and `thicken_lips` are gains: 0.5 makes it half as much again, -0.5 half.
A direction goes to its second set of pictures by 1, away from it below 0."""

TEXTURES = ("texture", "style", "direction")
"""Edits of style codes."""

_OWN_FIELDS = {
    "region": None, "colour": None, "reference": None, "rate": None, "times": (), "seed": 0,
    "file": None, "blur": None, "light": None,
}  # fmt: skip
"""Fields that only some kinds take, with the value that means nothing was given."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One edit; which fields belong to which is in `KINDS`."""

    edit: str
    amount: float = 1.0
    """Strength at its full; 0 leaves everything as it is."""
    region: str | None = None
    colour: str | None = None
    """`#rrggbb` or a name of `colours.NAMES`."""
    reference: Path | None = None
    """Picture or video of a face that lends its texture."""
    file: Path | None = None
    """Picture or video that fills the background; a video runs with the output, over and over. Or what
    `segtalker directions` fitted: a direction, or styles in place of the shipped ones."""
    blur: float | None = None
    """Standard deviation of the background's blur at full amount, in thousandths of the frame's height."""
    light: float | None = None
    """How far the light on the people follows a new background: 0 leaves them as they are, 1 is the most."""
    rate: float | None = None
    """Natural blinks a second."""
    times: tuple[float, ...] = ()
    """Seconds at which blinks begin, in place of natural ones."""
    seed: int = 0
    """Of natural blinks; of a style, the number of the person who is drawn."""
    span: Span | None = None
    """Seconds of the output; all of it by default."""
    ease: float = 0.25
    """Seconds in which the edit comes and goes at the ends of its span."""
    keyframes: tuple[Keyframe, ...] = ()
    """(second, amount) pairs in place of `amount` and `span`."""

    def __post_init__(self) -> None:
        if self.edit not in KINDS:
            raise ValueError(_unknown("edit", self.edit, KINDS))
        _check_fields(self)
        _check_amounts(self)
        _check_times(self)
        if self.region is not None and self.region not in LOOKS:
            raise ValueError(_unknown("region", self.region, LOOKS))
        if self.colour is not None:
            parse_colour(self.colour)

    def strength(self, time_s: float) -> float:
        """How strong the edit is at a second of the output; for blinks, how far the lids are down."""
        if self.keyframes:
            return interpolate(time_s, self.keyframes)
        level = self.amount * envelope(time_s, self.span, self.ease)
        if self.edit != "blink" or level == 0.0:
            return level
        if self.times:
            return level * timed_closure(time_s, self.times)
        return level * natural_closure(time_s, self.seed, self.rate or RESTING_RATE)

    @property
    def at(self) -> Region:
        """The region of an edit that has one."""
        assert self.region is not None
        return Region[self.region.upper()]

    @property
    def lender(self) -> Lender:
        """What lends its codes to an edit of style codes."""
        return self.reference or self.file, self.seed

    @property
    def target(self) -> tuple[str | Path | None, ...]:
        """What only one edit may change at a time; directions add up."""
        return self.edit, self.region, self.file if self.edit == "direction" else None

    @property
    def window(self) -> Span:
        """Seconds outside of which the edit does nothing."""
        if self.keyframes:
            first, last = self.keyframes[0], self.keyframes[-1]
            return (first[0] if first[1] == 0 else 0.0, last[0] if last[1] == 0 else float("inf"))
        return self.span or (0.0, float("inf"))

    @property
    def named_times(self) -> tuple[float, ...]:
        """Every second that the edit names."""
        return (*(self.span or ())[:1], *self.times, *(second for second, _ in self.keyframes))


Recipe = tuple[Edit, ...]
Lender = tuple[Path | None, int]
"""A file, or None for the styles that are shipped, and the seed of what is drawn from it."""


def check_conflicts(recipe: Recipe) -> None:
    """Raise `ValueError` where two edits of one kind want the same thing at the same time."""
    for (i, first), (j, second) in combinations(enumerate(recipe), 2):
        if first.target != second.target:
            continue
        start = max(first.window[0], second.window[0])
        if start < min(first.window[1], second.window[1]):
            what = f"{first.edit} of {first.region}" if first.region else first.edit
            raise ValueError(
                f"edits[{i}] and edits[{j}] are both {what} at {start:g} s. Give them spans that do not "
                "overlap, or one edit with keyframes."
            )


def check_duration(recipe: Recipe, duration_s: float) -> None:
    """Raise `ConfigError` where an edit names a time that the output does not have."""
    for i, edit in enumerate(recipe):
        late = [second for second in edit.named_times if second >= duration_s]
        if late:
            raise ConfigError(
                f"edits[{i}] ({edit.edit}): {late[0]:g} s lies outside the output, which lasts "
                f"{duration_s:.2f} s. Name earlier seconds, or leave the span out."
            )


def load_recipe(path: Path | str) -> Recipe:
    """The edits of a YAML file; its references are found from the file's own folder."""
    path = Path(path)
    values = load_yaml(path)
    try:
        recipe = parse_config(RecipeFile, values).edits
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return tuple(_found_from(edit, path.parent) for edit in recipe)


@dataclass(frozen=True, kw_only=True)
class RecipeFile:
    """What stands in a recipe's file."""

    edits: tuple[Edit, ...]
    title: str = ""
    """What a person reads in a list of recipes."""

    def __post_init__(self) -> None:
        check_conflicts(self.edits)


def at_full(recipe: Recipe) -> Recipe:
    """The same edits as a still picture shows them: at their strongest, at any time, without blinks."""
    strongest: dict[tuple[str | Path | None, ...], Edit] = {}
    for edit in recipe:
        amount = max((level for _, level in edit.keyframes), key=abs, default=edit.amount)
        known = strongest.get(edit.target)
        if edit.edit != "blink" and (known is None or abs(amount) > abs(known.amount)):
            strongest[edit.target] = replace(edit, amount=amount, span=None, keyframes=())
    return tuple(strongest.values())


def references(recipe: Recipe) -> list[Path]:
    """Every file that lends its texture, once, in order."""
    return list(dict.fromkeys(edit.reference for edit in recipe if edit.reference is not None))


def backgrounds(recipe: Recipe) -> list[Path]:
    """Every file that fills a background, once, in order."""
    files = [edit.file for edit in recipe if edit.edit == "background" and edit.file is not None]
    return list(dict.fromkeys(files))


def lenders(recipe: Recipe) -> list[Lender]:
    """What lends its codes to edits, once, in order."""
    return list(dict.fromkeys(edit.lender for edit in recipe if edit.edit in TEXTURES))


def _check_fields(edit: Edit) -> None:
    kind = KINDS[edit.edit]
    for name, nothing in _OWN_FIELDS.items():
        given = getattr(edit, name) != nothing
        if name in kind.needs and not given:
            raise ValueError(f"{edit.edit} needs a {name}")
        if given and name not in kind.needs + kind.takes:
            allowed = ", ".join((*kind.needs, *kind.takes, "amount", "span", "ease", "keyframes"))
            raise ValueError(f"{edit.edit} takes no {name}; it takes {allowed}")
    if edit.keyframes and (edit.span is not None or edit.amount != 1.0):
        raise ValueError(f"{edit.edit}: keyframes stand in place of amount and span; leave these out")
    if edit.rate is not None and edit.times:
        raise ValueError("blink: give a rate or times, not both")
    if edit.edit == "blink" and edit.keyframes:
        raise ValueError("blink takes no keyframes; close_eyes does")
    if edit.edit == "background" and sum(x is not None for x in (edit.file, edit.colour, edit.blur)) != 1:
        raise ValueError("background takes one of file, colour and blur")
    if edit.light is not None and edit.blur is not None:
        raise ValueError("background: a blur does not change the light; leave light out")


def _check_amounts(edit: Edit) -> None:
    low, high = KINDS[edit.edit].amounts
    for amount in (edit.amount, *(strength for _, strength in edit.keyframes)):
        if not low <= amount <= high:
            raise ValueError(f"{edit.edit}: amount {amount:g} is outside {low:g}..{high:g}")
    if edit.rate is not None and not 0 < edit.rate <= MAX_RATE:
        raise ValueError(f"blink: rate {edit.rate:g} is outside 0..{MAX_RATE:g} a second")
    if edit.blur is not None and not 0 < edit.blur <= MAX_BLUR:
        raise ValueError(f"background: blur {edit.blur:g} is outside 0..{MAX_BLUR:g}")
    if edit.light is not None and not 0 <= edit.light <= 1:
        raise ValueError(f"background: light {edit.light:g} is outside 0..1")


def _check_times(edit: Edit) -> None:
    seconds = [second for second, _ in edit.keyframes]
    if any(b <= a for a, b in pairwise(seconds)):
        raise ValueError(f"{edit.edit}: keyframes must follow one another in time")
    if edit.span is not None and edit.span[0] >= edit.span[1]:
        raise ValueError(f"{edit.edit}: span {list(edit.span)} must end after its start")
    if edit.ease < 0 or edit.seed < 0 or min(edit.named_times, default=0.0) < 0:
        raise ValueError(f"{edit.edit}: seconds and seed must not be negative")


def _found_from(edit: Edit, folder: Path) -> Edit:
    reference, file = (path if path is None else folder / path for path in (edit.reference, edit.file))
    return replace(edit, reference=reference, file=file)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}" if close else f"known are {', '.join(names)}"
    return f"unknown {what} {name!r}; {hint}"
