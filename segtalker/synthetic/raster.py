"""Paints a triangle mesh: which triangle covers each pixel, and where in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix


def vertex_normals(points: NDArray[np.float64], triangles: NDArray[np.int32]) -> NDArray[np.float32]:
    """Unit normals [V, 3] of `points` [V, 3], area-weighted over the triangles [M, 3] around each vertex."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    count = len(triangles)
    incidence = csr_matrix(
        (np.ones(3 * count), (triangles.T.ravel(), np.tile(np.arange(count), 3))), (len(points), count)
    )
    normals = incidence @ faces
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def rasterize(
    points: NDArray[np.float64],
    depth: NDArray[np.float64],
    triangles: NDArray[np.int32],
    width: int,
    height: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Pixels that the front-facing triangles cover.

    points: [V, 2] pixels; depth: [V], smaller is nearer; triangles: [M, 3], front-facing where their picture
    has positive orientation. Returns flat pixel indices [P] (each once), triangle indices [P] and barycentric
    weights [P, 3]. Nearer triangles win; triangles of one size class are compared by their mean depth.
    """
    corners, corner_depth = points[triangles], depth[triangles].astype(np.float32)
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0]
    low = np.ceil(corners.min(1) - 0.5).astype(np.int64)
    high = np.floor(corners.max(1) - 0.5).astype(np.int64)
    span = (high - low).max(1) + 1
    visible = (area > 1e-9) & (high >= 0).all(1) & (low[:, 0] < width) & (low[:, 1] < height) & (span > 0)
    order = np.flatnonzero(visible)
    order = order[np.argsort(-corner_depth[order].mean(1), kind="stable")]
    nearest = np.full(width * height, np.inf, np.float32)
    owner = np.full(width * height, -1, np.int64)
    weights = np.zeros((width * height, 3), np.float32)
    size_class = np.ceil(np.log2(np.maximum(span[order], 2))).astype(int)
    for size in np.unique(size_class):
        chosen = order[size_class == size]
        side = np.arange(1 << size)
        x = (low[chosen, 0, None, None] + side[None, None, :]).astype(np.float64)
        y = (low[chosen, 1, None, None] + side[None, :, None]).astype(np.float64)
        dx = x + 0.5 - corners[chosen, 0, 0][:, None, None]
        dy = y + 0.5 - corners[chosen, 0, 1][:, None, None]
        e1, e2, total = edge1[chosen, :, None, None], edge2[chosen, :, None, None], area[chosen, None, None]
        b1 = (dx * e2[:, 1] - dy * e2[:, 0]) / total
        b2 = (dy * e1[:, 0] - dx * e1[:, 1]) / total
        b0 = 1 - b1 - b2
        inside = (b0 >= -1e-9) & (b1 >= -1e-9) & (b2 >= -1e-9)
        inside &= (x >= 0) & (x < width) & (y >= 0) & (y < height)
        which, row, column = np.nonzero(inside)
        pixel = (low[chosen, 1][which] + row) * width + low[chosen, 0][which] + column
        bary = np.stack([b[inside] for b in (b0, b1, b2)], axis=1).astype(np.float32)
        z = np.einsum("pk,pk->p", bary, corner_depth[chosen[which]])
        front = z < nearest[pixel]
        pixel, which = pixel[front], which[front]
        nearest[pixel] = z[front]
        owner[pixel] = chosen[which]
        weights[pixel] = bary[front]
    covered = np.flatnonzero(owner >= 0)
    return covered, owner[covered], weights[covered]
