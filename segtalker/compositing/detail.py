"""Detail transfer: skin keeps its pores at any network size, and the mouth alone is synthesized.

With the renderer G, source picture I and map M, talking map M' and the warp W from M to M':

    out = G(M') + trust * W(I - G(M))

What the network lost on the source frame is carried to the new map and added back, faded where the source
does not show what the map asks for. Written as W(I) + [G(M') - W(G(M))] it says the same about trusted skin:
the warped source, plus what the network changes. That change is smoothed on skin, where a small network has
nothing sharp to say, and keeps its edges on the lips and in the mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.warp import FaceWarp
from segtalker.regions import Region
from segtalker.types import RegionMap

FloatImage = NDArray[np.float32]


@dataclass(frozen=True)
class DetailConfig:
    """How much of the source comes back. Lengths are parts of the side of the crop."""

    strength: float = 1.0
    """0 is the network's picture as it is, 1 returns all that the source shows."""
    colour_radius: float = 0.06
    """Reach of the colour correction of what the source does not show."""
    lip_change: float = 0.5
    """How much of what the network changes on the lips is kept."""
    skin_change: float = 0.5
    """The same on skin, of its smooth part."""
    skin_radius: float = 0.03
    """How smooth."""


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
    lost = _resize(source, small) - rendered_source
    moved_render = _resize(warp(_resize(rendered_source, size)), small)
    trust_small = _resize(warp.trust, small)
    change = rendered_new - moved_render
    lips = _soft(np.isin(new_map, (Region.LIP, Region.MOUTH)).astype(np.float32), 1.0)[..., None]
    skin_change = cfg.skin_change * _weighted_blur(change, trust_small, cfg.skin_radius * small)
    change = lips * cfg.lip_change * change + (1 - lips) * skin_change
    # What the source does not show takes the network's picture in the colours of its surroundings.
    colour = _weighted_blur(_resize(warp(_resize(lost, size)), small), trust_small, cfg.colour_radius * small)
    invented = rendered_new + cfg.strength * colour
    kept = warp(source, cv2.INTER_CUBIC) + _resize(change, size)
    trust = (_soft(warp.trust, size / 200) * warp.trust)[..., None] * cfg.strength
    return trust * kept + (1 - trust) * _resize(invented, size)


def _weighted_blur(picture: FloatImage, weight: FloatImage, sigma: float) -> FloatImage:
    """Gaussian mean of `picture` [H, W, 3] over the pixels that `weight` [H, W] trusts."""
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
