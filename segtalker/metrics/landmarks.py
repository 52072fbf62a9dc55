"""How far the mouth of a drawn face is from where it should be (LMD of Chen et al. 2018, for region maps).

A region map shows the outline of the lips exactly, so the landmarks are read from it: they need no detector,
which would not work on small crops. They are ours, not dlib's: compare with figures of this function only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segtalker.metrics.mean import Mean
from segtalker.metrics.opening import INTER_OCULAR
from segtalker.regions import Region

NUM_LANDMARKS = 10
_COLUMNS = (0.25, 0.5, 0.75)


def mouth_landmarks(maps: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Points (x, y) in sides of the crop [T, 10, 2] of the mouths in region maps [T, S, S]; NaN without lips.

    Left and right corner; outer edge of the upper lip at 1/4, 1/2 and 3/4 of the way between them, of the
    lower lip there; upper and lower edge of the inner mouth in the middle (of a closed one: the middle of the
    lips).
    """
    return np.stack([_landmarks(region_map) for region_map in maps])


def landmark_distance(
    found: NDArray[np.floating], true: NDArray[np.floating], centred: bool = False, unit: float = INTER_OCULAR
) -> Mean:
    """Mean distance of points [T, P, 2] over frames, in units of `unit`.

    unit: in that of the points. For points in sides of the crop the default gives eye distances (0.246
    sides); with 1, the pixels of `FaceBackend.landmarks68` give F-LMD, and M-LMD over `points68.MOUTH`.
    centred: both sets of a frame are moved to their own mean first, so that only the mouth's shape counts.
    Frames in which either is NaN take no part; `count` says how many did.
    """
    if centred:
        found, true = (points - points.mean(axis=1, keepdims=True) for points in (found, true))
    return Mean.of(np.linalg.norm(found - true, axis=-1).mean(axis=-1) / unit)


def _landmarks(region_map: NDArray[np.uint8]) -> NDArray[np.float64]:
    side = region_map.shape[0]
    inner = region_map == Region.MOUTH
    lips = inner | (region_map == Region.LIP)
    columns = np.flatnonzero(lips.any(axis=0))
    if not len(columns):
        return np.full((NUM_LANDMARKS, 2), np.nan)
    left, right = int(columns[0]), int(columns[-1])
    points: list[tuple[float, float]] = [(left, np.flatnonzero(lips[:, left]).mean() + 0.5)]
    points += [(right + 1, np.flatnonzero(lips[:, right]).mean() + 0.5)]
    # The lips may part at a column between the corners: then the nearest one that shows them.
    places = [int(columns[np.abs(columns - (left + share * (right - left))).argmin()]) for share in _COLUMNS]
    edges = [np.flatnonzero(lips[:, column]) for column in places]
    points += [(column + 0.5, rows[0]) for column, rows in zip(places, edges, strict=True)]
    points += [(column + 0.5, rows[-1] + 1) for column, rows in zip(places, edges, strict=True)]
    middle, opening = places[1], np.flatnonzero(inner[:, places[1]])
    seam = (edges[1][0] + edges[1][-1] + 1) / 2
    top, bottom = (opening[0], opening[-1] + 1) if len(opening) else (seam, seam)
    points += [(middle + 0.5, top), (middle + 0.5, bottom)]
    return np.array(points, np.float64) / side
