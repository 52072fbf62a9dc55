"""The face itself: the textured, lit mesh with eyes and mouth."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.faces.align import apply_affine
from segtalker.faces.mesh import NOSE_TIP, mean_face, mesh_triangles
from segtalker.synthetic.appearance import Appearance
from segtalker.synthetic.brush import Picture
from segtalker.synthetic.clip import Performance
from segtalker.synthetic.features import Mouths, paint_eyes
from segtalker.synthetic.figure import FOREHEAD_ARC
from segtalker.synthetic.light import Light
from segtalker.synthetic.raster import rasterize, vertex_normals
from segtalker.synthetic.texture import face_texture, texture_position
from segtalker.types import Affine

_RIM_LIFT = 0.05
_REMAP_COLUMNS = 512


class FaceSkin:
    """Paints the face of one performance; its texture is made once and travels with the mesh."""

    def __init__(self, performance: Performance, look: Appearance, light: Light, resolution: int) -> None:
        """resolution: texture pixels a unit crop."""
        self._performance, self._look, self._light = performance, look, light
        self._resolution = resolution
        self._texture = face_texture(look, performance.identity.seed, resolution)
        self._mouths = Mouths(performance.identity, look, performance.motion)

    def paint(self, canvas: Picture, frame: int, affine: Affine, face: NDArray[np.float64]) -> None:
        """Paint one frame over the canvas, in place; `face` [468, 2] is the mesh in its pixels."""
        performance = self._performance
        rim = performance.figure.forehead_rim(frame)
        solid = np.concatenate([performance.posed[frame], rim])
        pixels = np.concatenate([face, apply_affine(affine, rim[:, :2])])
        triangles, positions = _face_triangles()
        flat, owner, weights = rasterize(pixels, solid[:, 2], triangles, canvas.shape[1], canvas.shape[0])
        if not len(flat):
            return
        normals = vertex_normals(solid, triangles)
        normals *= -np.sign(normals[NOSE_TIP, 2] or 1.0)  # the tip of the nose looks at the camera
        corners = triangles[owner]
        normal = _interpolate(normals, corners, weights)
        normal /= np.sqrt(np.maximum(np.einsum("pc,pc->p", normal, normal), 1e-9))[:, None]
        albedo = self._look_up(_interpolate(texture_position(positions, self._resolution), corners, weights))
        canvas.reshape(-1, 3)[flat] = albedo * self._light.on(normal) + self._light.gloss(normal)[:, None]
        gaze = (float(performance.motion.gaze_x[frame]), float(performance.motion.gaze_y[frame]))
        paint_eyes(canvas, face, self._look, gaze)
        self._mouths.paint(canvas, frame, face, affine)

    def _look_up(self, positions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bilinear samples [P, 3] of the texture; in rows, because OpenCV limits the side of a map."""
        rows = -(-len(positions) // _REMAP_COLUMNS)
        padded = np.zeros((rows * _REMAP_COLUMNS, 2), np.float32)
        padded[: len(positions)] = positions
        x, y = padded.reshape(rows, _REMAP_COLUMNS, 2).transpose(2, 0, 1)
        x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
        found = cv2.remap(self._texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found, np.float32).reshape(-1, 3)[: len(positions)]


def _interpolate(
    values: NDArray[np.float32], corners: NDArray[np.int32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Values [V, C] at vertices -> [P, C] at points with corner indices [P, 3] and weights [P, 3]."""
    return (
        values[corners[:, 0]] * weights[:, :1]
        + values[corners[:, 1]] * weights[:, 1:2]
        + values[corners[:, 2]] * weights[:, 2:]
    )


@cache
def _face_triangles() -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Triangles of mesh and forehead rim, all front-facing, and where each vertex lies in the texture."""
    mesh = mean_face().astype(np.float64)
    rim = mesh[list(FOREHEAD_ARC), :2] - np.array((0.0, _RIM_LIFT))
    positions = np.concatenate([mesh[:, :2], rim])
    strip = []
    for k, (a, b) in enumerate(pairwise(FOREHEAD_ARC)):
        c, d = len(mesh) + k, len(mesh) + k + 1
        strip += [(a, b, c), (b, d, c)]
    triangles = np.concatenate([mesh_triangles(), np.array(strip, np.int32)])
    corner = positions[triangles]
    edge1, edge2 = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    flipped = edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0] < 0
    triangles[flipped] = triangles[flipped][:, [0, 2, 1]]
    return triangles.astype(np.int32), positions
