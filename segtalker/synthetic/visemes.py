"""The mouth shape that each phone aims at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from segtalker.synthetic.phones import PHONES


@dataclass(frozen=True)
class Shape:
    """Target of one half of a phone."""

    opening: float
    """0 closed .. 1 as wide as speech gets."""
    width: float
    """-1 narrow .. 1 spread."""
    protrusion: float
    """0..1 lips rounded and forward."""
    contact: float
    """1: lips meet (p, b, m); -1: lower lip meets the upper teeth (f, v)."""
    tongue: float
    """0..1 tongue tip seen between the teeth."""
    own: float
    """Share of opening, width and protrusion that is the phone's own; the rest comes from nearby vowels."""

    def values(self) -> tuple[float, ...]:
        """The first five, as a row of targets."""
        return astuple(self)[:5]

    def mixed(self, neighbours: Sequence[Shape]) -> Shape:
        """This shape with the part that it does not own taken from the mean of `neighbours`."""
        count = len(neighbours)
        mean = [sum(getattr(shape, name) for shape in neighbours) / count for name in _BORROWED]
        own = [getattr(self, name) for name in _BORROWED]
        opening, width, protrusion = (
            self.own * a + (1 - self.own) * b for a, b in zip(own, mean, strict=True)
        )
        return Shape(opening, width, protrusion, self.contact, self.tongue, self.own)


_BORROWED = ("opening", "width", "protrusion")


def _one(*values: float) -> tuple[Shape, Shape]:
    return Shape(*values), Shape(*values)


SHAPES: dict[str, tuple[Shape, Shape]] = {
    "sil": _one(0.0, 0.0, 0.0, 0, 0.0, 1.0),
    "aa": _one(1.00, 0.00, 0.00, 0, 0.0, 1),
    "ae": _one(0.88, 0.35, 0.00, 0, 0.0, 1),
    "ah": _one(0.58, 0.05, 0.00, 0, 0.0, 1),
    "ao": _one(0.80, -0.45, 0.45, 0, 0.0, 1),
    "aw": (Shape(0.95, 0.05, 0.0, 0, 0, 1), Shape(0.35, -0.75, 0.75, 0, 0, 1)),
    "ay": (Shape(0.98, 0.10, 0.0, 0, 0, 1), Shape(0.40, 0.55, 0.0, 0, 0, 1)),
    "eh": _one(0.62, 0.35, 0.00, 0, 0.0, 1),
    "er": _one(0.38, -0.35, 0.35, 0, 0.0, 1),
    "ey": (Shape(0.55, 0.50, 0.0, 0, 0, 1), Shape(0.32, 0.65, 0.0, 0, 0, 1)),
    "ih": _one(0.38, 0.40, 0.00, 0, 0.0, 1),
    "iy": _one(0.27, 0.80, 0.00, 0, 0.0, 1),
    "ow": (Shape(0.62, -0.55, 0.55, 0, 0, 1), Shape(0.30, -0.85, 0.85, 0, 0, 1)),
    "oy": (Shape(0.70, -0.60, 0.6, 0, 0, 1), Shape(0.36, 0.50, 0.0, 0, 0, 1)),
    "uh": _one(0.36, -0.50, 0.50, 0, 0.0, 1),
    "uw": _one(0.22, -0.95, 1.00, 0, 0.0, 1),
    "p": _one(0.0, 0.0, 0.0, 1, 0.0, 0.7),
    "b": _one(0.0, 0.0, 0.0, 1, 0.0, 0.7),
    "m": _one(0.0, 0.0, 0.0, 1, 0.0, 0.7),
    "f": _one(0.10, 0.15, 0.0, -1, 0.0, 0.75),
    "v": _one(0.10, 0.15, 0.0, -1, 0.0, 0.75),
    "th": _one(0.24, 0.15, 0.0, 0, 1.0, 0.7),
    "dh": _one(0.24, 0.15, 0.0, 0, 0.9, 0.65),
    "s": _one(0.15, 0.45, 0.0, 0, 0.0, 0.8),
    "z": _one(0.15, 0.45, 0.0, 0, 0.0, 0.8),
    "sh": _one(0.22, -0.50, 0.65, 0, 0.0, 0.8),
    "zh": _one(0.22, -0.50, 0.65, 0, 0.0, 0.8),
    "ch": _one(0.20, -0.45, 0.60, 0, 0.0, 0.8),
    "jh": _one(0.20, -0.45, 0.60, 0, 0.0, 0.8),
    "t": _one(0.20, 0.20, 0.0, 0, 0.4, 0.6),
    "d": _one(0.22, 0.20, 0.0, 0, 0.4, 0.6),
    "n": _one(0.24, 0.15, 0.0, 0, 0.5, 0.55),
    "l": _one(0.36, 0.15, 0.0, 0, 0.7, 0.5),
    "k": _one(0.28, 0.05, 0.0, 0, 0.0, 0.45),
    "g": _one(0.28, 0.05, 0.0, 0, 0.0, 0.45),
    "ng": _one(0.28, 0.10, 0.0, 0, 0.0, 0.5),
    "hh": _one(0.35, 0.0, 0.0, 0, 0.0, 0.25),
    "r": _one(0.26, -0.45, 0.45, 0, 0.0, 0.65),
    "w": _one(0.12, -1.0, 1.0, 0, 0.0, 0.85),
    "y": _one(0.24, 0.65, 0.0, 0, 0.0, 0.7),
}  # fmt: skip
"""Phone -> (first half, second half)."""

if set(SHAPES) != PHONES:
    raise AssertionError(f"phones without a shape: {set(SHAPES) ^ PHONES}")
