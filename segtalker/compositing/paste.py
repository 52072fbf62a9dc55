"""Put a rendered mouth back into the source: compose the crop at the frame's own resolution, then paste it.

The network's crop may be far smaller than the face in the frame. The picture that is pasted is the source
itself, warped at the resolution of the face, plus the network's low-resolution change; only what the source
never showed (a mouth that was closed) comes at the network's resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.blend import PasteMode, paste_alpha
from segtalker.compositing.detail import DetailConfig, FloatImage, transfer_detail
from segtalker.compositing.warp import OVERHANG, FaceWarp, face_warp
from segtalker.faces.align import affine_scale, apply_affine, invert_affine, scale_affine, warp_image
from segtalker.regions import MOVING, merge_raw
from segtalker.types import Affine, Image, RegionMap


@dataclass(frozen=True)
class PasteConfig:
    """Knobs of paste-back. Lengths are parts of the side of the crop."""

    mode: PasteMode = "lower_face"
    feather: float = 0.025
    margin: float = 0.05
    detail: DetailConfig = field(default_factory=DetailConfig)
    detail_transfer: bool = True
    """Off: the network's picture is pasted as it is."""
    oversampling: float = 1.3
    """Crop pixels per frame pixel, so that two resamplings cost no sharpness."""
    max_size: int = 512
    """Largest crop that is composed, px."""


@dataclass(frozen=True)
class Uncovered:
    """Another frame of the track, aligned like the source, that shows what a rising jaw uncovers."""

    crop: Image
    """[H, H, 3]"""
    raw: NDArray[np.uint8]
    """[S, S]"""


def crop_size(crop_from_frame: Affine, network_size: int, cfg: PasteConfig | None = None) -> int:
    """Side of the crop to compose, px: that of the face in the frame, at least the network's.

    Rounded up to a multiple of 32. Take one size for a track (its largest), or sharpness pulses.
    """
    cfg = cfg or PasteConfig()
    wanted = cfg.oversampling / affine_scale(crop_from_frame)
    return int(max(network_size, min(cfg.max_size, 32 * np.ceil(wanted / 32))))


def compose(
    source_crop: Image,
    source_raw: NDArray[np.uint8],
    new_map: RegionMap,
    rendered_new: Image,
    rendered_source: Image,
    cfg: PasteConfig | None = None,
    uncovered: Uncovered | None = None,
    other_pose: bool = False,
) -> tuple[FloatImage, NDArray[np.float32]]:
    """The crop with its new mouth, float32 [H, H, 3] in 0..255, and its weight [H, H].

    source_crop: [H, H, 3] at `crop_size`; source_raw: its raw map [S, S]; new_map: talking map [S, S];
    rendered_new, rendered_source: the network's pictures [S, S, 3] of both maps, uint8 or float32 in 0..255;
    other_pose: the new map is not of the source's own frame (see `face_warp`).
    """
    cfg = cfg or PasteConfig()
    size = source_crop.shape[0]
    new, own = np.asarray(rendered_new, np.float32), np.asarray(rendered_source, np.float32)
    source = source_crop.astype(np.float32)
    if cfg.detail_transfer:
        warp = face_warp(source_raw, new_map, size, other_pose)
        picture = transfer_detail(source, warp, new, own, new_map, cfg.detail)
        if uncovered is not None:
            picture = _fill_uncovered(picture, source, source_raw, new_map, uncovered, warp)
    else:
        picture = np.asarray(cv2.resize(new, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
    alpha = paste_alpha(source_raw, new_map, cfg.mode, cfg.feather, cfg.margin)
    alpha = np.clip(cv2.resize(alpha, (size, size), interpolation=cv2.INTER_LINEAR), 0, 1)
    return np.clip(picture, 0, 255), alpha


def paste(frame: Image, crop: NDArray, alpha: NDArray[np.float32], crop_from_frame: Affine) -> Image:
    """The frame [H, W, 3] with the crop [S, S, 3] blended in by alpha [S, S]; a new array.

    Pixels that no positive weight reaches are those of `frame`, bit for bit.
    """
    result = frame.copy()
    size = crop.shape[0]
    frame_from_crop = invert_affine(scale_affine(crop_from_frame, size))
    box = _used_box(alpha, frame_from_crop, frame.shape[:2])
    if box is None:
        return result
    left, top, right, bottom = box
    local = frame_from_crop.copy()
    local[:, 2] -= (left, top)
    shape = (right - left, bottom - top)
    weight = warp_image(alpha, local, shape)[..., None]
    moved = warp_image(np.asarray(crop, np.float32), local, shape, border="replicate")
    old = frame[top:bottom, left:right]
    mixed = np.rint(old + weight * (moved - old))
    result[top:bottom, left:right] = np.where(weight > 0, np.clip(mixed, 0, 255), old).astype(np.uint8)
    return result


def frame_alpha(
    alpha: NDArray[np.float32], crop_from_frame: Affine, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """The weight [H, W] of the pasted crop in a frame of `shape` (height, width)."""
    frame_from_crop = invert_affine(scale_affine(crop_from_frame, alpha.shape[0]))
    return warp_image(alpha, frame_from_crop, (shape[1], shape[0]))


def _used_box(
    alpha: NDArray[np.float32], frame_from_crop: Affine, shape: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom in the frame of all that alpha can reach; None if it misses the frame."""
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    if not len(rows):
        return None
    x, y = (columns[0] - 1, columns[-1] + 2), (rows[0] - 1, rows[-1] + 2)
    corners = apply_affine(frame_from_crop, np.array([(a, b) for a in x for b in y], np.float64))
    left, top = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, (shape[1], shape[0]))
    return (int(left), int(top), int(right), int(bottom)) if left < right and top < bottom else None


def _fill_uncovered(
    picture: FloatImage,
    source: FloatImage,
    source_raw: NDArray[np.uint8],
    new_map: RegionMap,
    other: Uncovered,
    warp: FaceWarp,
) -> FloatImage:
    """Show what `other` saw below the chin, in the light of this frame, where the jaw has risen."""
    size, side = picture.shape[0], len(new_map)
    was_face, is_face = MOVING[merge_raw(source_raw)], MOVING[new_map]
    reach = 2 * round(OVERHANG * side) + 1
    hairs = cv2.dilate(MOVING[merge_raw(other.raw)].astype(np.uint8), np.ones((reach, reach), np.uint8))
    seen = hairs == 0
    unknown = cv2.resize(warp.trust, (side, side), interpolation=cv2.INTER_AREA) < 0.5
    bare = (was_face | unknown) & ~is_face & seen
    if not bare.any():
        return picture
    shared = cv2.resize((seen & ~was_face).astype(np.float32), (size, size))
    shared = shared * cv2.resize(cv2.dilate(bare.astype(np.float32), np.ones((9, 9))), (size, size))
    plate = cv2.resize(other.crop, (size, size)).astype(np.float32)
    if shared.sum() > 0:
        plate += ((source - plate) * shared[..., None]).sum((0, 1)) / shared.sum()
    weight = cv2.GaussianBlur(cv2.resize(bare.astype(np.float32), (size, size)), (0, 0), size / 128)[
        ..., None
    ]
    return picture + weight * (plate - picture)
