"""Expressions of a face mesh: mesh(t) = neutral + sum_k coefficient_k(t) basis_k; lips never cross."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.mesh import EYE_L, EYE_R, INNER_CORNERS, INNER_PAIRS, mean_face
from segtalker.synthetic.motion import Motion
from segtalker.synthetic.shape import Mesh, bump, smoothstep

_EYE_UPPER = {  # upper lid point -> lower lid point that it meets in a blink
    upper: lower
    for contour in (EYE_L, EYE_R)
    for lower, upper in zip(contour[1:8], contour[:8:-1], strict=True)
}
_LID_CREASE = (247, 30, 29, 27, 28, 56, 190, 467, 260, 259, 257, 258, 286, 414)
_UPPER_SHARE, _LOWER_SHARE = 0.2, 0.8


def expression_basis(neutral: Mesh) -> NDArray[np.float64]:
    """Displacements [8, 468, 3] of the mesh `neutral`, in the order of `expression_coefficients`.

    Weights come from where a point lies on the mean face, so that they mean the same on every person.
    """
    x, y, _ = mean_face().astype(np.float64).T
    u, v = x - 0.5, y - 0.7215
    lips = bump(np.maximum(0.0, np.abs(u) - 0.09), 0.0, 0.05) * bump(v, 0.0, 0.055)
    own_u, own_v = neutral[:, 0] - 0.5, neutral[:, 1] - neutral[[13, 14], 1].mean()
    zero = np.zeros(len(neutral))
    basis = [
        _opening(u, v, own_u * lips),
        np.stack([0.15 * own_u * lips, -0.10 * own_v * lips, 0.004 * lips], axis=1),
        np.stack([-0.20 * own_u * lips, 0.14 * own_v * lips, -0.035 * lips], axis=1),
        np.stack([zero, -0.30 * own_v * lips, 0.006 * lips], axis=1),
        _bite(u, v, own_v, lips),
        _smile(u, y),
        _blink(neutral),
        np.stack([zero, -0.020 * bump(y, 0.40, 0.04) * smoothstep(np.abs(u), 0.27, 0.2), zero], axis=1),
    ]
    return np.stack(basis)


def expression_coefficients(motion: Motion, gap: float) -> NDArray[np.float64]:
    """Coefficients [T, 8] of `motion` for a person whose widest lip gap is `gap` (unit crop)."""
    columns = (
        motion.opening * gap, motion.width, motion.protrusion, motion.press, motion.bite, motion.smile,
        motion.blink, motion.brow,
    )  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float64)


def express(neutral: Mesh, motion: Motion, gap: float) -> NDArray[np.float64]:
    """Meshes [T, 468, 3] of the moving face, before the head turns."""
    basis, coefficients = expression_basis(neutral), expression_coefficients(motion, gap)
    meshes = neutral + np.tensordot(coefficients, basis, axes=1)
    lower, upper = np.array(INNER_PAIRS).T
    crossing = meshes[:, lower, 1] < meshes[:, upper, 1]
    middle = 0.5 * (meshes[:, lower] + meshes[:, upper])
    meshes[:, lower] = np.where(crossing[..., None], middle, meshes[:, lower])
    meshes[:, upper] = np.where(crossing[..., None], middle, meshes[:, upper])
    return meshes


def lip_gap(meshes: NDArray[np.float64]) -> NDArray[np.float32]:
    """True opening [T]: distance of the middle inner lip points of meshes [T, 468, 3], unit crop."""
    return np.linalg.norm(meshes[:, 13] - meshes[:, 14], axis=-1).astype(np.float32)


def _opening(u: NDArray[np.float64], v: NDArray[np.float64], lips_u: NDArray[np.float64]) -> Mesh:
    """Unit gap: the upper lip rises a little, the lower lip and the chin go down with the jaw."""
    arch = np.clip(1.0 - (u / 0.104) ** 2, 0.0, 1.0) ** 0.6
    jaw = smoothstep(v, -0.02, 0.07) * (1 - 0.75 * smoothstep(np.abs(u), 0.1, 0.28))
    lower_lip = arch * bump(np.maximum(0.0, v - 0.03), 0.0, 0.03) * (v > 1e-4)
    down = _LOWER_SHARE * np.maximum(jaw * (v > 1e-4), lower_lip)
    up = _UPPER_SHARE * arch * bump(v, 0.0, 0.035) * (v <= 1e-4)
    for lower, upper in INNER_PAIRS:  # they coincide on the mean face
        down[lower], up[lower] = _LOWER_SHARE * arch[lower], 0.0
        down[upper], up[upper] = 0.0, _UPPER_SHARE * arch[upper]
    for corner in (*INNER_CORNERS, 61, 291):
        down[corner], up[corner] = 0.18, 0.0
    return np.stack([-0.8 * lips_u, down - up, 0.3 * down], axis=1)


def _bite(
    u: NDArray[np.float64], v: NDArray[np.float64], own_v: NDArray[np.float64], lips: NDArray[np.float64]
) -> Mesh:
    lower = (v > 1e-4) * lips
    for low, high in INNER_PAIRS:
        lower[low], lower[high] = lips[low], 0.0
    arch = np.clip(1.0 - (u / 0.104) ** 2, 0.0, 1.0) ** 0.6
    return np.stack(
        [0 * u, -(0.006 + 0.18 * np.maximum(own_v, 0)) * lower * arch, 0.014 * lower * arch], axis=1
    )


def _smile(u: NDArray[np.float64], y: NDArray[np.float64]) -> Mesh:
    corner = bump(np.abs(u), 0.107, 0.05) * bump(y, 0.718, 0.045)
    cheek = bump(np.abs(u), 0.17, 0.07) * bump(y, 0.62, 0.06)
    return np.stack(
        [0.016 * np.sign(u) * corner, -0.014 * corner - 0.008 * cheek, 0.006 * corner - 0.006 * cheek], 1
    )


def _blink(neutral: Mesh) -> Mesh:
    shift = np.zeros_like(neutral)
    for upper, lower in _EYE_UPPER.items():
        shift[upper] = 0.94 * (neutral[lower] - neutral[upper])
    opening = np.linalg.norm(neutral[145] - neutral[159])
    shift[list(_LID_CREASE), 1] += 0.35 * opening
    return shift
