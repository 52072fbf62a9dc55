"""The 468-point face mesh: which point is where, the mean face, its triangles, how open the mouth is.

`LEFT` and `RIGHT` are sides of the picture of an upright face (its own right and left). Lists of points are
closed contours in drawing order unless said otherwise.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NUM_POINTS = 468

# fmt: off
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148,
        176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
"""Outline of the face, from the top of the forehead over the right side."""
LIP_OUT = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
"""Outer contour of the lips, from the left corner along the lower lip."""
LIP_IN = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
"""Inner contour of the lips, in the order of LIP_OUT: point i lies beside point i."""
EYE_L = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
EYE_R = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
BROW_L = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
BROW_R = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
NOSE = (168, 193, 245, 188, 174, 236, 198, 209, 49, 48, 64, 98, 97, 2, 326, 327, 294, 278, 279, 429, 420, 456,
        399, 412, 465, 417)

MOUTH_CORNERS = (61, 291)
INNER_CORNERS = (78, 308)
INNER_PAIRS = ((95, 191), (88, 80), (178, 81), (87, 82), (14, 13), (317, 312), (402, 311), (318, 310),
               (324, 415))
"""(lower, upper) points of the inner lips, from left to right without the corners."""
EYE_CORNERS = (33, 133, 362, 263)
NOSE_TIP, CHIN, FOREHEAD, CHEEK_L, CHEEK_R = 1, 152, 10, 234, 454

STABLE = np.array([
    33, 133, 362, 263,  # eye corners
    168, 6, 197, 195, 5, 4, 1, 98, 327,  # bridge, tip and wings of the nose
    10, 109, 338, 67, 297, 103, 332, 151, 9, 8,  # forehead
    54, 284, 21, 251, 162, 389, 127, 356,  # temples
])
"""Points that speech does not move; crops are fitted on them."""
# fmt: on


@cache
def mean_face() -> NDArray[np.float32]:
    """The mean mesh [468, 3]: x, y in the unit crop, z in the same unit (smaller is nearer), mouth closed.

    How it was made: the mesh network was run on two public-domain portraits (scikit-image's `astronaut`,
    matplotlib's `grace_hopper`), each at 24 small turns, scales and shifts of both mirrorings. Points that
    answer to one another from left to right were found by matching each mesh with its own mirror image in
    three dimensions; every mesh was averaged with its mirror image and turned to face the camera. The lower
    face is that of the portrait with the closed mouth, blended into the mean of both above the nose; inner
    lips that face one another were put at their midpoint. Last, a similarity put eye centres, nose tip and
    mouth corners on the five points of the FFHQ framing: eyes (.3769, .4686) (.6229, .4691), nose (.5012,
    .6133), mouth (.3931, .7254) (.6115, .7249), and the mesh was centred on x = 0.5.
    """
    mesh = np.load(Path(__file__).with_name("mean_face.npy"))
    mesh.setflags(write=False)
    return mesh


@cache
def mirror_points() -> NDArray[np.int64]:
    """Index [468] of the point on the other side; a point on the mid-line is its own."""
    mesh = _slightly_open(0.002)
    mirrored = mesh * (-1, 1, 1) + (1, 0, 0)
    distance = np.linalg.norm(mesh[:, None] - mirrored[None], axis=-1)
    return distance.argmin(axis=1)


@cache
def mesh_triangles() -> NDArray[np.int32]:
    """Triangles [M, 3] of the mesh: Delaunay of the mean face, without those that span the mouth opening.

    Triangles whose corners all lie on the inner lips fill the opening and are left out.
    """
    from scipy.spatial import Delaunay

    triangles = Delaunay(_slightly_open(0.004)[:, :2]).simplices
    inner = np.isin(triangles, LIP_IN).all(axis=1)
    return triangles[~inner].astype(np.int32)


def mouth_opening(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Inner height over width of the mouth, |p13 - p14| / |p61 - p291|: [..., 468, 2] to [...]."""
    height = np.linalg.norm(landmarks[..., 13, :] - landmarks[..., 14, :], axis=-1)
    width = np.linalg.norm(landmarks[..., 61, :] - landmarks[..., 291, :], axis=-1)
    return height / np.maximum(width, 1e-6)


def _slightly_open(gap: float) -> NDArray[np.float64]:
    """The mean face with `gap` above and below the line of the mouth, where closed lips coincide."""
    points = mean_face().astype(np.float64)
    for lower, upper in INNER_PAIRS:
        points[lower, 1] += gap
        points[upper, 1] -= gap
    return points
