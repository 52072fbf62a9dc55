"""The stages of a dub in this process: TSG and SGI as verbs on batches of uint8 crops and maps.

Nothing here knows of files, videos or threads, so a replica or a Ray actor wraps the same objects.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from segtalker.errors import ConfigError
from segtalker.extract import LocalCropParser
from segtalker.faces.detect import FaceBackend, load_backend
from segtalker.models.sgi import SGI
from segtalker.models.tsg import TSG, interpolate_context, merge_talking_map
from segtalker.parsing.parse import load_parser
from segtalker.regions import NUM_REGIONS
from segtalker.stages import Networks, OnStep, Precision, SpeechWindows
from segtalker.training.adapt import AdaptConfig, Adapted, adapt_cached, track_codes
from segtalker.weights.checkpoint import load_weights, weights_path
from segtalker.weights.store import cache_dir

if TYPE_CHECKING:
    from segtalker.dub_config import DubConfig

# Shape legend: N frames of a batch, S side of the renderer's crop, R 12 regions, L style layers, D style dim

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
    """`Talks` by a TSG in this process."""

    def __init__(self, tsg: TSG, compute: Compute) -> None:
        self._tsg = tsg.eval().to(compute.device)
        self._compute = compute

    @torch.inference_mode()
    def talk(
        self, maps_NSS: NDArray[np.uint8], references_NSS: NDArray[np.uint8], heard: SpeechWindows
    ) -> NDArray[np.uint8]:
        """See `Talks.talk`."""
        device, size = self._compute.device, maps_NSS.shape[-1]

        def put(values: NDArray) -> Tensor:
            return torch.from_numpy(values).to(device)

        with self._compute.autocast():
            features = self._tsg.context(put(heard.chunks), put(heard.padding))
            context = interpolate_context(features, put(heard.chunk), put(heard.token), put(heard.weight))
            inside = self._tsg.cfg.size
            pose, reference = (_one_hot(_resize(maps, inside), device) for maps in (maps_NSS, references_NSS))
            logits = self._tsg(pose, reference, put(heard.mel).unsqueeze(1), context).float()
        if size != inside:
            logits = F.interpolate(logits, (size, size), mode="bilinear", align_corners=False)
        return merge_talking_map(logits, put(maps_NSS)).cpu().numpy()


class Painter:
    """`Paints` by an SGI in this process."""

    def __init__(self, sgi: SGI, compute: Compute) -> None:
        self.sgi = sgi.eval().to(compute.device)
        self._compute = compute

    def fit(
        self, crops_KSS3: NDArray[np.uint8], raws_KSS: NDArray[np.uint8], cfg: AdaptConfig, on_step: OnStep
    ) -> Adapted:
        """See `Paints.fit`; what was fitted to the same crops before is found in the cache."""
        folder = cache_dir() / "adapted"
        return adapt_cached(self.sgi, crops_KSS3, raws_KSS, folder, cfg, on_step, self._compute.device)

    def adapted(self, fit: Adapted) -> Painter:
        """See `Paints.adapted`."""
        return Painter(cast(SGI, fit.apply(self.sgi)), self._compute)

    @property
    def size(self) -> int:
        """See `Paints.size`."""
        return self.sgi.cfg.size

    def encode(self, crops_KSS3: NDArray[np.uint8], maps_KSS: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Paints.encode`."""
        device = self._compute.device
        with self._compute.autocast():
            codes = track_codes(
                self.sgi, to_network(crops_KSS3, device), torch.from_numpy(maps_KSS).to(device)
            )
        return codes[0].float().cpu().numpy()

    @torch.inference_mode()
    def paint(self, maps_NSS: NDArray[np.uint8], codes: NDArray[np.float32]) -> NDArray[np.uint8]:
        """See `Paints.paint`."""
        styles = torch.from_numpy(codes).to(self._compute.device)
        if styles.dim() == 3:
            styles = styles.expand(len(maps_NSS), *styles.shape)
        crops = []
        for part in _parts(len(maps_NSS), self._compute.batch):
            regions = torch.from_numpy(
                maps_NSS[part]
            )  # on the host: the generator plans its border work there
            with self._compute.autocast():
                images = self.sgi.decode(styles[part], regions)
            crops.append(from_network(images))
        return np.concatenate(crops)


class LocalStages:
    """`Stages` that a configuration asks for, each loaded when it is first used."""

    def __init__(self, cfg: DubConfig, backend: FaceBackend | None = None) -> None:
        """backend: finds faces in place of the configured one."""
        self._cfg = cfg
        self._given_backend = backend

    @cached_property
    def backend(self) -> FaceBackend:
        """What finds faces."""
        return self._given_backend or load_backend(self._cfg.faces)

    @cached_property
    def parser(self) -> LocalCropParser:
        """What makes region maps of crops."""
        return LocalCropParser(self.backend, load_parser(self._cfg.parsing))

    @cached_property
    def networks(self) -> Networks:
        """Talker and painter on the chosen device."""
        cfg = self._cfg
        if cfg.threads:
            torch.set_num_threads(cfg.threads)
        compute = Compute(pick_device(cfg.device), cfg.precision, cfg.render.batch)
        return load_networks(cfg.tsg.weights, cfg.sgi.weights, compute)


def load_networks(tsg: str, sgi: str, compute: Compute) -> Networks:
    """Networks from weights (`mini` or paths); `WeightsError` says what is wrong with a file."""
    paths = {"tsg": weights_path(tsg, "tsg"), "sgi": weights_path(sgi, "sgi")}
    loaded = {name: load_weights(path, name) for name, path in paths.items()}
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}
    return Networks(
        talker=Talker(cast(TSG, loaded["tsg"]), compute),
        painter=Painter(cast(SGI, loaded["sgi"]), compute),
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
