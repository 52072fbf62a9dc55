"""The 68 landmarks of iBUG 300-W, in which landmark distances (LMD) are published.

Points 0-16 are the jaw from temple to temple, 17-26 the brows, 27-35 the nose, 36-47 the eyes, 48-67 outer
and inner lips, all from the left of the picture. `from_mesh` reads them off the face mesh, InsightFace's pack
has a network of its own for them: both stand behind `FaceBackend.landmarks68`. The two do not draw the jaw
alike, the pack along the projected edge of a head in three dimensions, so compare figures of one kind only.
"""

from __future__ import annotations

import numpy as np

from segtalker.types import Points

NUM_POINTS = 68
MOUTH = slice(48, 68)
"""Lips, over which M-LMD is the mean; F-LMD takes all points."""

# fmt: off
_IN_MESH = np.array([
    127, 234, 132, 58, 172, 150, 149, 148, 152, 377, 378, 379, 397, 288, 361, 454, 356,  # jaw, evenly spaced
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # upper edges of the brows
    168, 197, 5, 4, 75, 97, 2, 326, 305,  # bridge and tip of the nose, then along its lower edge
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 81, 13, 311, 308, 402, 14, 178,  # inner lips
])
"""Points of the mesh that lie where iBUG's scheme has its own."""
# fmt: on


def from_mesh(landmarks: Points) -> Points:
    """The 68 points [..., 68, 2] among those of the face mesh [..., 468, 2]."""
    return landmarks[..., _IN_MESH, :]
