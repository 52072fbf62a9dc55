"""Everything that can be chosen about a dub, in sections; each is defined beside the code that it turns."""

from __future__ import annotations

from dataclasses import dataclass, field

from segtalker.compositing.paste import PasteConfig
from segtalker.compositing.plan import PlanConfig, SyncMode
from segtalker.editing.recipe import Edit, check_conflicts
from segtalker.faces.detect import FacesConfig
from segtalker.faces.speaker import parse_speaker
from segtalker.faces.track import TrackConfig
from segtalker.media.write import EncodeConfig
from segtalker.parsing.parse import ParserConfig
from segtalker.person import AnalysisConfig
from segtalker.portrait import PortraitConfig
from segtalker.render import RenderConfig
from segtalker.stages import Precision
from segtalker.training.adapt import AdaptConfig


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Which weights a network has; its size is written in them."""

    weights: str = "mini"
    """`mini` is shipped with the package; anything else is the path of a .safetensors file."""


@dataclass(frozen=True, kw_only=True)
class DubConfig:
    """The defaults suit a laptop."""

    sync_mode: SyncMode = SyncMode.CUT_OFF
    """What happens when video and speech differ in length."""
    speaker: str = "largest"
    """`largest`, `index:N` from the left, `point:X,Y`, `photo:FILE` or `track:ID`."""
    faces: FacesConfig = field(default_factory=FacesConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)
    parsing: ParserConfig = field(default_factory=ParserConfig)
    tsg: NetworkConfig = field(default_factory=NetworkConfig)
    sgi: NetworkConfig = field(default_factory=NetworkConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    adapt: AdaptConfig | None = None
    """Fit the renderer to each track first; None (the default) does not."""
    paste: PasteConfig = field(default_factory=PasteConfig)
    edits: tuple[Edit, ...] = ()
    """What else changes about the face, and when."""
    encode: EncodeConfig = field(default_factory=EncodeConfig)
    portrait: PortraitConfig = field(default_factory=PortraitConfig)
    save_maps: bool = False
    """Also write source | region map | talking map | result as `OUTPUT.maps.mp4`."""
    device: str = "auto"
    """auto (cuda, mps, cpu) or a name that torch knows, such as cuda:1."""
    precision: Precision = "fp32"
    """bf16 and fp16 are faster on a GPU and change the result slightly."""
    threads: int = 0
    """CPU threads of the networks; 0 leaves it to torch."""
    seed: int = 0
    """Of the portrait's motion."""

    def __post_init__(self) -> None:
        parse_speaker(self.speaker)
        check_conflicts(self.edits)
        if self.threads < 0 or self.seed < 0:
            raise ValueError("threads and seed must not be negative")
