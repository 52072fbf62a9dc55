"""What a dub did: the numbers that stand in `OUT.report.json` beside the video."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segtalker.config import to_dict

if TYPE_CHECKING:
    from segtalker.analysis import Analysis
    from segtalker.dub_config import DubConfig
    from segtalker.media.audio import Speech
    from segtalker.progress import StageClock
    from segtalker.source import FrameSource
    from segtalker.stages import Networks
    from segtalker.types import FaceTrack

_PACKAGES = ("segtalker", "torch", "numpy", "av", "opencv-python", "ai-edge-litert", "insightface")


@dataclass(frozen=True)
class TrackReport:
    """One person in one shot of the source."""

    track_id: int
    start: int
    """Source index of the first frame."""
    stop: int
    """One past the source index of the last frame."""
    is_speaker: bool
    reference_index: int | None = None
    """Source index of the frame whose map is the identity reference; None where the track is not dubbed."""
    style_indices: tuple[int, ...] = ()
    """Source indices of the frames that lent their texture."""


@dataclass(frozen=True)
class DubReport:
    """Everything about one dub that a person or a batch job may want to know afterwards."""

    output: str
    video: str
    speech: str
    num_frames: int
    frame_rate: str
    """Rational, as in `30000/1001`."""
    duration_s: float
    speech_duration_s: float
    frames: Mapping[str, int]
    """Frame plan: reason -> frames; `synthesized` are the dubbed ones, all others passed through."""
    tracks: Sequence[TrackReport]
    timings_s: Mapping[str, float]
    """Seconds of work per stage in this run; a resumed run counts only what it did."""
    reused_segments: int
    """Finished segments taken over from an interrupted run."""
    weights: Mapping[str, str]
    """Network -> sha256 of its file."""
    config: Mapping[str, Any]
    warnings: Sequence[str] = ()
    maps: str | None = None
    """The side-by-side video of `save_maps`."""
    key: str = ""
    """Names the contents of the inputs, the settings and the weights: another dub of this key is the same."""
    versions: Mapping[str, str] = field(default_factory=lambda: package_versions())

    @property
    def synthesized(self) -> int:
        """Frames whose mouth was made by the networks."""
        return self.frames.get("synthesized", 0)

    def summary(self) -> str:
        """A few lines for a person."""
        passed = {reason: n for reason, n in self.frames.items() if reason != "synthesized" and n}
        why = ", ".join(f"{n} {reason}" for reason, n in sorted(passed.items(), key=lambda item: -item[1]))
        total = sum(self.timings_s.values())
        lines = [
            f"video:  {self.output}",
            f"frames: {self.num_frames} ({self.duration_s:.2f} s), {self.synthesized} dubbed"
            + (f", passed through: {why}" if why else ""),
            f"time:   {total:.1f} s"
            + (f", {self.num_frames / total:.1f} frames/s" if total > 0 and not self.reused_segments else ""),
        ]
        if self.reused_segments:
            lines.append(f"reused: {self.reused_segments} segments of an earlier run")
        if self.maps:
            lines.append(f"maps:   {self.maps}")
        return "\n".join([*lines, *(f"note:   {warning}" for warning in self.warnings)])

    def to_json(self) -> str:
        """The report as indented JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def make_report(
    cfg: DubConfig,
    source: FrameSource,
    voice: Speech,
    speech: Path,
    output: Path,
    analysis: Analysis,
    networks: Networks,
    clock: StageClock,
    reused_segments: int,
    key: str,
) -> DubReport:
    """The report of a finished dub."""
    plan = analysis.plan
    return DubReport(
        output=str(output),
        video=str(source.info.path),
        speech=str(speech),
        num_frames=len(plan),
        frame_rate=str(plan.frame_rate),
        duration_s=float(plan.duration),
        speech_duration_s=float(voice.duration),
        frames=plan.counts(),
        tracks=[_track_report(track, analysis) for track in analysis.tracks.values()],
        timings_s={stage: round(seconds, 3) for stage, seconds in clock.seconds.items()},
        reused_segments=reused_segments,
        weights=networks.hashes,
        config=to_dict(cfg),
        warnings=[*dict.fromkeys([*analysis.losses, *source.losses]), *_remarks(cfg, voice, analysis)],
        maps=str(maps_path(output)) if cfg.save_maps else None,
        key=key,
    )


def maps_path(output: Path) -> Path:
    """Where the side-by-side video of `output` stands: `out.mp4` -> `out.maps.mp4`."""
    return output.with_suffix(".maps.mp4")


def report_path(output: Path) -> Path:
    """Where the report of `output` stands: `out.mp4` -> `out.report.json`."""
    return output.with_suffix(".report.json")


def _track_report(track: FaceTrack, analysis: Analysis) -> TrackReport:
    person = analysis.people.get(track.track_id)
    if person is None:
        return TrackReport(track.track_id, track.start, track.stop, False)
    return TrackReport(
        track.track_id, track.start, track.stop, True, person.reference_index, person.style_indices
    )


def _remarks(cfg: DubConfig, voice: Speech, analysis: Analysis) -> list[str]:
    """What a person should know about the inputs."""
    if cfg.render.mouth == "keep":
        return []  # nobody listens to the speech
    remarks = []
    if voice.is_silent():
        remarks.append("the speech is silent: the mouth stays closed.")
    lost = float(voice.duration - analysis.plan.duration)
    if lost > 0.1:
        remarks.append(
            f"the last {lost:.1f} s of the speech were cut: the video is shorter; other sync modes keep it."
        )
    return remarks


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide what comes out."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
