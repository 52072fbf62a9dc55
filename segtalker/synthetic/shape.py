"""Faces of different people: the mean mesh under semantic and smooth random deformations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.mesh import mean_face

Mesh = NDArray[np.float64]


def bump(value: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    """exp(-((value - centre) / width)^2), 1 at the centre."""
    return np.exp(-(((value - centre) / width) ** 2))


def smoothstep(value: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """0 below `low`, 1 above `high` (either order), smooth between."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def random_mesh(rng: np.random.Generator, strength: float = 1.0) -> Mesh:
    """A neutral face [468, 3] in about the unit crop; `strength` 0 is the mean face."""
    mesh = mean_face().astype(np.float64)
    draw = np.clip(rng.standard_normal(24), -2.0, 2.0) * strength
    mesh = _head_form(mesh, draw[:6])
    mesh = _nose(mesh, draw[6:9])
    mesh = _eyes_and_brows(mesh, draw[9:16])
    mesh = _mouth(mesh, draw[16:22])
    return mesh + _smooth_field(mesh, rng, strength)


def _head_form(mesh: Mesh, a: NDArray[np.float64]) -> Mesh:
    x, y, z = mesh.T
    u = x - 0.5
    outer = smoothstep(np.abs(u), 0.10, 0.26)
    scale = (
        1 + 0.055 * a[0] * outer + 0.09 * a[1] * smoothstep(y, 0.62, 0.85) * smoothstep(np.abs(u), 0.03, 0.2)
    )
    cheek = 0.014 * a[2] * np.sign(u) * bump(y, 0.64, 0.1) * bump(np.abs(u), 0.22, 0.08)
    down = 0.026 * a[3] * smoothstep(y, 0.76, 0.89) - 0.022 * a[4] * smoothstep(y, 0.40, 0.28)
    depth = -0.02 * a[5] * bump(y, 0.87, 0.07) * bump(u, 0.0, 0.1)
    return np.stack([0.5 + u * scale + cheek, y + down, z + depth], axis=1)


def _nose(mesh: Mesh, a: NDArray[np.float64]) -> Mesh:
    x, y, z = mesh.T
    u = x - 0.5
    near = bump(u, 0.0, 0.085)
    width = 1 + 0.17 * a[0] * bump(y, 0.62, 0.055) * near
    down = 0.017 * a[1] * bump(y, 0.635, 0.055) * near
    return np.stack([0.5 + u * width, y + down, z - 0.02 * a[2] * bump(y, 0.6, 0.08) * near], axis=1)


def _eyes_and_brows(mesh: Mesh, a: NDArray[np.float64]) -> Mesh:
    x, y, z = mesh.T
    u, side = x - 0.5, np.sign(x - 0.5)
    out = np.abs(u) - 0.128
    eye = bump(out, 0.0, 0.08) * bump(y, 0.469, 0.045)
    brow = bump(y, 0.405, 0.035) * smoothstep(np.abs(u), 0.26, 0.2)
    new_out = out * (1 + 0.08 * a[1] * eye) + 0.009 * a[0] * eye
    new_y = 0.469 + (y - 0.469) * (1 + 0.20 * a[2] * eye) - 0.12 * a[3] * out * eye
    new_y = new_y - (0.010 * a[4] + 0.13 * a[5] * out) * brow + 0.15 * a[6] * (y - 0.4) * brow
    new_x = np.where(np.abs(u) > 0.02, 0.5 + side * (new_out + 0.128), x)
    return np.stack([new_x, new_y, z], axis=1)


def _mouth(mesh: Mesh, a: NDArray[np.float64]) -> Mesh:
    x, y, z = mesh.T
    u, v = x - 0.5, y - 0.722
    near = bump(np.maximum(0.0, np.abs(u) - 0.08), 0.0, 0.06) * bump(v, 0.0, 0.06)
    thick = np.where(v < 0, 1 + 0.28 * a[2] * near, 1 + 0.28 * a[3] * near)
    curve = 0.007 * a[4] * (u / 0.1) ** 2 * bump(np.abs(u), 0.08, 0.06) * near
    new_x = 0.5 + u * (1 + 0.11 * a[0] * near)
    return np.stack([new_x, 0.722 + v * thick + 0.010 * a[1] * near + curve, z - 0.006 * a[5] * near], axis=1)


def _smooth_field(mesh: Mesh, rng: np.random.Generator, strength: float) -> Mesh:
    """Sum of 14 Gaussian pushes, mostly the same on both sides of the face."""
    mirrored = mesh * (-1, 1, 1) + (1, 0, 0)
    field = np.zeros_like(mesh)
    for _ in range(14):
        centre = np.array([rng.uniform(0.24, 0.76), rng.uniform(0.3, 0.88), 0.0])
        push = rng.normal(0.0, (0.004, 0.004, 0.006)) * strength
        width = rng.uniform(0.06, 0.14)
        field += push * np.exp(-((mesh - centre)[:, :2] ** 2).sum(1) / width**2)[:, None]
        twin = np.exp(-((mirrored - centre)[:, :2] ** 2).sum(1) / width**2)[:, None]
        field += 0.8 * push * (-1, 1, 1) * twin
    return field
