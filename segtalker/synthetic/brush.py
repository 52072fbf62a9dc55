"""Masks and compositing on float32 pictures in linear light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.types import Affine

Picture = NDArray[np.float32]


def polygon_mask(points: NDArray[np.float64], shape: tuple[int, int]) -> Picture:
    """Coverage [H, W] in 0..1 of a polygon [N, 2] in pixels, with smooth edges."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [fixed_point(points)], (255,), cv2.LINE_AA, 4)
    return mask.astype(np.float32) * np.float32(1 / 255)


def fixed_point(points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Points in pixels (centres at +0.5) as OpenCV's fixed-point numbers with 4 fraction bits."""
    return np.round((points - 0.5) * 16).astype(np.int32)


def gaussian(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur; `sigma` in pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def view(picture: Picture, pixels: Affine, plane_from_picture: Affine, shape: tuple[int, int]) -> Picture:
    """A texture on a plane, seen through `pixels` (plane -> pixels, centres at +0.5)."""
    linear_part = pixels[:, :2] @ plane_from_picture[:, :2]
    shift = pixels[:, :2] @ plane_from_picture[:, 2] + pixels[:, 2] - 0.5
    matrix = np.concatenate([linear_part, shift[:, None]], axis=1)
    seen = cv2.warpAffine(picture, matrix, shape[::-1], borderMode=cv2.BORDER_REFLECT)
    return np.asarray(seen, np.float32)


def blend(canvas: Picture, mask: Picture, colour: NDArray[np.float32]) -> None:
    """Lay `colour` (a picture or one colour) over the canvas where the mask is, in place."""
    part = _extent(mask)
    patch = canvas[part]
    patch += mask[part][..., None] * ((colour[part] if colour.ndim == 3 else colour) - patch)


def darken(canvas: Picture, share: Picture, amount: float) -> None:
    """Multiply by 1 - amount * share, in place."""
    part = _extent(share)
    canvas[part] *= (1 - np.float32(amount) * share[part])[..., None]


def soft_shadow(mask: Picture, down: float, sigma: float) -> Picture:
    """The mask moved down by `down` pixels and blurred: the shadow of what lies close above."""
    rows = round(down)
    moved = np.zeros_like(mask)
    moved[rows:] = mask[: len(mask) - rows] if rows else mask
    small = np.asarray(cv2.resize(moved, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), np.float32)
    blurred = gaussian(small, max(0.3, sigma / 4))
    return np.asarray(cv2.resize(blurred, mask.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def frayed(mask: Picture, hair: Picture, unit: float) -> Picture:
    """A hair mask whose border frays along the strands of the picture `hair`; `unit` is the face's scale."""
    soft = gaussian(mask, max(0.7, 0.008 * unit))
    level = hair[..., 1]
    strand = level / np.maximum(np.asarray(cv2.blur(level, (9, 9)), np.float32), 1e-4) - 1
    return np.clip((soft - 0.5 + 0.25 * np.clip(strand, -1, 1)) * 3.0 + 0.5, 0, 1)


def _extent(mask: Picture) -> tuple[slice, slice]:
    """Rows and columns that hold everything above 1/500 of a mask [H, W]."""
    x, y, width, height = cv2.boundingRect((mask > 0.002).astype(np.uint8))
    return slice(y, y + height), slice(x, x + width)
