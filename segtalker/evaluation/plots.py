"""Plots of an evaluation as small self-contained SVG files: bars with intervals, two methods by video.

Written by hand (`segtalker.svg`), since a plotting library would weigh more than this package.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from segtalker.evaluation.columns import REFERENCE_ROWS, Column, column
from segtalker.evaluation.results import Evaluation, MethodResult
from segtalker.evaluation.statistics import Estimate, shared_values
from segtalker.svg import COLOURS, INK, dot, line, svg, text

_REFERENCE = "#9a9a9a"
_PALE, _FRAME = "#e4e4e4", "#888888"
_ROW, _LABELS, _PLOT, _VALUES, _TOP, _BOTTOM = 24, 180, 300, 150, 34, 30
_SIDE, _LEFT, _UNDER = 330, 62, 50
_MOST_OVER = 2.0
"""A bar of a reference row that is so many times the longest of the methods is cut."""
_LETTER = 6.6
"""Mean width of a letter of the labels, px."""


def bar_plots(evaluation: Evaluation) -> dict[str, str]:
    """File name -> SVG: bars of every figure."""
    return {f"{name}.svg": bars(evaluation, column(name)) for name in evaluation.figure_names()}


def scatter_plots(evaluation: Evaluation) -> dict[str, str]:
    """File name -> SVG: of exactly two methods, every figure by video."""
    if len(evaluation.own_methods()) != 2:
        return {}
    first, second = evaluation.own_methods()
    drawn = {name: scatter(first, second, column(name)) for name in evaluation.figure_names()}
    return {f"{name}_by_video.svg": picture for name, picture in drawn.items() if picture is not None}


def bars(evaluation: Evaluation, figure: Column) -> str:
    """A bar for every method that has the figure, with the interval of its mean.

    Bars of the reference rows are cut where they would dwarf the methods, as the PSNR of equal videos.
    """
    found = [(result.method, evaluation.estimate(result, figure.name)) for result in evaluation.methods]
    rows = [(method, estimate) for method, estimate in found if estimate is not None]
    scale = _Scale.over([0.0, *_ends_worth_showing(rows, figure)], _LABELS, _LABELS + _PLOT)
    bottom = _TOP + _ROW * len(rows)
    parts = [text(8, 20, figure.title, size=14, weight="bold"), *_grid(scale, _TOP, bottom)]
    places = {result.method: place for place, result in enumerate(evaluation.own_methods())}
    for place, (method, estimate) in enumerate(rows):
        top = _TOP + _ROW * place
        parts.append(text(_LABELS - 8, top + 16, _short(method, _LABELS - 16), anchor="end"))
        parts += _bar(scale, top, estimate, figure, _colour(method, places))
    return svg(_LABELS + _PLOT + _VALUES, bottom + _BOTTOM, parts, f"{figure.title} by method")


def scatter(first: MethodResult, second: MethodResult, figure: Column) -> str | None:
    """A dot for every video that both methods have the figure of; None where there are none.

    On the line both are equal; each dot tells its video where the mouse rests on it.
    """
    values = shared_values(first.values(figure.name), second.values(figure.name))
    if not values:
        return None
    ends = [value * figure.scale for pair in values.values() for value in pair]
    size = _LEFT + _SIDE
    across = _Scale.over(ends, _LEFT, size)
    up = _Scale(across.low, across.high, _TOP + _SIDE, _TOP)
    parts = [text(8, 20, f"{figure.title}, by video", size=14, weight="bold")]
    parts += _grid(across, _TOP, _TOP + _SIDE)
    for tick in up.ticks():
        parts.append(line(_LEFT, up(tick), size, up(tick), _PALE))
        parts.append(text(_LEFT - 6, up(tick) + 4, _tick(tick), anchor="end", size=11))
    parts.append(
        line(across(across.low), up(across.low), across(across.high), up(across.high), _FRAME, "4 3")
    )
    for video, (x, y) in values.items():
        told = f"{video}: {_tick(x * figure.scale)} and {_tick(y * figure.scale)}"
        parts.append(dot(across(x * figure.scale), up(y * figure.scale), COLOURS[0], told))
    parts.append(
        text(
            _LEFT + _SIDE / 2, _TOP + _SIDE + 36, _short(first.method, _SIDE), anchor="middle", weight="bold"
        )
    )
    name = _short(second.method, _SIDE)
    parts.append(text(0, 0, name, "middle", weight="bold", turn=(16, _TOP + _SIDE / 2)))
    label = f"{figure.title} of {first.method} and {second.method} by video"
    return svg(size + 20, _TOP + _SIDE + _UNDER, parts, label)


class _Scale:
    """Values to pixels; those outside stand at its ends."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        self.low, self.high, self._start, self._stop = low, high, start, stop

    @classmethod
    def over(cls, values: Sequence[float], start: float, stop: float) -> _Scale:
        """Holds all values, with a little room."""
        low, high = min(values), max(values)
        if low == high:
            return cls(low - (abs(low) or 1.0) * 0.05, high + (abs(high) or 1.0) * 0.05, start, stop)
        room = (high - low) * 0.05
        return cls(low - room if low else low, high + room if high else high, start, stop)

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return self._start + (inside - self.low) / (self.high - self.low) * (self._stop - self._start)

    def ticks(self) -> Iterator[float]:
        """About five round values."""
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        yield from (round(place * step, 12) for place in range(first, last + 1))


def _ends_worth_showing(rows: Sequence[tuple[str, Estimate]], figure: Column) -> list[float]:
    """Ends of all bars and intervals, but of reference rows only those that leave room for the methods."""
    own = [end for method, estimate in rows if method not in REFERENCE_ROWS for end in _ends(estimate)]
    most = _MOST_OVER * max((abs(end) for end in own), default=math.inf)
    ends = own + [end for method, estimate in rows if method in REFERENCE_ROWS for end in _ends(estimate)]
    shown = [end * figure.scale for end in ends if abs(end) <= most or not most]
    return [round(end, figure.digits) for end in shown]  # what prints as zero is no bar


def _ends(estimate: Estimate) -> list[float]:
    return [end for end in (estimate.mean, estimate.low, estimate.high) if end is not None]


def _bar(scale: _Scale, top: float, estimate: Estimate, figure: Column, colour: str) -> Iterator[str]:
    value = estimate.mean * figure.scale
    start, stop = sorted((scale(0.0), scale(value)))
    size = f'width="{max(stop - start, 1):.1f}" height="{_ROW - 8}"'
    yield f'<rect x="{start:.1f}" y="{top + 4}" {size} fill="{colour}"/>'
    label = f"{value:.{figure.digits}f}"
    if not scale.low <= value <= scale.high:
        label += " (bar cut)"
    elif estimate.low is not None and estimate.high is not None and estimate.low < estimate.high:
        ends = estimate.low * figure.scale, estimate.high * figure.scale
        (low, high), middle = map(scale, ends), top + 12
        yield line(low, middle, high, middle, INK)
        yield line(low, middle - 4, low, middle + 4, INK)
        yield line(high, middle - 4, high, middle + 4, INK)
        label += f" [{ends[0]:.{figure.digits}f}, {ends[1]:.{figure.digits}f}]"
    yield text(_LABELS + _PLOT + 8, top + 16, label, size=11)


def _grid(scale: _Scale, top: float, bottom: float) -> Iterator[str]:
    for tick in scale.ticks():
        yield line(scale(tick), top, scale(tick), bottom, _FRAME if tick == 0 else _PALE)
        yield text(scale(tick), bottom + 16, _tick(tick), anchor="middle", size=11)


def _colour(method: str, places: Mapping[str, int]) -> str:
    return _REFERENCE if method in REFERENCE_ROWS else COLOURS[places[method] % len(COLOURS)]


def _tick(value: float) -> str:
    return f"{value:.4g}"


def _short(name: str, width: float) -> str:
    letters = int(width / _LETTER)
    return name if len(name) <= letters else f"{name[: letters - 1]}…"
