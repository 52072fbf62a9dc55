"""Move the pixels of a source face so that lips, skin and chin follow another region map of the same face.

Speech moves a face almost only up and down inside an aligned crop, so the warp follows the curves of lips
and chin. Two maps give two sets of curves; between them rows are interpolated, at any resolution, with jumps
where a face has them: between closed lips, and where the chin passes in front of the neck.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.curves import FaceCurves, Rows, measure_curves, unit_of, upper_lip_share
from segtalker.regions import MOVING, Raw, Region, merge_raw
from segtalker.types import RegionMap

OVERHANG = 0.03
"""How far hairs and shading of a chin reach beyond its outline."""


_CHIN = 7
"""Which of the knots is the chin."""


@dataclass(frozen=True)
class FaceWarp:
    """A backward warp: the pixel (x, y) of the new picture lies at (map_x, map_y) of the source picture."""

    map_x: NDArray[np.float32]
    map_y: NDArray[np.float32]
    """[H, W] in OpenCV's pixels (centres at integers), as `cv2.remap` takes them."""
    trust: NDArray[np.float32]
    """[H, W] 1 where the source shows what the new map asks for, 0 where it cannot (its mouth was closed)."""
    chin: Rows
    """[W] row of the chin in the new picture, parts of its height."""

    def __call__(self, picture: NDArray, interpolation: int = cv2.INTER_LINEAR) -> NDArray:
        """Carry a picture [H, W] or [H, W, C] of the source to the new map."""
        return cv2.remap(picture, self.map_x, self.map_y, interpolation, borderMode=cv2.BORDER_REPLICATE)


def open_mouth(source_raw: NDArray[np.uint8], by: float) -> tuple[RegionMap, FaceWarp]:
    """The region map of a face with its mouth opened `by` more (parts of the side), and the warp to it."""
    size = source_raw.shape[0]
    source = measure_curves(merge_raw(source_raw), upper_lip_share(source_raw))
    new = source.opened(by)
    warp = warp_between(source, new, _neck_length(source_raw, source.chin), size)
    region_map = merge_raw(warp(source_raw, cv2.INTER_NEAREST))
    unit = unit_of(new)
    inside, outside = _mouth_columns(new, unit)
    top, bottom = (np.interp(inside, unit, rows) for rows in (new.mouth_top, new.mouth_bottom))
    mouth = (unit[:, None] > top) & (unit[:, None] < bottom) & (outside == 0)
    region_map[region_map == Region.MOUTH] = Region.LIP
    region_map[mouth] = Region.MOUTH
    return region_map, warp


def face_warp(
    source_raw: NDArray[np.uint8], new_map: RegionMap, size: int, other_pose: bool = False
) -> FaceWarp:
    """The warp from a source with raw map [S, S] to the region map `new_map` [S, S], `size` pixels a side.

    other_pose: the new map is of another frame, where the head may have turned; the edges of its face and the
    middle of its nose are followed too. Otherwise nothing moves above the nose, nor beside or below the face.
    """
    share = upper_lip_share(source_raw)
    source = measure_curves(merge_raw(source_raw), share)
    new = measure_curves(new_map, share)
    # A map tells the nose's row to a pixel only, and the whole face hangs on it: alignment knows better.
    source = replace(source, nose=new.nose, pose=source.pose if other_pose else new.pose)
    warp = warp_between(source, new, _neck_length(source_raw, source.chin), size)
    if other_pose:
        return warp
    return replace(warp, trust=warp.trust * _uncovered_trust(source_raw, new_map, warp))


def warp_between(source: FaceCurves, new: FaceCurves, neck: Rows, size: int) -> FaceWarp:
    """`face_warp` from measured curves. neck: [S] height of bare neck under the chin of the source, 0..1."""
    unit = (np.arange(size, dtype=np.float32) + 0.5) / size
    map_x = np.repeat(unit[None], size, 0)
    map_y = np.repeat(unit[:, None], size, 1)
    trust = np.ones((size, size), np.float32)
    chin = np.zeros(size, np.float32)
    start = int(new.nose * size) if source.pose == new.pose else 0  # one frame: only below the nose
    if source.corners[0] < source.corners[1] and new.corners[0] < new.corners[1]:
        knots = _knots(source, new, neck, unit)
        rows = unit[start:, None]
        map_y[start:] = _piecewise(rows, knots)
        map_x[start:] += _sideways(source, new, unit, rows)
        trust[start:] = _mouth_trust(rows, knots)
        chin = knots.new[_CHIN]
    x, y = ((rows * size - 0.5).astype(np.float32) for rows in (map_x, map_y))
    return FaceWarp(x, y, trust, chin)


@dataclass(frozen=True)
class _Knots:
    """Rows of the new picture and where they lie in the source, both [10, W], from the nose to the neck."""

    new: Rows
    source: Rows


def _knots(source: FaceCurves, new: FaceCurves, neck: Rows, unit: Rows) -> _Knots:
    inside_new, outside = _mouth_columns(new, unit)
    names = ("lip_top", "mouth_top", "mouth_bottom", "lip_bottom")
    new_rows = np.stack([np.interp(inside_new, unit_of(new), getattr(new, name)) for name in names])
    source_rows = np.stack([np.interp(inside_new, unit_of(source), getattr(source, name)) for name in names])
    # Beyond the corners the lips are a line that fades back to where it was.
    fade = np.exp(-0.5 * (outside / 0.07) ** 2)
    source_rows = new_rows + (source_rows - new_rows) * fade
    neck = np.interp(unit, unit_of(source), neck)
    chin, shift = _chin_shift(source, new, unit, _room_to_rise(neck, sum(new.corners) / 2))
    chin = np.maximum(chin, new_rows[3] + 0.01)
    chin_source = np.maximum(chin + shift, source_rows[3] + 0.01)
    # The inner mouth hangs on the upper teeth: the lower lip cuts it, it is neither squeezed nor stretched.
    known = np.minimum(new_rows[2] - new_rows[1], source_rows[2] - source_rows[1])
    below, below_source = _under_the_chin(chin, chin_source, neck)
    top = np.minimum(new.nose, new_rows[0] - 0.004)
    mouth_end = source_rows[1] + known
    # Closed lips begin half a map pixel inside the source's, or a line of teeth would stay between them.
    pixel = 1 / len(source.chin)
    closed = np.clip(1 - (new_rows[2] - new_rows[1]) / pixel, 0, 1)
    inset = 0.5 * pixel * closed * np.clip((source_rows[2] - source_rows[1] - known) / pixel, 0, 1)
    source_rows[1:3] += inset * np.array([[-1], [1]])
    knots_new = [
        top, new_rows[0], new_rows[1], new_rows[1] + known, new_rows[2], new_rows[2], new_rows[3], chin, chin,
        below,
    ]  # fmt: skip
    knots_source = [
        top, source_rows[0], source_rows[1], mouth_end, mouth_end, source_rows[2], source_rows[3],
        chin_source, below_source, below,
    ]  # fmt: skip
    return _Knots(np.stack(knots_new).astype(np.float32), np.stack(knots_source).astype(np.float32))


def _mouth_columns(curves: FaceCurves, unit: Rows) -> tuple[Rows, Rows]:
    """Where columns lie between the corners of the mouth (0..1), and how far outside of it."""
    left, right = curves.corners
    position = (unit - left) / (right - left)
    outside = np.maximum(np.maximum(left - unit, unit - right), 0)
    return np.clip(position, 0, 1), outside


def _chin_shift(source: FaceCurves, new: FaceCurves, unit: Rows, room: Rows) -> tuple[Rows, Rows]:
    """Chin row of the new face in each column, and what leads from it to that of the source.

    The jaw is rigid, so the shift is a parabola fitted over the columns where the chin runs flat; it fades
    towards the ears, where the edge of the face is vertical and says nothing about rows, and where there is
    no room to rise. Where it has faded, the face of one frame keeps its own outline.
    """
    at = unit_of(new)
    centre = (new.corners[0] + new.corners[1]) / 2
    flat = (source.chin > source.nose) & (new.chin > new.nose) & (source.chin < 0.995) & (new.chin < 0.995)
    flat &= (np.abs(np.gradient(new.chin, at)) < 1.0) & (np.abs(np.gradient(source.chin, at)) < 1.0)
    flat &= np.abs(at - centre) < 0.2
    soft = max(1.0, len(at) / 128)
    chin, own = (
        np.interp(unit, at, cv2.GaussianBlur(curves.chin[None], (0, 0), soft)[0]) for curves in (new, source)
    )
    if np.count_nonzero(flat) < 6:
        lips = float(np.median(source.lip_bottom - new.lip_bottom))
        shift = np.full_like(unit, 0.8 * lips)
    else:
        x = (at[flat] - centre) / 0.15
        shift = np.polynomial.polynomial.polyval(
            np.clip((unit - centre) / 0.15, x.min(), x.max()),
            np.polynomial.polynomial.polyfit(x, (source.chin - new.chin)[flat], 2),
        )
    steep = np.abs(np.gradient(chin, unit))
    steep = cv2.GaussianBlur(steep[None].astype(np.float32), (0, 0), 0.015 * len(unit))[0]
    moved = np.exp(-0.5 * (np.maximum(steep - 0.7, 0) / 0.4) ** 2)
    moved = moved * np.exp(-0.5 * (np.maximum(np.abs(unit - centre) - 0.16, 0) / 0.06) ** 2)
    if source.pose == new.pose:
        moved = np.where(shift > 0, moved * room, moved)
        chin = own + moved * (chin - own)
        return chin, np.minimum(shift * moved, np.maximum(own - chin, 0))  # beyond it the background begins
    return chin, shift * moved


def _room_to_rise(neck: Rows, middle: float) -> Rows:
    """[W] 1 in the columns of the neck, 0 beside it, where a rising jaw would uncover what lies behind."""
    columns = np.flatnonzero(neck > 0.02)
    if not len(columns) or not columns[0] < middle * len(neck) < columns[-1]:
        return np.ones_like(neck)  # a collar follows at once, its mirror image is uncovered
    inside = np.zeros((1, len(neck)), np.float32)
    inside[0, columns[0] : columns[-1] + 1] = 1
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), 0.02 * len(neck))[0], np.float32)


def _under_the_chin(chin: Rows, chin_source: Rows, neck: Rows) -> tuple[Rows, Rows]:
    """Down to which row the neck gives way to the chin, and the source row that touches the chin.

    Bare neck stretches with the chin, from below the hairs that overhang it. Where a collar follows at once,
    it stays where it is: a falling chin covers it, a rising chin uncovers its mirror image, which is never
    smeared.
    """
    shift = np.abs(chin_source - chin)
    rising = chin_source > chin
    edge = chin_source + rising * np.minimum(OVERHANG, shift)
    clear = np.maximum(neck - (edge - chin_source), 0)
    stretch = np.clip((clear - 0.6 * shift) / np.maximum(0.6 * shift, 1e-4), 0, 1)
    end_stretch = np.maximum(edge, chin) + np.minimum(clear, 3 * shift)
    end_still = np.where(rising, edge, chin)
    start_still = np.where(rising, 2 * edge - chin, chin)
    # The mirror image of a bare neck ends above the collar.
    bare = np.clip(clear / OVERHANG, 0, 1)
    start_still = (1 - bare) * start_still + bare * np.minimum(
        start_still, np.maximum(edge + 0.8 * clear, chin)
    )
    end = stretch * end_stretch + (1 - stretch) * end_still
    return end, stretch * edge + (1 - stretch) * start_still


def _piecewise(rows: Rows, knots: _Knots) -> Rows:
    """Source rows [H, W] of new rows [H, 1]: linear between knots, a jump where two knots share a row."""
    result = np.minimum(rows, knots.new[0]) + knots.source[0] - knots.new[0]
    for k in range(len(knots.new) - 1):
        step = np.maximum(knots.new[k + 1] - knots.new[k], 1e-6)
        result += (knots.source[k + 1] - knots.source[k]) * np.clip((rows - knots.new[k]) / step, 0, 1)
    return result + np.maximum(rows - knots.new[-1], 0)


def _sideways(source: FaceCurves, new: FaceCurves, unit: Rows, rows: Rows) -> Rows:
    """Columns [H, W] to add: corners of the mouth meet at its rows, edges of the face elsewhere."""
    position, outside = _mouth_columns(new, unit)
    left, right = source.corners
    shift = left + position * (right - left) - (new.corners[0] + position * (new.corners[1] - new.corners[0]))
    fade = np.exp(-0.5 * (outside / 0.07) ** 2)
    shift = shift * fade
    top, bottom = float(new.lip_top.min()), float(new.lip_bottom.max())
    away = np.maximum(np.maximum(top - rows, rows - bottom), 0) / 0.05
    start = np.clip((rows - new.nose) / max(top - new.nose, 1e-3), 0, 1)
    at_mouth = np.exp(-0.5 * away**2) * np.minimum(1, start * 2)
    turn = np.interp(unit, new.pose, np.subtract(source.pose, new.pose))
    return turn + (shift - turn * fade) * at_mouth


def _mouth_trust(rows: Rows, knots: _Knots) -> Rows:
    """1 outside the inner mouth, and inside it down to where the source's own inner mouth ends."""
    top, known, bottom = knots.new[2:5]
    soft = 0.006
    inside = np.clip((rows - top) / soft, 0, 1) * np.clip((bottom - rows) / soft + 0.5, 0, 1)
    missing = np.clip((rows - known) / soft + 0.5, 0, 1) * (bottom - known > 0.004)
    return 1 - inside * missing


def _uncovered_trust(
    source_raw: NDArray[np.uint8], new_map: RegionMap, warp: FaceWarp
) -> NDArray[np.float32]:
    """[H, W] 0 beside the new face where the warped source still shows its own, with the hairs around it."""
    size, side = warp.trust.shape[0], len(new_map)
    was_face = warp(_enlarged(MOVING[merge_raw(source_raw)], size))
    is_face = _enlarged(MOVING[new_map], size)
    below = (np.arange(size, dtype=np.float32) + 0.5)[:, None] / size > warp.chin
    mismatch = (below & (was_face > 0.5) & (is_face < 0.5)).astype(np.uint8)
    pixel = np.ones((round(1.5 * size / side),) * 2, np.uint8)  # thinner is the raster of the two maps
    stale = cv2.morphologyEx(mismatch, cv2.MORPH_OPEN, pixel)
    reach = 2 * round(OVERHANG * size) + 1
    around = cv2.dilate(stale, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    around = cv2.GaussianBlur(around.astype(np.float32), (0, 0), size / side / 2)
    outside = cv2.GaussianBlur((warp.map_y > size - 1).astype(np.float32), (0, 0), size / side / 2)
    unknown = np.maximum(around, outside) * np.clip(2 - 4 * is_face, 0, 1)
    return np.asarray(1 - unknown, np.float32)


def _enlarged(mask: NDArray[np.bool_], size: int) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(mask.astype(np.float32), (size, size)), np.float32)


def _neck_length(raw: NDArray[np.uint8], chin: Rows) -> Rows:
    """[S] height of bare neck right under the chin, the least of the neighbourhood, 0..1."""
    side = raw.shape[0]
    rows = np.arange(side)[:, None]
    first = np.minimum(np.ceil(chin * side).astype(int) + 1, side)
    ends = (rows >= first) & (raw != Raw.NECK) & (raw != Raw.SKIN)
    length = np.where(ends.any(0), ends.argmax(0), side) - first
    length = np.maximum(length, 0).astype(np.float32)[None] / side
    reach = max(3, side // 16) | 1
    return cv2.GaussianBlur(cv2.erode(length, np.ones((1, reach))), (0, 0), reach / 3)[0]
