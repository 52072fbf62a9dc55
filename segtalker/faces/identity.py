"""Whose face it is: the published recognisers behind one small interface.

IR-SE50, which the cache keeps as a network of ours, and the recogniser of InsightFace's pack see the same
picture: the face moved to ArcFace's five points (arXiv 1801.07698). The cosine of two embeddings of one of
them is CSIM; the two recognisers' figures do not compare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.align import fit_similarity, warp_image
from segtalker.faces.mesh import EYE_L, EYE_R, MOUTH_CORNERS
from segtalker.types import Face, Image, Points
from segtalker.weights.store import cached, locate

if TYPE_CHECKING:
    from segtalker.models.frozen.arcface import ArcFace

Recogniser = Literal["auto", "irse50", "buffalo_l"]

SIZE = 112
"""Side of the picture that the recognisers see, px."""
_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Eyes, tip of the nose and corners of the mouth there; the centre of the first pixel is at 0."""
_NOSE = 4  # a little above the mesh's foremost point, as the detectors have it that recognisers learned with


class Embedder(Protocol):
    """A face recogniser."""

    row: str
    """Its name in the registry, to stand beside the figures."""

    def embed(self, image: Image, face: Face) -> NDArray[np.float32]:
        """Identity embedding [512] of unit length of a face in an image [H, W, 3]."""
        ...


def load_embedder(which: Recogniser = "auto", device: str = "cpu") -> Embedder | None:
    """The recogniser of that name; `WeightsError` says how to get it.

    `auto` takes what this machine has, IR-SE50 first, or None: then there is no CSIM.
    """
    from segtalker.faces.insight import PackEmbedder, usable_pack

    if which == "irse50" or (which == "auto" and cached("irse50") is not None):
        return ArcFaceEmbedder.from_cache(device)
    if which == "buffalo_l" or usable_pack() is not None:
        return PackEmbedder()
    return None


class ArcFaceEmbedder:
    """IR-SE50 as a recogniser."""

    row = "irse50"

    def __init__(self, network: ArcFace, device: str = "cpu") -> None:
        self._network = network.eval().to(device)
        self._device = device

    @staticmethod
    def from_cache(device: str = "cpu") -> ArcFaceEmbedder:
        """With the published weights, imported into the weights cache."""
        from segtalker.weights.checkpoint import load_weights

        return ArcFaceEmbedder(cast("ArcFace", load_weights(locate("irse50"), "identity")), device)

    def embed(self, image: Image, face: Face) -> NDArray[np.float32]:
        """See `Embedder.embed`."""
        import torch

        with torch.inference_mode():
            crop = torch.from_numpy(aligned_face(image, face.landmarks)).to(self._device)
            vector = self._network(crop.permute(2, 0, 1)[None].float() / 127.5 - 1)[0]
        return vector.float().cpu().numpy()


def aligned_face(image: Image, landmarks: Points) -> Image:
    """The face of a mesh [468, 2] as recognisers want it: [112, 112, 3], black beyond the picture."""
    crop_from_frame = fit_similarity(five_points(landmarks), _TEMPLATE + 0.5)
    return warp_image(image, crop_from_frame, (SIZE, SIZE))


def five_points(landmarks: Points) -> NDArray[np.float32]:
    """Eye centres, tip of the nose and corners of the mouth [5, 2] of a mesh [468, 2]."""
    eyes = [landmarks[list(contour)].mean(axis=0) for contour in (EYE_L, EYE_R)]
    return np.stack([*eyes, landmarks[_NOSE], *landmarks[list(MOUTH_CORNERS)]])
