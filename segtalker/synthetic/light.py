"""One key light and a sky on surfaces of known normals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segtalker.synthetic.appearance import Appearance, Colour

_TO_CAMERA = np.array((0.0, 0.0, -1.0), np.float32)


class Light:
    """The light of one scene."""

    def __init__(self, look: Appearance) -> None:
        """Takes direction, colours and the skin's shine from `look`."""
        self._look = look
        half = look.light + _TO_CAMERA
        self._half = half / np.linalg.norm(half)

    def on(self, normals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Light [P, 3] on surfaces of unit normals [P, 3]: wrapped key light, sky, dark rims."""
        look = self._look
        toward = normals @ look.light
        key = np.clip((toward + 0.25) / 1.25, 0, 1)[:, None] * look.key
        fill = (0.72 - 0.28 * normals[:, 1:2]) * look.fill
        rim = 0.72 + 0.28 * np.clip(-normals[:, 2:3], 0, 1)
        return (look.exposure * 1.25 * (key + fill) * rim).astype(np.float32)

    def gloss(self, normals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Highlight [P] of the skin's oil: shine (n . h)^24 with h half-way between light and camera."""
        return self._look.shine * np.clip(normals @ self._half, 0, 1) ** 24 * np.float32(0.7)

    def towards(self, x: float, y: float, z: float) -> Colour:
        """Light [3] on one surface that looks along (x, y, z)."""
        return self.on(np.array([[x, y, z]], np.float32))[0]
