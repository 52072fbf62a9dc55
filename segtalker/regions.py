"""The 12 regions of a SegTalker map, and the two 19-label parsers that they are merged from.

Only this module knows label numbers. A *region map* is uint8 [H, W] with values 0..11; a *raw map* is
uint8 [H, W] with the 19 labels of `Raw` (the order of BiSeNet face parsing). CelebAMask-HQ numbers the same
19 labels differently: use `RAW_FROM_CELEBA` before anything else.
The 12 classes are those of regional GAN inversion (arXiv 2211.14068), which SegTalker (arXiv 2409.03605,
Sec. 3.2) builds on: left and right parts are merged; necklace, cloth and hat fall to the background.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

NUM_REGIONS = 12
NUM_RAW_LABELS = 19


class Region(IntEnum):
    """The 12 regions, in the order that every network of this project uses."""

    BACKGROUND = 0
    LIP = 1
    EYEBROWS = 2
    EYES = 3
    HAIR = 4
    NOSE = 5
    SKIN = 6
    EARS = 7
    NECK = 8
    MOUTH = 9  # teeth, tongue and the dark between the lips
    EYE_GLASS = 10
    EAR_RINGS = 11


class Raw(IntEnum):
    """The 19 labels of BiSeNet face parsing."""

    BACKGROUND = 0
    SKIN = 1
    LEFT_BROW = 2
    RIGHT_BROW = 3
    LEFT_EYE = 4
    RIGHT_EYE = 5
    EYE_GLASS = 6
    LEFT_EAR = 7
    RIGHT_EAR = 8
    EAR_RING = 9
    NOSE = 10
    MOUTH = 11
    UPPER_LIP = 12
    LOWER_LIP = 13
    NECK = 14
    NECKLACE = 15
    CLOTH = 16
    HAIR = 17
    HAT = 18


_R = Region
REGION_FROM_RAW: NDArray[np.uint8] = np.array(
    [
        _R.BACKGROUND, _R.SKIN, _R.EYEBROWS, _R.EYEBROWS, _R.EYES, _R.EYES, _R.EYE_GLASS, _R.EARS, _R.EARS,
        _R.EAR_RINGS, _R.NOSE, _R.MOUTH, _R.LIP, _R.LIP, _R.NECK, _R.BACKGROUND, _R.BACKGROUND, _R.HAIR,
        _R.BACKGROUND,
    ],
    dtype=np.uint8,
)  # fmt: skip
"""Look-up table [19] raw label -> region."""

RAW_FROM_CELEBA: NDArray[np.uint8] = np.array(
    [0, 1, 10, 6, 4, 5, 2, 3, 7, 8, 11, 12, 13, 17, 18, 9, 15, 14, 16], dtype=np.uint8
)
"""Look-up table [19] CelebAMask-HQ label -> raw label."""

REGION_NAMES: tuple[str, ...] = tuple(region.name.lower() for region in Region)

REGION_COLOURS: NDArray[np.uint8] = np.array(
    [
        (24, 26, 34), (214, 62, 84), (92, 64, 51), (90, 160, 255), (130, 84, 48), (255, 190, 120),
        (240, 208, 176), (250, 150, 130), (196, 150, 120), (255, 255, 255), (70, 220, 190), (255, 215, 0),
    ],
    dtype=np.uint8,
)  # fmt: skip
"""RGB [12, 3] for pictures."""

MOVING: NDArray[np.bool_] = np.isin(np.arange(NUM_REGIONS), (_R.LIP, _R.MOUTH, _R.SKIN, _R.NOSE))
"""Look-up table [12]: does a region move with the jaw, or hang on what does?"""

OCCLUDERS: tuple[Raw, ...] = (Raw.CLOTH, Raw.HAT, Raw.NECKLACE)
"""Raw labels that are never pasted over: they are background in the 12 regions but belong to the person."""


def merge_raw(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Raw map [...] (0..18) to region map [...] (0..11)."""
    return REGION_FROM_RAW[raw]


def one_hot(region_map: NDArray[np.uint8], num_classes: int = NUM_REGIONS) -> NDArray[np.float32]:
    """Region map [..., H, W] to float32 one-hot [..., num_classes, H, W]."""
    eye = np.eye(num_classes, dtype=np.float32)
    return np.moveaxis(eye[region_map], -1, -3)


def colourize(region_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Region map [..., H, W] to an RGB picture [..., H, W, 3]."""
    return REGION_COLOURS[region_map]
