"""The contact sheet of a video: a row a frame, from the frame to the codes and to what they paint.

Shape legend: N frames, R regions (12), L code layers, D style dim.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.inspection.look import Seen, SeenFace, SeenFrame
from segtalker.inspection.tsne import principal_axes
from segtalker.panels import map_panel
from segtalker.regions import NUM_REGIONS, REGION_COLOURS, REGION_NAMES
from segtalker.types import Image

SIDE = 168
"""Pixels of a square panel; 14 for the band of every region's codes."""
_WIDEST = 300
_GAP, _HEAD, _CHIP = 4, 22, 12
_PAPER, _TEXT = (32, 34, 40), (225, 225, 228)
_STRONG = 2.0  # standard deviations at which a colour is full
_CELLS = 13  # directions of a band
_LOW, _HIGH = np.array((38, 92, 200), np.float32), np.array((205, 60, 40), np.float32)
_COLUMNS = ("crop", "region map", "matte", "style codes", "painted from these")


def contact_sheet(seen: Seen) -> Image:
    """All frames of a sheet [H, W, 3] under a line of titles and over the legend of the regions."""
    wide = max(_thumbnail_width(frame) for frame in seen.frames)
    palette = _Palette(seen)
    rows = [_row(frame, wide, palette) for frame in seen.frames]
    width = rows[0].shape[1]
    parts = [_titles(wide, width), *rows, legend(width)]
    return np.vstack([part for row in parts for part in (row, _gap(_GAP, width))])


def legend(width: int) -> Image:
    """The colours of the regions and their names, in as many lines as `width` needs: [H, width, 3]."""
    sizes = [_CHIP + 10 + _text_width(name) + 14 for name in REGION_NAMES]
    places, x, line = [], _GAP, 0
    for size in sizes:
        if x + size > width and x > _GAP:
            x, line = _GAP, line + 1
        places.append((x, line * _HEAD))
        x += size
    drawn = _gap((line + 1) * _HEAD, width)
    for (left, top), name, colour in zip(places, REGION_NAMES, REGION_COLOURS.tolist(), strict=True):
        corner = (left + _CHIP, top + 4 + _CHIP)
        cv2.rectangle(drawn, (left, top + 4), corner, colour, -1)
        cv2.rectangle(drawn, (left, top + 4), corner, _TEXT, 1)
        _write(drawn, name, left + _CHIP + 6, top + 15)
    return drawn


class _Palette:
    """Codes as colours: how far they lie along the directions in which a video's codes differ most."""

    def __init__(self, seen: Seen) -> None:
        known = seen.codes[seen.shown]
        self._mean, self._axes = principal_axes(known.reshape(len(known), -1), _CELLS)
        self._spread = self._scores(known).std(axis=0) + 1e-6

    def colours(self, codes_LD: NDArray[np.float32], width: int) -> Image:
        """One line [width, 3] of a cell a direction: blue below the mean, red above it."""
        score = self._scores(codes_LD[None])[0] / self._spread
        share = np.clip(np.abs(score) / _STRONG, 0, 1)[:, None]
        cells = (1 - share) * 240 + share * np.where(score[:, None] < 0, _LOW, _HIGH)
        return np.asarray(cells[np.arange(width) * len(cells) // width], np.uint8)

    def _scores(self, codes_MLD: NDArray[np.float32]) -> NDArray[np.float64]:
        return (codes_MLD.reshape(len(codes_MLD), -1) - self._mean) @ self._axes.T


def _row(frame: SeenFrame, wide: int, palette: _Palette) -> Image:
    panels = [_frame_panel(frame, wide)]
    if frame.seen is None:
        nothing = _gap(SIDE, len(_COLUMNS) * (SIDE + _GAP) - _GAP)
        _write(nothing, f"left as it is: {frame.planned.reason.value}", 12, SIDE // 2)
        panels.append(nothing)
    else:
        crop, parsed = frame.seen.face.crop, frame.seen.face.parsed
        matte = np.repeat(np.rint(255 * parsed.matte)[..., None], 3, axis=2).astype(np.uint8)
        panels += [
            _square(crop.image),
            map_panel(parsed.region_map, SIDE),
            _square(matte),
            _code_panel(frame.seen, palette),
            _square(frame.seen.repainted),
        ]
    return np.hstack([part for panel in panels for part in (panel, _gap(SIDE, _GAP))])


def _frame_panel(frame: SeenFrame, wide: int) -> Image:
    """The whole frame with the outline of its crop and its time, [SIDE, wide, 3]."""
    image = frame.image.copy()
    height, width = image.shape[:2]
    if frame.outline is not None:
        corners = np.rint(frame.outline).astype(np.int32)
        cv2.polylines(image, [corners], True, (255, 215, 0), max(1, round(height / SIDE)), cv2.LINE_AA)
    scale = min(SIDE / height, wide / width)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=method)
    panel = _gap(SIDE, wide)
    top, left = (SIDE - size[1]) // 2, (wide - size[0]) // 2
    panel[top : top + size[1], left : left + size[0]] = small
    told = f"{float(frame.planned.time):.2f} s"
    panel[SIDE - 18 :, : _text_width(told) + 10] //= 3
    _write(panel, told, 5, SIDE - 5)
    return panel


def _code_panel(seen: SeenFace, palette: _Palette) -> Image:
    """A band a region in the order of the legend; bands of regions that are not shown stay empty."""
    panel = _gap(SIDE, SIDE)
    band = SIDE // NUM_REGIONS
    present = np.bincount(seen.face.parsed.region_map.ravel(), minlength=NUM_REGIONS) > 0
    for region in range(NUM_REGIONS):
        rows = slice(region * band, (region + 1) * band - 1)
        panel[rows, :_CHIP] = REGION_COLOURS[region]
        if present[region]:
            panel[rows, _CHIP + 2 :] = palette.colours(seen.codes[region], SIDE - _CHIP - 2)
    return panel


def _titles(wide: int, width: int) -> Image:
    line = _gap(_HEAD, width)
    for place, title in enumerate(("frame", *_COLUMNS)):
        left = 0 if place == 0 else wide + _GAP + (place - 1) * (SIDE + _GAP)
        _write(line, title, left + 4, 15)
    return line


def _thumbnail_width(frame: SeenFrame) -> int:
    height, width = frame.image.shape[:2]
    return min(_WIDEST, max(80, round(SIDE * width / height)))


def _square(image: Image) -> Image:
    method = cv2.INTER_AREA if len(image) > SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=method), np.uint8)


def _gap(height: int, width: int) -> Image:
    return np.full((height, width, 3), _PAPER, np.uint8)


def _write(image: Image, words: str, left: int, bottom: int) -> None:
    cv2.putText(image, words, (left, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _TEXT, 1, cv2.LINE_AA)


def _text_width(words: str) -> int:
    return cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)[0][0]
