"""The picture that explains a dub: source | region map | talking map | result, side by side."""

from __future__ import annotations

import cv2
import numpy as np

from segtalker.extract import aligned
from segtalker.faces.align import warp_image
from segtalker.regions import colourize
from segtalker.types import Affine, Image, RegionMap

PANEL_PX = 256
"""Side of one of the four panels."""


def dubbed_panels(
    source: Image, result: Image, crop_from_frame: Affine, region_map: RegionMap, talking_map: RegionMap
) -> Image:
    """Four panels [256, 1024, 3] of a frame with a new mouth; source and result are whole frames."""
    before, after = (aligned(image, crop_from_frame, PANEL_PX) for image in (source, result))
    return np.hstack([before, map_panel(region_map), map_panel(talking_map), after])


def passed_panels(source: Image) -> Image:
    """Four panels [256, 1024, 3] of a frame that passed through: the whole frame, and no maps."""
    height, width = source.shape[:2]
    scale = PANEL_PX / max(height, width)
    panel_from_frame = np.array(
        [[scale, 0.0, (PANEL_PX - scale * width) / 2], [0.0, scale, (PANEL_PX - scale * height) / 2]]
    )
    panel = warp_image(source, panel_from_frame, (PANEL_PX, PANEL_PX))
    return np.hstack([panel, np.zeros((PANEL_PX, 2 * PANEL_PX, 3), np.uint8), panel])


def map_panel(region_map: RegionMap, side: int = PANEL_PX) -> Image:
    """A region map [S, S] in the colours of the regions, [side, side, 3]."""
    drawn = cv2.resize(colourize(region_map), (side, side), interpolation=cv2.INTER_NEAREST)
    return np.asarray(drawn, np.uint8)
