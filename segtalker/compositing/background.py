"""Put another background behind the person of a frame: free of the old one's colours, in the new one's light.

Where a matte is 1, a pixel is the person's own; at soft edges the person's colour is estimated without the
old background, which would otherwise show as a halo.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.guided import FloatImage
from segtalker.types import Image

_SCALES = ((256, 12), (640, 6))  # longer side and radius of colour estimation, pixels, from coarse to fine
_LIGHT_POWER, _TINT_POWER = 0.3, 0.15  # of the ratio of two backgrounds' brightness and tint, at most
_LIGHT_FLOOR = 32.0  # levels added to both, so that black gives no infinite ratio
_LIGHT_RANGE = (0.75, 1.25)
_LEAK = 0.006  # of the longer side: how near the person the old background is not trusted
_SURE = 3  # times that a matte is squared, so that the mixed colours of soft pixels count for little
_DOUBT = 1e-3  # weight of the old background's estimate, for where nothing else is near
_LEAST = 0.002  # share of the frame below which a background says nothing about light
_FINE = 3.0  # standard deviations above this, in pixels, are blurred at a smaller size


def cover(picture: Image, size: tuple[int, int]) -> Image:
    """A picture [h, w, 3] scaled and cut to fill (width, height), its centre kept."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = max(size[0] / width, size[1] / height)
    cut = [min(length, round(wanted / scale)) for length, wanted in ((width, size[0]), (height, size[1]))]
    left, top = (width - cut[0]) // 2, (height - cut[1]) // 2
    part = picture[top : top + cut[1], left : left + cut[0]]
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))


@dataclass(frozen=True)
class Layers:
    """What a frame [H, W, 3] is blended of by its matte; a layer means nothing where the other is alone."""

    matte: FloatImage
    """[H, W], 0..1."""
    person: FloatImage
    old: FloatImage

    @property
    def edge(self) -> NDArray[np.bool_]:
        """[H, W] pixels that are of both."""
        return (self.matte > 0) & (self.matte < 1)


def separate(image: Image, matte: FloatImage) -> Layers:
    """Colours of person and background whose blend by the matte [H, W] is the frame [H, W, 3].

    Blur-fusion (Forte, arXiv 2006.14970), from coarse to fine: means of the known colours around, then what
    these leave of the frame is shared out.
    """
    frame = image.astype(np.float32)
    person = old = frame
    for longest, radius in _SCALES:
        scale = min(1.0, longest / max(matte.shape))
        size = (max(1, round(matte.shape[1] * scale)), max(1, round(matte.shape[0] * scale)))
        small, share = _resized(frame, size), _resized(matte, size)
        person, old = (
            _mean(_resized(person, size), share, radius),
            _mean(_resized(old, size), 1 - share, radius),
        )
        person = _share_out(small, share, person, old)
    full = (matte.shape[1], matte.shape[0])
    layers = Layers(matte, _resized(person, full), _resized(old, full))
    edge = layers.edge
    layers.person[edge] = _share_out(frame[edge], matte[edge], layers.person[edge], layers.old[edge])
    layers.old[matte <= 0] = frame[matte <= 0]
    return layers


def place(
    image: Image, layers: Layers, behind: Image | FloatImage, light: float = 0.0, amount: float = 1.0
) -> Image:
    """The person of a frame [H, W, 3] in front of `behind` [H, W, 3]; a new array.

    light: how far the light on the person follows the new background, 0..1; at 0, pixels whose matte is 1
    stay as they are. amount: 0 is the frame itself, bit for bit.
    """
    if amount <= 0:
        return image.copy()
    gain = light_gain(layers, behind, light)
    lit = np.stack([_table(factor)[image[..., channel]] for channel, factor in enumerate(gain)], -1)
    result = np.where(layers.matte[..., None] >= 1, lit, _rounded(behind))
    edge = layers.edge
    share = layers.matte[edge][:, None]
    result[edge] = _rounded(share * gain * layers.person[edge] + (1 - share) * behind[edge])
    return (
        result if amount >= 1 else _rounded(image + np.float32(amount) * (result.astype(np.float32) - image))
    )


def blurred(image: Image, layers: Layers, deviation: float) -> FloatImage:
    """The background [H, W, 3] of a frame out of focus; nothing of the person bleeds into it.

    deviation: of the Gaussian, in pixels.
    """
    reach = 2 * max(1, round(_LEAK * max(layers.matte.shape))) + 1
    near = cv2.dilate(layers.matte, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    trust, doubt = np.asarray(1 - near, np.float32), np.float32(_DOUBT)
    soft = _gaussian(trust[..., None] * image, deviation) + doubt * layers.old
    return np.asarray(soft / (_gaussian(trust, deviation) + doubt)[..., None], np.float32)


def light_gain(layers: Layers, new: Image | FloatImage, light: float) -> FloatImage:
    """Factor [3] by which the person's colours follow the change of the background, within modest bounds."""
    share = 1 - layers.matte
    if light <= 0 or share.mean() < _LEAST:
        return np.ones(3, np.float32)
    before, after = (cv2.mean(share[..., None] * picture)[:3] for picture in (layers.old, new))
    level = np.array([before, after]) / share.mean() + _LIGHT_FLOOR
    brightness = level[1].mean() / level[0].mean()
    tint = level[1] / level[0] / brightness
    gain = brightness ** (light * _LIGHT_POWER) * tint ** (light * _TINT_POWER)
    return np.clip(gain, *_LIGHT_RANGE).astype(np.float32)


def plain(colour: tuple[int, int, int], size: tuple[int, int]) -> Image:
    """A picture of one colour that fills (width, height)."""
    return np.full((size[1], size[0], 3), colour, np.uint8)


def _share_out(frame: FloatImage, matte: FloatImage, person: FloatImage, old: FloatImage) -> FloatImage:
    """The person's colours [..., 3]: what estimates of both layers leave of the frame is added to them."""
    share = matte[..., None]
    return np.clip(person + share * (frame - old - share * (person - old)), 0, 255)


def _mean(picture: FloatImage, share: FloatImage, radius: int) -> FloatImage:
    """Mean colours [H, W, 3] around each pixel of what is surely a layer; of all where nothing is."""
    weight = share
    for _ in range(_SURE):
        weight = weight * weight
    reach = (2 * radius + 1, 2 * radius + 1)
    total = cv2.blur(picture * weight[..., None], reach, borderType=cv2.BORDER_REPLICATE)
    sums = cv2.blur(weight, reach, borderType=cv2.BORDER_REPLICATE)[..., None]
    everywhere = np.float32(1e-5) * np.array(cv2.mean(picture)[:3], np.float32)
    return np.asarray((total + everywhere) / (sums + np.float32(1e-5)), np.float32)


def _table(factor: float) -> NDArray[np.uint8]:
    return _rounded(np.arange(256, dtype=np.float32) * factor)


def _rounded(values: NDArray) -> Image:
    return values if values.dtype == np.uint8 else np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _gaussian(values: FloatImage, deviation: float) -> FloatImage:
    """A Gaussian blur of [H, W] or [H, W, 3]; wide ones at a smaller size, which nobody can tell."""
    height, width = values.shape[:2]
    factor = max(1, int(deviation / _FINE))
    small = _resized(values, (max(1, width // factor), max(1, height // factor)))
    soft = cv2.GaussianBlur(small, (0, 0), deviation / factor, borderType=cv2.BORDER_REPLICATE)
    return _resized(np.asarray(soft, np.float32), (width, height))


def _resized(values: FloatImage, size: tuple[int, int]) -> FloatImage:
    method = cv2.INTER_AREA if size[0] < values.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size, interpolation=method), np.float32)
