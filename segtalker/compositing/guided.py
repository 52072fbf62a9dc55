"""The guided filter (He et al., 2010): weights whose edges follow the edges of a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]

_SHARP = 4e-4  # squared contrast (of 0..1) below which an edge of a grey guide is ignored
_SHARP_COLOUR = 1e-4  # three channels tell noise from edges better


def guided(weight: NDArray[np.floating], guide: NDArray[np.floating], radius: int) -> FloatImage:
    """The weight [H, W] filtered with a grey guide [H, W], both 0..1."""

    def mean(values: NDArray) -> NDArray:
        return cv2.blur(values, (2 * radius + 1, 2 * radius + 1))

    average, level = mean(weight), mean(guide)
    slope = (mean(weight * guide) - average * level) / (mean(guide * guide) - level * level + _SHARP)
    return np.asarray(mean(slope) * guide + mean(average - slope * level), np.float32)


def colour_line(weight: FloatImage, guide: FloatImage, radius: int) -> FloatImage:
    """[H, W, 4] such that weight = a . colour + b near each pixel: the slope a of each channel, and b.

    weight: [H, W]; guide: a picture [H, W, 3], 0..1 (eq. 19-21). The coefficients are smooth, so that they
    may be enlarged and used with the picture at its full size.
    """

    def mean(values: FloatImage) -> FloatImage:
        return np.asarray(cv2.blur(values, (2 * radius + 1, 2 * radius + 1)), np.float32)

    average, colour = mean(weight), mean(guide)
    line = np.zeros((*weight.shape, 4), np.float32)
    line[..., 3] = average
    busy = mean(weight * weight) - average * average > 1e-5  # elsewhere the slope is nothing
    if busy.any():
        products = np.stack([mean(guide * guide[..., i : i + 1])[busy] for i in range(3)], 1)
        centre = colour[busy]
        spread = products - centre[:, :, None] * centre[:, None] + _SHARP_COLOUR * np.eye(3, dtype=np.float32)
        together = mean(guide * weight[..., None])[busy] - centre * average[busy, None]
        slope = np.linalg.solve(spread, together[..., None])[..., 0]
        line[busy, :3] = slope
        line[busy, 3] -= (slope * centre).sum(-1)
    return mean(line)
