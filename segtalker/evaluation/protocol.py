"""What is measured and how: all that moves a figure stands in one file, which is saved with the result.

Figures of two protocols do not compare. Its hash names the records of videos that were
scored before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from segtalker.config import config_hash
from segtalker.errors import ConfigError
from segtalker.faces.detect import FacesConfig
from segtalker.parsing.parse import ParserConfig

RATE = 25
"""Frames a second at which everything is scored: that of SyncNet v2, of our experts and of the paper."""

GROUPS = (
    "sync", "expert", "landmarks", "image", "lpips", "fid", "fvd", "csim", "mini", "miou", "opening", "seam",
    "flicker",
)  # fmt: skip
"""Kinds of figures that can be asked for; `coverage` always comes."""


@dataclass(frozen=True, kw_only=True)
class EvalProtocol:
    """How videos are scored."""

    crop: Literal["reference", "own"] = "reference"
    """Whose face track cuts both videos. `reference`: the reference's, so that a face that moved counts as an
    error; without a reference, the output's own. `own`: each its own, for methods that move the head freely
    (landmarks, PSNR and SSIM then compare aligned faces)."""
    size: int = 256
    """Side of the aligned crop, framed like FFHQ, px. All figures of pictures are of the whole crop."""
    map_size: int = 128
    """Side of the region maps, px; the shipped experts have learned on 128."""
    margin: float = 1.0
    """Side of the crop over that of the FFHQ framing, about the same centre."""
    landmark_size: int = 512
    """Landmark distances are pixels of a crop of this side."""
    rate: int = RATE
    """Frames a second of the grid; of videos of other rates the frame shown nearest in time is taken."""
    max_frames: int = 0
    """At most so many frames of the grid, the first ones; 0 is all."""
    metrics: tuple[str, ...] = GROUPS
    """Groups of figures."""
    speaker: str = "largest"
    """Which face, as in `segtalker dub --speaker`."""
    length_tolerance_s: float = 0.5
    """A pair whose lengths differ by more is a failure, not scored."""
    expert: str = "mini"
    """The lip-sync expert that was never a loss: `mini` is the shipped one, or a weights file."""
    parsing_unet: str | None = None
    """Weights of `segtalker train parsing_unet`, for `perceptual_mini`."""
    identity: str | None = None
    """Weights of `segtalker train identity`, for `id_mini`."""
    silence_db: float = -35.0
    """Without labels, speech is silent where it is so much quieter than the loudest twentieth of it."""
    faces: FacesConfig = field(default_factory=FacesConfig)
    parser: ParserConfig = field(default_factory=ParserConfig)
    seed: int = 0
    """Of the intervals over videos; nothing that is measured on a video is drawn."""
    reference_rule: str = "one frame per video, never the scored one"
    """Which picture of the person the methods were shown: a statement for readers, it changes nothing."""
    codec: str = "as decoded"
    """In which codec the outputs were handed in: likewise a statement. Another codec alone moves sync scores
    (arXiv 2511.04520), so give all methods the same."""

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.metrics) - set(GROUPS)):
            raise ConfigError(f"metrics: unknown '{unknown[0]}'; there are {', '.join(GROUPS)}.")
        if self.rate != RATE:
            raise ConfigError(f"rate: {self.rate}, but the lip-sync experts see {RATE} frames a second only.")
        if min(self.size, self.map_size) < 64 or not 0.5 <= self.margin <= 2:
            raise ConfigError("size and map_size are at least 64 px, margin lies in 0.5..2.")
        if self.max_frames < 0 or self.length_tolerance_s < 0 or self.landmark_size < 1:
            raise ConfigError(
                "max_frames and length_tolerance_s are not negative, landmark_size is positive."
            )

    @property
    def key(self) -> str:
        """Names all that changes what is measured on a video."""
        return config_hash(self)

    def wants(self, group: str) -> bool:
        """Whether figures of this group are asked for."""
        return group in self.metrics
