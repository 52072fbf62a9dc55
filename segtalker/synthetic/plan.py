"""What a corpus holds, decided before anything is made: one row a clip, a function of the configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from segtalker.errors import ConfigError
from segtalker.synthetic.clip import LabelNoise
from segtalker.synthetic.speech import SpeechConfig
from segtalker.synthetic.voices import HELD_OUT_VOICES, TRAIN_VOICES, UNSEEN_VOICES, Voice

CORPUS_VERSION = 3
"""Changes whenever the same configuration would give other clips."""

Preset = Literal["speech", "voices", "faces", "clips"]
SPLITS = ("train", "val", "held_out_voices", "unseen_synthesiser")
"""No identity stands in two splits. `val` shares its voices with `train`; the last two share none."""
_VOICES = dict(zip(SPLITS, (TRAIN_VOICES, TRAIN_VOICES, HELD_OUT_VOICES, UNSEEN_VOICES), strict=True))
_IDENTITIES_PER_SPLIT = 10_000_000


@dataclass(frozen=True)
class SynthConfig:
    """A synthetic corpus. `preset` says what a clip holds, the rest how many and of which kind.

    `speech`: maps of every frame; one identity a clip. `voices`: no pictures, only speech and what the mouth
    does in it. `faces`: RGB crops and maps of `frames_per_identity`
    frames spread over a clip. `clips`: MP4 files with sound and their labels.
    """

    preset: Preset = "speech"
    version: int = CORPUS_VERSION
    seed: int = 0
    size: int = 128
    """Side of maps and crops, pixels."""
    minutes: float = 60.0
    """Speech of the split `train`."""
    held_out_minutes: float = 6.0
    """Speech of each of the other splits."""
    identities: int = 1200
    """`faces`: people of the split `train`; each other split has a twelfth of it."""
    frames_per_identity: int = 16
    """`faces`: frames kept of each person."""
    clips: int = 4
    """`clips`: files of each split."""
    splits: tuple[str, ...] = SPLITS
    clips_per_part: int = 16
    """Clips that are written together; an interrupted run loses at most one part a worker."""
    workers: int = 1
    vocal_tract: tuple[float, float] = (0.85, 1.25)
    """Range of the factor on the resonances of each clip of `train` and `val`; other splits stay natural."""
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    noise: LabelNoise = field(default_factory=LabelNoise)

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        unknown = set(self.splits) - set(SPLITS)
        if unknown:
            raise ConfigError(f"splits: {sorted(unknown)[0]!r} is not one of {', '.join(SPLITS)}.")
        if self.version != CORPUS_VERSION:
            raise ConfigError(
                f"version: this SegTalker makes corpus version {CORPUS_VERSION}, not {self.version}. "
                "Use the release that made the corpus."
            )


@dataclass(frozen=True)
class ClipPlan:
    """One clip to be made."""

    key: str
    split: str
    voice: Voice
    identity: int
    """Seed of the person."""
    seed: int
    """Of speech, motion and noise."""


def preset_config(preset: Preset) -> SynthConfig:
    """The configuration that `segtalker synth PRESET` starts from."""
    match preset:
        case "voices":
            return SynthConfig(preset="voices", minutes=240.0, speech=SpeechConfig(min_s=6.0, max_s=20.0))
        case "faces":
            exact = LabelNoise(jitter=0.0005, drift=0.0008, lost_ears=0.0, lost_neck=0.0)
            return SynthConfig(preset="faces", speech=SpeechConfig(min_s=2.5, max_s=4.0), noise=exact)
        case "clips":
            return SynthConfig(preset="clips", size=256)
        case _:
            return SynthConfig()


def plan_corpus(cfg: SynthConfig) -> list[ClipPlan]:
    """The clips of a corpus, split by split."""
    return [_plan_clip(cfg, split, index) for split in cfg.splits for index in range(_num_clips(cfg, split))]


def plan_parts(cfg: SynthConfig) -> dict[str, list[ClipPlan]]:
    """The plan in parts that are written together: folder name -> clips."""
    parts: dict[str, list[ClipPlan]] = {}
    for split in cfg.splits:
        clips = [clip for clip in plan_corpus(cfg) if clip.split == split]
        for number, start in enumerate(range(0, len(clips), cfg.clips_per_part)):
            parts[f"{split}-{number:04d}"] = clips[start : start + cfg.clips_per_part]
    return parts


def _num_clips(cfg: SynthConfig, split: str) -> int:
    if cfg.preset == "clips":
        return cfg.clips
    if cfg.preset == "faces":
        return cfg.identities if split == "train" else max(1, cfg.identities // 12)
    minutes = cfg.minutes if split == "train" else cfg.held_out_minutes
    return math.ceil(60.0 * minutes / (0.5 * (cfg.speech.min_s + cfg.speech.max_s)))


def _plan_clip(cfg: SynthConfig, split: str, index: int) -> ClipPlan:
    number = SPLITS.index(split)
    rng = np.random.default_rng((cfg.seed, number, index))
    groups = _VOICES[split]
    group = groups[index % len(groups)]
    return ClipPlan(
        key=f"{split}-{index:05d}",
        split=split,
        voice=group[rng.integers(len(group))],
        identity=cfg.seed * 100_000_000 + number * _IDENTITIES_PER_SPLIT + index,
        seed=int(rng.integers(1 << 62)),
    )
