"""The edge of what a method pasted, found without knowing where it pasted."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.blend import seam
from segtalker.types import Image

LEAST_CHANGE = 8.0
"""Levels of 255: smaller differences are taken for the codec's."""
_SMALLEST = 0.002
"""Share of the picture; smaller spots are no paste."""
_REACH = 2  # pixels of the edge on either side


def changed_area(before: Image, after: Image) -> NDArray[np.bool_]:
    """Where a picture [S, S, 3] was painted over [S, S]: what differs, without spots or holes."""
    apart = np.abs(after.astype(np.float32) - before).mean(axis=-1)
    changed = (cv2.medianBlur(apart, 3) > LEAST_CHANGE).astype(np.uint8)
    side = changed.shape[0]
    reach = 2 * max(1, side // 32) + 1
    closed = cv2.morphologyEx(
        changed, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    )
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    large = [outline for outline in outlines if cv2.contourArea(outline) >= _SMALLEST * changed.size]
    return cv2.drawContours(np.zeros_like(changed), large, -1, 1, cv2.FILLED).astype(bool)


def change_seam(before: Image, after: Image) -> float:
    """`blend.seam` along the edge of `changed_area`, levels of 255; 0 where nothing was painted over.

    Within two pixels of the edge, where a hard step of d levels reads about d / 4 and an invisible one stays
    under the noise. before: the picture that the method was given, cut like `after`. What moved by itself
    between the two counts as painted over, so compare methods on the same videos only.
    """
    area = changed_area(before, after).astype(np.uint8)
    kernel = np.ones((2 * _REACH + 1,) * 2, np.uint8)
    edge = cv2.dilate(area, kernel) - cv2.erode(area, kernel)
    return seam(before, after, np.where(edge > 0, 0.25, 0.0).astype(np.float32))
