"""Texture edits: style codes of a region, blended with those of a reference.

Shape legend: R regions (12), L code layers, D style dim.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segtalker.regions import Region

Codes = NDArray[np.float32]

_TOGETHER = {Region.SKIN: (Region.SKIN, Region.NOSE, Region.EARS, Region.NECK)}


def covered(region: Region) -> tuple[Region, ...]:
    """The regions that take a look together: all bare skin, or else the region alone."""
    return _TOGETHER.get(region, (region,))


def blend_codes(codes_RLD: Codes, reference_RLD: Codes, regions: Sequence[Region], amount: float) -> Codes:
    """Codes with those of some regions moved towards a reference's: 0 as they are, 1 the reference's."""
    blended = codes_RLD.copy()
    rows = list(regions)
    blended[rows] += np.float32(amount) * (reference_RLD[rows] - codes_RLD[rows])
    return blended


def move_codes(codes_RLD: Codes, direction_RLD: Codes, regions: Sequence[Region], amount: float) -> Codes:
    """Codes with those of some regions moved along a direction."""
    moved = codes_RLD.copy()
    rows = list(regions)
    moved[rows] += np.float32(amount) * direction_RLD[rows]
    return moved
