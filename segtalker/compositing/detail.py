"""Detail transfer: skin keeps its pores at any network size, and the mouth alone is synthesized.

With the renderer G, source picture I and map M, talking map M' and the warp W from M to M', there are two
pictures of the new map: the warped source W(I), and the network's G(M') in the source's colours. Each errs.
How far the network errs is seen on the source, as I - G(M); where the two pictures differ by more than that,
the warp must be wrong. Weighted by the inverse variances a and b of independent errors of network and warp,
the warped source has the share a / (a + b), and a + b is the squared difference itself.

So an unfitted network changes little but the mouth, a network that knows the person corrects the warp where
it slips, and what the source does not show is the network's alone. Face and surroundings are judged each by
their own errors: a network errs by far more on scenery that moves behind a head than on the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.blend import FACE
from segtalker.compositing.warp import FaceWarp
from segtalker.regions import Region
from segtalker.types import RegionMap

FloatImage = NDArray[np.float32]


@dataclass(frozen=True)
class DetailConfig:
    """How much of the source comes back. Lengths are parts of the side of the crop."""

    strength: float = 1.0
    """0 is the network's picture as it is, 1 returns all that the source shows."""
    colour_radius: float = 0.1
    """Reach of the colour correction of the network's picture."""
    radius: float = 0.04
    """Reach over which errors are averaged."""
    tolerance: float = 1.1
    """Times the network's own squared error by which the pictures may differ before the warp is doubted."""


def transfer_detail(
    source: FloatImage,
    warp: FaceWarp,
    rendered_new: FloatImage,
    rendered_source: FloatImage,
    new_map: RegionMap,
    cfg: DetailConfig | None = None,
) -> FloatImage:
    """Picture of the new map with the source's texture, float32 [H, H, 3] in 0..255.

    source: [H, H, 3]; warp: of size H; rendered_*: [S, S, 3], S <= H, of the new and of the source's own map;
    new_map: [S, S]. All float32 in 0..255.
    """
    cfg = cfg or DetailConfig()
    size, small = source.shape[0], rendered_new.shape[0]
    trust, face = _resize(warp.trust, small), FACE[new_map].astype(np.float32)
    moved = warp(source, cv2.INTER_CUBIC)
    moved_small = _resize(moved, small)
    lost = moved_small - _resize(warp(_resize(rendered_source, size)), small)
    colour = _sided_blur(lost, trust, face, cfg.colour_radius * small)
    drawn = rendered_new + cfg.strength * colour
    errors = np.dstack([np.square(lost - colour).mean(axis=2), np.square(moved_small - drawn).mean(axis=2)])
    own_error, difference = np.moveaxis(_sided_blur(errors, None, face, cfg.radius * small), 2, 0)
    share = np.clip(cfg.tolerance * own_error / np.maximum(difference, 1e-3), 0, 1).astype(np.float32)
    # Texture that is too fine for the network comes from the source even where the warp slips, but not on
    # lips and teeth, whose edges would be seen twice.
    lips = _soft(np.isin(new_map, (Region.LIP, Region.MOUTH)).astype(np.float32), 1.0)
    texture = _resize(np.maximum(share, 1 - lips), size)[..., None] * (moved - _resize(moved_small, size))
    share, shown = _resize(share, size)[..., None], _resize(moved_small - drawn, size)
    kept = (_soft(warp.trust, size / 200) * warp.trust)[..., None] * cfg.strength
    return np.asarray(_resize(drawn, size) + kept * (share * shown + texture), np.float32)


def _sided_blur(picture: FloatImage, weight: FloatImage | None, side: FloatImage, sigma: float) -> FloatImage:
    """Gaussian means of `picture` [H, W, C], in the pixels of `side` [H, W] (0 or 1) and in the others apart.

    weight: [H, W] how much each pixel counts; None for all alike. Between both lies a pixel of both.
    """
    weight = np.ones_like(side) if weight is None else weight
    within, beyond = (_weighted_blur(picture, weight * part, sigma) for part in (side, 1 - side))
    share = _soft(side, 0.7)[..., None]
    return share * within + (1 - share) * beyond


def _weighted_blur(picture: FloatImage, weight: FloatImage, sigma: float) -> FloatImage:
    """Gaussian mean of `picture` [H, W, C] over the pixels that `weight` [H, W] trusts."""
    weights = _soft(weight, sigma)[..., None]
    blurred = _soft(picture * weight[..., None], sigma) / np.maximum(weights, 1e-3)
    return blurred.astype(np.float32)


def _soft(picture: FloatImage, sigma: float) -> FloatImage:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def _resize(picture: FloatImage, size: int) -> FloatImage:
    if picture.shape[0] == size:
        return picture
    smaller = size < picture.shape[0]
    interpolation = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size, size), interpolation=interpolation), np.float32)
