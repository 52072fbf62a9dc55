"""The three networks of a dub as three verbs on arrays: talk, encode, paint.

Each is built once from weights and then called with small batches of uint8 crops and maps; nothing here
knows of files, videos or threads, so a service replica or a Ray actor wraps the same objects.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from segtalker.audio.source import SampleSource
from segtalker.audio.windows import read_context, read_mel_windows
from segtalker.errors import ConfigError
from segtalker.models.sgi import SGI
from segtalker.models.tsg import TSG, interpolate_context, merge_talking_map
from segtalker.regions import NUM_REGIONS
from segtalker.training.adapt import Adapted, track_codes
from segtalker.weights.checkpoint import load_weights, weights_path

# Shape legend: N frames of a batch, S side of the renderer's crop, R 12 regions, L style layers, D style dim

Precision = Literal["fp32", "bf16", "fp16"]
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """Where and how precisely networks run."""

    device: torch.device
    precision: Precision = "fp32"
    batch: int = 8
    """Crops per forward pass."""

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Half precision where the networks allow it; nothing for fp32."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=_DTYPES[self.precision])


def pick_device(name: str) -> torch.device:
    """`auto` is cuda, else mps, else cpu; anything else is taken by its name."""
    if name != "auto":
        try:
            device = torch.device(name)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            why = str(error).splitlines()[0].rstrip(".")
            raise ConfigError(f"device {name!r} cannot be used here ({why}). Take auto or cpu.") from error
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


class Talker:
    """Speech moves the mouth of region maps (TSG)."""

    def __init__(self, tsg: TSG, compute: Compute) -> None:
        self._tsg = tsg.eval().to(compute.device)
        self._compute = compute

    @torch.inference_mode()
    def talk(
        self,
        maps_NSS: NDArray[np.uint8],
        references_NSS: NDArray[np.uint8],
        speech: SampleSource,
        times: Sequence[Fraction],
    ) -> NDArray[np.uint8]:
        """Talking region maps [N, S, S] of frames shown at `times` of the speech.

        maps_NSS: region maps of the source frames; their lower half gives the network nothing.
        references_NSS: the identity reference of each frame. S may differ from the network's size: maps go
        in by nearest neighbour, and class scores, not classes, are brought back to S.
        """
        device, size = self._compute.device, maps_NSS.shape[-1]
        mel = torch.from_numpy(read_mel_windows(speech, times)).unsqueeze(1).to(device)
        chunks, padding, plan = read_context(speech, times)
        with self._compute.autocast():
            features = self._tsg.context(
                torch.from_numpy(chunks).to(device), torch.from_numpy(padding).to(device)
            )
            context = interpolate_context(
                features,
                torch.from_numpy(plan.chunk).to(device),
                torch.from_numpy(plan.token).to(device),
                torch.from_numpy(plan.weight).to(device),
            )
            inside = self._tsg.cfg.size
            pose, reference = (_one_hot(_resize(maps, inside), device) for maps in (maps_NSS, references_NSS))
            logits = self._tsg(pose, reference, mel, context).float()
        if size != inside:
            logits = F.interpolate(logits, (size, size), mode="bilinear", align_corners=False)
        return merge_talking_map(logits, torch.from_numpy(maps_NSS).to(device)).cpu().numpy()


class Painter:
    """Region maps and style codes to pictures, and pictures to style codes (SGI)."""

    def __init__(self, sgi: SGI, compute: Compute) -> None:
        self.sgi = sgi.eval().to(compute.device)
        self._compute = compute

    def adapted(self, fit: Adapted) -> Painter:
        """A painter with the generator of an adaptation; this one stays as it is."""
        return Painter(cast(SGI, fit.apply(self.sgi)), self._compute)

    @property
    def size(self) -> int:
        """Side S of the crops and maps of this renderer."""
        return self.sgi.cfg.size

    def encode(self, crops_KSS3: NDArray[np.uint8], maps_KSS: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Style codes [R, L, D] of one person, from K crops with their region maps."""
        device = self._compute.device
        with self._compute.autocast():
            codes = track_codes(
                self.sgi, to_network(crops_KSS3, device), torch.from_numpy(maps_KSS).to(device)
            )
        return codes[0].float().cpu().numpy()

    @torch.inference_mode()
    def paint(self, maps_NSS: NDArray[np.uint8], codes_RLD: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Crops [N, S, S, 3] of region maps with the style codes of one person; the noise is fixed."""
        codes = torch.from_numpy(codes_RLD).to(self._compute.device)
        crops = []
        for part in _parts(len(maps_NSS), self._compute.batch):
            regions = torch.from_numpy(
                maps_NSS[part]
            )  # on the host: the generator plans its border work there
            with self._compute.autocast():
                images = self.sgi.decode(codes.expand(len(regions), *codes.shape), regions)
            crops.append(from_network(images))
        return np.concatenate(crops)


@dataclass(frozen=True)
class Networks:
    """What a dub computes with, loaded once."""

    talker: Talker
    painter: Painter
    compute: Compute
    hashes: Mapping[str, str]
    """Network -> sha256 of its weights file."""


def load_networks(tsg: str, sgi: str, compute: Compute) -> Networks:
    """Networks from weights (`mini` or paths); `WeightsError` says what is wrong with a file."""
    paths = {"tsg": weights_path(tsg, "tsg"), "sgi": weights_path(sgi, "sgi")}
    loaded = {name: load_weights(path, name) for name, path in paths.items()}
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}
    return Networks(
        talker=Talker(cast(TSG, loaded["tsg"]), compute),
        painter=Painter(cast(SGI, loaded["sgi"]), compute),
        compute=compute,
        hashes=hashes,
    )


def to_network(crops_NSS3: NDArray[np.uint8], device: torch.device) -> Tensor:
    """RGB uint8 [N, S, S, 3] to float32 [N, 3, S, S] in [-1, 1]."""
    return torch.from_numpy(crops_NSS3).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def from_network(images: Tensor) -> NDArray[np.uint8]:
    """Float [N, 3, S, S] in [-1, 1] to RGB uint8 [N, S, S, 3]."""
    pixels = (images.float().clamp(-1.0, 1.0) * 127.5 + 127.5).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())


def _one_hot(maps_NSS: NDArray[np.uint8], device: torch.device) -> Tensor:
    labels = torch.from_numpy(maps_NSS).to(device).long()
    return F.one_hot(labels, NUM_REGIONS).permute(0, 3, 1, 2).float()


def _resize(maps_NSS: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if maps_NSS.shape[-1] == size:
        return maps_NSS
    return np.stack(
        [cv2.resize(region_map, (size, size), interpolation=cv2.INTER_NEAREST) for region_map in maps_NSS]
    )


def _parts(count: int, batch: int) -> list[slice]:
    return [slice(start, min(start + batch, count)) for start in range(0, count, batch)]
