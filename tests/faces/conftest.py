from __future__ import annotations

import numpy as np
import pytest

from segtalker.errors import WeightsError
from segtalker.faces.detect import LiteRTFaces


@pytest.fixture(scope="session")
def backend() -> LiteRTFaces:
    try:
        return LiteRTFaces()
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """[512, 512, 3] NASA portrait, public domain; the face is 93 px wide."""
    return pytest.importorskip("skimage.data").astronaut()
