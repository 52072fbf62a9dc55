"""Similarities between frame and crop, and the only place where images are warped by them.

Points are continuous: the centre of pixel i is at i + 0.5. OpenCV counts pixel centres as integers;
`warp_image` converts, nothing else has to. Affines are float64 [2, 3] named target first: with
`crop_from_frame`, `apply_affine(crop_from_frame, points_frame)` gives points in the unit crop [0, 1]^2,
framed like FFHQ; `scale_affine(crop_from_frame, 512)` gives pixels of a 512-pixel crop.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.mesh import STABLE, mean_face
from segtalker.types import Affine

Border = Literal["constant", "replicate", "reflect"]

MAX_SUPERSAMPLING = 16
"""Warps that shrink more than this alias a little."""


def crop_from_landmarks(landmarks: NDArray[np.floating]) -> Affine:
    """The similarity frame -> unit crop of one face, from its mesh [468, 2] in frame pixels.

    Fitted on points that speech does not move, so the crop stays still while the jaw drops inside it.
    """
    return fit_similarity(landmarks[STABLE], mean_face()[STABLE, :2])


def fit_similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> Affine:
    """The similarity target <- source with the least squared error over points [N, 2] (Umeyama 1991).

    In the plane it has a closed form: with complex p (source) and q (target) about their means,
    q = c p, c = sum(conj(p) q) / sum(|p|^2). Mirroring is not among the solutions.
    """
    p = source[:, 0].astype(np.float64) + 1j * source[:, 1].astype(np.float64)
    q = target[:, 0].astype(np.float64) + 1j * target[:, 1].astype(np.float64)
    p_mean, q_mean = p.mean(), q.mean()
    spread = np.sum(np.abs(p - p_mean) ** 2)
    if spread == 0:
        raise ValueError("fit_similarity: all source points coincide")
    c = np.sum(np.conj(p - p_mean) * (q - q_mean)) / spread
    shift = q_mean - c * p_mean
    return np.array([[c.real, -c.imag, shift.real], [c.imag, c.real, shift.imag]])


def apply_affine(affine: Affine, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Points [..., 2] through an affine [2, 3], or through affines [T, 2, 3] with points [T, N, 2]."""
    return points @ np.swapaxes(affine[..., :2], -1, -2) + affine[..., None, :, 2].reshape(
        *affine.shape[:-2], *([1] if points.ndim > 1 else []), 2
    )


def invert_affine(affine: Affine) -> Affine:
    """`source_from_target` of `target_from_source`; [..., 2, 3]."""
    linear = np.linalg.inv(affine[..., :2])
    return np.concatenate([linear, -linear @ affine[..., 2:]], axis=-1)


def compose(c_from_b: Affine, b_from_a: Affine) -> Affine:
    """`c_from_a`; [..., 2, 3]."""
    linear = c_from_b[..., :2] @ b_from_a[..., :2]
    return np.concatenate([linear, c_from_b[..., :2] @ b_from_a[..., 2:] + c_from_b[..., 2:]], axis=-1)


def scale_affine(unit_from_source: Affine, size: float) -> Affine:
    """Map to a square of `size` pixels instead of the unit square; [..., 2, 3]."""
    return unit_from_source * float(size)


def affine_scale(affine: Affine) -> float:
    """Length in the target of a unit length in the source, sqrt(|det|)."""
    return float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))


def warp_image(
    image: NDArray,
    target_from_source: Affine,
    size: tuple[int, int],
    border: Border = "constant",
    nearest: bool = False,
) -> NDArray:
    """Resample an image [H, W] or [H, W, C] (uint8 or float32) into a target of `size` = (width, height).

    Bilinear; where the target is coarser than the source each target pixel is the mean of a grid of samples
    as dense as the source, so that a shrunk picture neither aliases nor flickers. `nearest` is for label
    maps.
    """
    import cv2

    if nearest:
        return _warp(image, target_from_source, size, border, cv2.INTER_NEAREST)
    scale = affine_scale(target_from_source)
    fine = min(MAX_SUPERSAMPLING, max(1, int(np.ceil(1.0 / max(scale, 1e-6) - 0.02))))
    if fine == 1:
        return _warp(image, target_from_source, size, border, cv2.INTER_LINEAR)
    fine_size = (size[0] * fine, size[1] * fine)
    samples = _warp(image, target_from_source * float(fine), fine_size, border, cv2.INTER_LINEAR)
    return cv2.resize(samples, size, interpolation=cv2.INTER_AREA)


def _warp(image: NDArray, affine: Affine, size: tuple[int, int], border: Border, flags: int) -> NDArray:
    import cv2

    modes = {
        "constant": cv2.BORDER_CONSTANT,
        "replicate": cv2.BORDER_REPLICATE,
        "reflect": cv2.BORDER_REFLECT,
    }
    # OpenCV's integer centres: x_cv = x - 0.5 on both sides, so the shift becomes A(0.5, 0.5) + b - 0.5.
    centred = np.array(affine, dtype=np.float64)
    centred[:, 2] += centred[:, :2] @ (0.5, 0.5) - 0.5
    return cv2.warpAffine(image, centred, size, flags=flags, borderMode=modes[border])
