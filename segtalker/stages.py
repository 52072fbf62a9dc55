"""What a dub asks of networks: find and parse faces, talk, encode, paint, as verbs on arrays.

The pipeline knows these interfaces only. `local_stages` holds the networks in this process; a service calls
replicas through the same verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.source import SampleSource
from segtalker.audio.windows import read_context, read_mel_windows
from segtalker.extract import CropParser
from segtalker.faces.detect import FaceBackend
from segtalker.training.adapt import AdaptConfig, Adapted

# Shape legend: N frames of a batch, S side of the renderer's crop, R 12 regions, L style layers, D style dim

Precision = Literal["fp32", "bf16", "fp16"]
OnStep = Callable[[int, int, float], None]
"""Told step, steps and loss of a fit."""


@dataclass(frozen=True)
class SpeechWindows:
    """What the TSG hears at the times of N frames."""

    mel: NDArray[np.float32]
    """Windows [N, 80, 16]."""
    chunks: NDArray[np.float32]
    """Tokens [K, 75, 104] of the K different context chunks that the frames lie in."""
    padding: NDArray[np.bool_]
    """[K, 75]"""
    chunk: NDArray[np.int64]
    """[N] the chunk of each frame."""
    token: NDArray[np.int64]
    """[N, 2] the two tokens of it between which the frame lies."""
    weight: NDArray[np.float32]
    """[N] share of the second."""

    @staticmethod
    def read(speech: SampleSource, times: Sequence[Fraction]) -> SpeechWindows:
        """Those of frames shown at `times`; reads only the samples around them."""
        chunks, padding, plan = read_context(speech, times)
        return SpeechWindows(
            read_mel_windows(speech, times), chunks, padding, plan.chunk, plan.token, plan.weight
        )

    @staticmethod
    def join(parts: Sequence[SpeechWindows]) -> SpeechWindows:
        """Frames of several speeches, one after the other."""
        first = np.cumsum([0, *(len(part.chunks) for part in parts)])
        return SpeechWindows(
            mel=np.concatenate([part.mel for part in parts]),
            chunks=np.concatenate([part.chunks for part in parts]),
            padding=np.concatenate([part.padding for part in parts]),
            chunk=np.concatenate([part.chunk + at for part, at in zip(parts, first[:-1], strict=True)]),
            token=np.concatenate([part.token for part in parts]),
            weight=np.concatenate([part.weight for part in parts]),
        )


class Talks(Protocol):
    """Speech moves the mouth of region maps."""

    def talk(
        self, maps_NSS: NDArray[np.uint8], references_NSS: NDArray[np.uint8], heard: SpeechWindows
    ) -> NDArray[np.uint8]:
        """Talking region maps [N, S, S] of frames that hear `heard`.

        maps_NSS: region maps of the source frames; their lower half gives the network nothing.
        references_NSS: the identity reference of each frame. S may differ from the network's size: maps go
        in by nearest neighbour, and class scores, not classes, are brought back to S.
        """
        ...


class Paints(Protocol):
    """Region maps and style codes to pictures, and pictures to style codes."""

    @property
    def size(self) -> int:
        """Side S of the crops and maps of this renderer."""
        ...

    def encode(self, crops_KSS3: NDArray[np.uint8], maps_KSS: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Style codes [R, L, D] of one person, from K crops with their region maps."""
        ...

    def paint(self, maps_NSS: NDArray[np.uint8], codes: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Crops [N, S, S, 3] of region maps; the noise is fixed.

        codes: style codes of one person [R, L, D], or of each frame [N, R, L, D].
        """
        ...

    def fit(
        self, crops_KSS3: NDArray[np.uint8], raws_KSS: NDArray[np.uint8], cfg: AdaptConfig, on_step: OnStep
    ) -> Adapted:
        """An adaptation of the generator to crops with raw maps; on_step: told step, steps and loss."""
        ...

    def adapted(self, fit: Adapted) -> Paints:
        """A painter with the generator of an adaptation; this one stays as it is."""
        ...


@dataclass(frozen=True)
class Networks:
    """What a dub computes with."""

    talker: Talks
    painter: Paints
    hashes: Mapping[str, str]
    """Network -> sha256 of its weights file."""


class Stages(Protocol):
    """All that a dub computes with; each part is made when it is first asked for."""

    @property
    def backend(self) -> FaceBackend:
        """Finds and follows faces."""
        ...

    @property
    def parser(self) -> CropParser:
        """Makes region maps of crops."""
        ...

    @property
    def networks(self) -> Networks:
        """Talk, encode and paint."""
        ...
