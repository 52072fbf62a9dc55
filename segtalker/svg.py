"""Small SVG pictures without a plotting library: lines, text and the picture around them.

Text takes the reader's own sans-serif font.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8B6914")
"""Those of Okabe and Ito, which colour-blind people tell apart, for things that are compared."""
INK = "#222222"
"""Of text."""


def line(x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "") -> str:
    """A line between two points; dashes: as `stroke-dasharray`."""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}"{dashed}/>'


def text(
    x: float,
    y: float,
    words: str,
    anchor: str = "start",
    size: int = 12,
    weight: str = "normal",
    turn: tuple[float, float] | None = None,
) -> str:
    """Words at a point; anchor: start, middle or end; turn: the point instead, for words that run upward."""
    place = f'x="{x:.1f}" y="{y:.1f}"'
    if turn is not None:
        place = f'transform="translate({turn[0]:.1f} {turn[1]:.1f}) rotate(-90)"'
    style = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{INK}"'
    return f"<text {place} {style}>{escape(words)}</text>"


def svg(width: float, height: float, parts: Sequence[str], label: str) -> str:
    """A white picture of `parts`; label: what a screen reader says."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label, quote=True)}" '
        f'font-family="system-ui, sans-serif">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>"]) + "\n"


def dot(x: float, y: float, colour: str, told: str, radius: float = 4, rim: str = "none") -> str:
    """A dot that tells something where the mouse rests on it."""
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"'
    look = f'fill="{colour}" fill-opacity="0.65" stroke="{rim}" stroke-width="0.6"'
    return f"<circle {place} {look}><title>{escape(told)}</title></circle>"


def box(x: float, y: float, width: float, height: float, rim: str) -> str:
    """The outline of a rectangle."""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="none" stroke="{rim}"/>'
