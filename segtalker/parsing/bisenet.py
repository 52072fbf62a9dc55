"""Parsing by BiSeNet: 19 labels on any aligned face, with glasses, hats and jewellery.

Its published weights are for non-commercial research: `segtalker weights fetch bisenet` shows their terms and
puts them into the cache once these are accepted, `segtalker weights import 79999_iter.pth` a file at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from segtalker.parsing.colours import ColourModel
from segtalker.regions import Raw, merge_raw
from segtalker.types import Image, ParsedFace, Points

if TYPE_CHECKING:
    from segtalker.models.frozen.bisenet import BiSeNet


class BiSeNetParser:
    """A `Parser` that looks at the picture alone; it neither fits nor needs landmarks."""

    def __init__(self, network: BiSeNet, device: str = "cpu") -> None:
        self._network = network.eval().to(device)
        self._device = device

    @staticmethod
    def from_cache(device: str = "cpu") -> BiSeNetParser:
        """With the published weights, imported into the weights cache."""
        from segtalker.weights.checkpoint import load_weights
        from segtalker.weights.store import locate

        return BiSeNetParser(cast("BiSeNet", load_weights(locate("bisenet"), "bisenet")), device)

    def fit(
        self, crops: Sequence[Image], landmarks: Sequence[Points], mattes: Sequence[NDArray[np.float32]]
    ) -> ColourModel | None:
        """Nothing to fit."""
        return None

    def parse(
        self,
        crop: Image,
        landmarks: Points,
        matte: NDArray[np.float32] | None = None,
        colours: ColourModel | None = None,
    ) -> ParsedFace:
        """Parse a crop [S, S, 3]. Without a matte the person is every pixel that is not background."""
        import torch
        import torch.nn.functional as F

        from segtalker.models.frozen.bisenet import INPUT_SIZE, MEAN, STD

        size = crop.shape[:2]
        with torch.inference_mode():
            image = torch.from_numpy(np.ascontiguousarray(crop)).to(self._device)
            image = image.permute(2, 0, 1)[None].float() / 255.0
            image = F.interpolate(
                image, (INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False, antialias=True
            )
            mean, std = (image.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
            logits = self._network((image - mean) / std)[0]
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
            raw = logits.argmax(dim=1)[0].to(torch.uint8).cpu().numpy()
        if matte is None:
            matte = (raw != Raw.BACKGROUND).astype(np.float32)
        return ParsedFace(raw=raw, region_map=merge_raw(raw), matte=matte.astype(np.float32))
