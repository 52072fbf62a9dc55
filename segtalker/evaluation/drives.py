"""What a self-driven or cross-driven evaluation dubs, and what is told of it beside the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from segtalker.dub_config import DubConfig
from segtalker.errors import ConfigError
from segtalker.evaluation.choice import other_speech
from segtalker.evaluation.clips import ENCODE, Clip
from segtalker.storage import Uri

Kind = Literal["self", "cross"]

_PLAIN = "segtalker"
_UNSEEN = "segtalker, detail off"


@dataclass(frozen=True, kw_only=True)
class DrivenConfig:
    """Which clips are dubbed, and how."""

    kind: Kind
    split: str = "test"
    clips: int = 0
    """At most so many, people taking turns; 0 is all."""
    seconds: float = 0.0
    """Only the first so many of each; 0 is all."""
    seed: int = 0
    """Draws the clips of each person, and whose speech is said."""
    variants: Mapping[str, tuple[str, ...]] | None = None
    """Row of the table -> settings KEY=VALUE of its dubs; None for the usual ones, see `variants_of`."""

    def __post_init__(self) -> None:
        if self.clips < 0 or self.seconds < 0:
            raise ConfigError("--clips and --seconds must not be negative.")


@dataclass(frozen=True)
class Drive:
    """One dub: a clip, and the speech that it is to say."""

    id: str
    clip: Clip
    speech: Clip


def variants_of(cfg: DrivenConfig) -> Mapping[str, tuple[str, ...]]:
    """Rows of ours.

    Self-driven, the source frame is the target frame, and detail transfer lends its skin: so a row without it
    stands beside, which sees of the target only its upper half's map and what the paste leaves untouched.
    """
    if cfg.variants is not None:
        return cfg.variants
    return {_PLAIN: ()} if cfg.kind == "cross" else {_PLAIN: (), _UNSEEN: ("paste.detail_transfer=false",)}


def plan_drives(clips: Sequence[Clip], cfg: DrivenConfig) -> list[Drive]:
    """Who says what."""
    if cfg.kind == "self":
        return [Drive(clip.id, clip, clip) for clip in clips]
    by_id = {clip.id: clip for clip in clips}
    speech = other_speech(clips, cfg.seed)
    return [Drive(f"{clip.id}.says.{speech[clip.id]}", clip, by_id[speech[clip.id]]) for clip in clips]


def sentences(cfg: DrivenConfig, drives: Sequence[Drive], dub: DubConfig) -> list[str]:
    """What was done, and by which rule it is scored."""
    total = sum(item.clip.seconds for item in drives)
    people = len({item.clip.identity for item in drives})
    said = [f"{len(drives)} clips of {people} people, {total:.0f} s, of the split '{cfg.split}'."]
    if cfg.kind == "cross":
        said.append(
            "Every clip says what another person says, drawn by the seed; nobody knows the true picture."
        )
    else:
        frames = dub.analysis.style_frames if dub.adapt is None else dub.analysis.adapt_frames
        said.append(
            "Every clip says again what it says. Frames that lent SegTalker the person's looks (at most "
            f"{frames} of a shot) take no part in what compares pictures, landmarks and maps with the true "
            "ones, for any method."
        )
        if _UNSEEN in variants_of(cfg):
            said.append(f"Detail transfer lends from the target frame itself, so '{_UNSEEN}' stands beside.")
    return said


def told_lines(
    cfg: DrivenConfig, data: Uri, drives: Sequence[Drive], made: Mapping[str, Any], shown: Mapping[str, str]
) -> dict[str, Any]:
    """Lines of the protocol: `driven` must agree where results are compared, `made` is told only."""
    asked = {name: getattr(cfg, name) for name in ("kind", "split", "clips", "seconds", "seed")}
    return {
        "driven": {**asked, "clip_crf": ENCODE.crf},
        "made": {
            "data": str(data),
            "says": {item.id: item.speech.id for item in drives},
            "rows": dict(made),
            "left_out": dict(shown) if cfg.kind == "self" else {},
        },
    }
