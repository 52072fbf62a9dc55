"""What a region map says about the shape of a lower face: a few curves, one row per column.

Both edges of both lips, the mouth between them, and the chin. They are measured as column sums of the map,
which makes them exact on a clean map, linear in soft ones and stable under a stray pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.regions import MOVING, Raw, Region
from segtalker.types import RegionMap

Rows = NDArray[np.floating]

_UPPER_SHARE = 0.42  # of the two lips of a face that never showed where they part


@dataclass(frozen=True)
class FaceCurves:
    """What a region map says about the lower face. Rows and columns in units of the map's side (0..1)."""

    lip_top: Rows
    mouth_top: Rows
    mouth_bottom: Rows
    lip_bottom: Rows
    """[S] rows at S columns spread evenly from the left to the right corner of the mouth."""
    chin: Rows
    """[S] last row of the face in each column of the map; 0 where there is no face."""
    corners: tuple[float, float]
    """Left and right columns of the lips; equal when the map shows no mouth."""
    nose: float
    """Lowest row of the nose: above it speech moves nothing."""
    pose: tuple[float, float, float]
    """Columns of the left edge of the face, the middle of the nose and the right edge, above the mouth."""

    @property
    def opening(self) -> float:
        """Largest height of the inner mouth."""
        return float(np.max(self.mouth_bottom - self.mouth_top))

    def opened(self, by: float) -> FaceCurves:
        """The same face with its jaw lowered until the mouth opens `by` more; negative closes it."""
        across = np.linspace(-1, 1, len(self.chin), dtype=np.float32)
        height = np.maximum(self.mouth_bottom - self.mouth_top + by * (1 - across**2), 0)
        drop = self.mouth_top + height - self.mouth_bottom
        centre, reach = sum(self.corners) / 2, 1.3 * (self.corners[1] - self.corners[0])
        jaw = (
            0.7
            * float(drop[np.argmax(np.abs(drop))])
            * np.clip(1 - ((unit_of(self) - centre) / reach) ** 2, 0, 1)
        )
        return replace(
            self,
            mouth_bottom=(self.mouth_bottom + drop).astype(np.float32),
            lip_bottom=(self.lip_bottom + drop).astype(np.float32),
            chin=np.where(self.chin > 0, np.minimum(self.chin + jaw, 1), 0).astype(np.float32),
        )


def measure_curves(region_map: RegionMap, upper_share: float | None = None) -> FaceCurves:
    """The curves of a region map [S, S].

    upper_share: what part of the height of closed lips is the upper lip; a region map alone cannot tell.
    """
    side = region_map.shape[0]
    lip, mouth = region_map == Region.LIP, region_map == Region.MOUTH
    mouth_region = (lip | mouth).astype(np.float32)
    columns = np.flatnonzero(mouth_region.any(0))
    nose_rows = np.flatnonzero((region_map == Region.NOSE).any(1))
    nose = float(nose_rows[-1] + 1) if len(nose_rows) else side * 0.6
    chin = _bottom_of(MOVING[region_map], int(nose))
    pose = _pose(region_map, int(nose))
    if len(columns) < 4:
        flat = np.full(side, nose / side, np.float32)
        return FaceCurves(flat, flat, flat, flat, chin / side, (0.5, 0.5), nose / side, pose)
    left, right = float(columns[0]), float(columns[-1] + 1)
    at = left + (np.arange(side, dtype=np.float32) + 0.5) * (right - left) / side
    outer_top, outer_bottom = _runs(mouth_region, at)
    inner_centre, inner_height = _centre_and_height(mouth.astype(np.float32), at)
    share = _UPPER_SHARE if upper_share is None else upper_share
    seam = outer_top + share * (outer_bottom - outer_top - inner_height)
    # A column of the inner mouth is where the map shows it; where it is absent the lips meet at the seam.
    shown = np.clip(inner_height, 0, 1)
    top = shown * (inner_centre - inner_height / 2) + (1 - shown) * seam
    top = np.clip(top, outer_top, outer_bottom)
    bottom = np.clip(top + inner_height, top, outer_bottom)
    rows = [row.astype(np.float32) / side for row in (outer_top, top, bottom, outer_bottom)]
    corners = (left / side, right / side)
    return FaceCurves(rows[0], rows[1], rows[2], rows[3], chin / side, corners, nose / side, pose)


def upper_lip_share(raw: NDArray[np.uint8]) -> float | None:
    """How much of the lips of a raw map [S, S] is the upper lip; None where it shows no lips."""
    upper, lower = np.count_nonzero(raw == Raw.UPPER_LIP), np.count_nonzero(raw == Raw.LOWER_LIP)
    return upper / (upper + lower) if upper and lower else None


def unit_of(curves: FaceCurves) -> Rows:
    """The [S] positions 0..1 at which the curves are sampled."""
    side = len(curves.chin)
    return (np.arange(side, dtype=np.float32) + 0.5) / side


def _pose(region_map: RegionMap, nose: int) -> tuple[float, float, float]:
    """See `FaceCurves.pose`: means over the rows of the lower part of the nose."""
    side = region_map.shape[0]
    rows = region_map[max(0, nose - side // 8) : max(1, nose)]
    face, ridge = MOVING[rows], (rows == Region.NOSE).sum(0)
    if not face.any() or not ridge.any():
        return (0.2, 0.5, 0.8)
    rows_with_face = face[face.any(1)]
    left, right = rows_with_face.argmax(1).mean(), side - rows_with_face[:, ::-1].argmax(1).mean()
    middle = float((ridge * (np.arange(side) + 0.5)).sum() / ridge.sum())
    return (min(left, middle - 1) / side, middle / side, max(right, middle + 1) / side)


def _bottom_of(mask: NDArray[np.bool_], start: int) -> Rows:
    """[W] one past the last row of the run of `mask` that begins at row `start`; 0 where there is none."""
    start = min(start, mask.shape[0] - 1)  # a map may show nose down to its last row
    below = mask[start:]
    ends = ~below
    length = np.where(ends.any(0), ends.argmax(0), below.shape[0])
    return np.where(length > 0, start + length, 0).astype(np.float32)


def _centre_and_height(plane: NDArray[np.float32], at: Rows) -> tuple[Rows, Rows]:
    """Centroid row and height of `plane` at columns `at`, smoothed over about a pixel of columns."""
    rows = np.arange(plane.shape[0], dtype=np.float32)[:, None] + 0.5
    sums = np.stack([plane.sum(0), (plane * rows).sum(0)])
    sums = cv2.GaussianBlur(sums, (0, 0), sigmaX=1.0, sigmaY=0.01, borderType=cv2.BORDER_CONSTANT)
    columns = np.arange(plane.shape[1], dtype=np.float32) + 0.5
    height, moment = np.interp(at, columns, sums[0]), np.interp(at, columns, sums[1])
    return moment / np.maximum(height, 1e-6), height


def _runs(plane: NDArray[np.float32], at: Rows) -> tuple[Rows, Rows]:
    """First and last row of the run of `plane` at columns `at`."""
    centre, height = _centre_and_height(plane, at)
    return centre - height / 2, centre + height / 2
