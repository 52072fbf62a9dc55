"""The visible label: a line of text in the lower left corner, for viewers rather than for machines."""

from __future__ import annotations

import cv2

from segtalker.types import Image

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAP_HEIGHT_PX = 22
"""Height of a capital letter of this font at scale 1."""


def draw_label(image: Image, text: str) -> Image:
    """A copy of the frame [H, W, 3] with white text on a dark, half transparent bar.

    Letters are 3 % of the frame's shorter side, at least 9 px, and smaller where the text would not fit.
    """
    height, width = image.shape[:2]
    scale = max(9.0, 0.03 * min(height, width)) / _CAP_HEIGHT_PX
    (text_width, _), _ = cv2.getTextSize(text, _FONT, scale, 1)
    scale *= min(1.0, 0.9 * width / max(1, text_width))
    thickness = max(1, round(1.6 * scale))
    (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, thickness)
    pad = max(2, text_height // 2)
    top = max(0, height - text_height - below - 2 * pad)
    labelled = image.copy()
    bar = labelled[top:, : min(width, text_width + 2 * pad)]
    bar //= 2
    place = (pad, height - pad - below)
    cv2.putText(labelled, text, place, _FONT, scale, (255, 255, 255), thickness, cv2.LINE_AA)
    return labelled
