"""A dub from beginning to end: the story on one page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import segtalker
from segtalker.compositing.plan import PlanConfig, SyncMode, make_plan
from segtalker.config import config_hash, to_dict
from segtalker.media.audio import decode_speech
from segtalker.media.write import EncodeConfig, encode_audio, mux
from segtalker.progress import OnProgress, Progress, ProgressBar, StageClock
from segtalker.render import Renderer, render_segments
from segtalker.report import DubReport, report_path
from segtalker.source import VideoSource
from segtalker.workspace import (
    check_output,
    content_digest,
    explain_os_errors,
    open_workspace,
    run_key,
    write_atomically,
)


@dataclass(frozen=True, kw_only=True)
class DubConfig:
    """Everything that can be chosen about a dub; the defaults suit a laptop."""

    sync_mode: SyncMode = SyncMode.CUT_OFF
    plan: PlanConfig = field(default_factory=PlanConfig)
    encode: EncodeConfig = field(default_factory=EncodeConfig)
    batch: int = 8
    """Frames that travel through the networks together."""


class SegTalker:
    """Makes people in videos say other speech; networks are loaded once and serve many dubs."""

    def __init__(self, config: DubConfig | None = None) -> None:
        self.config = config or DubConfig()

    def dub(
        self,
        video: Path | str,
        speech: Path | str,
        output: Path | str,
        work_dir: Path | str | None = None,
        quiet: bool = False,
        on_progress: OnProgress | None = None,
    ) -> DubReport:
        """Make the person in `video` say `speech`; writes `output` (.mp4) and `OUTPUT.report.json`."""
        video, speech, output = Path(video), Path(speech), Path(output)
        cfg, clock = self.config, StageClock()
        check_output(output, video, speech)
        with explain_os_errors(output), ProgressBar(quiet) as bar:
            progress = on_progress or bar
            source = VideoSource(video)
            key = run_key(content_digest(video, speech), config_hash(cfg), segtalker.__version__)
            work = open_workspace(output, key, Path(work_dir) if work_dir else None)
            voice = decode_speech(speech, work.path("speech.npy"))
            plan = make_plan(source.times(), source.info, [], voice.duration, cfg.sync_mode, cfg.plan)
            renderer = Renderer(source, plan, cfg.batch, clock)
            segments, reused = render_segments(
                renderer,
                plan,
                work.path("segments", "x").parent,
                cfg.encode,
                clock,
                lambda done: progress(Progress("rendering", done, len(plan))),
            )
            encode_audio(speech, work.path("audio.m4a"), plan.duration, cfg.encode)
            mux(segments, work.path("audio.m4a"), output, plan.ticks, plan.time_base)
            report = DubReport(
                output=str(output),
                video=str(video),
                speech=str(speech),
                num_frames=len(plan),
                frame_rate=str(plan.frame_rate),
                duration_s=float(plan.duration),
                speech_duration_s=float(voice.duration),
                frames=plan.counts(),
                tracks=(),
                timings_s=clock.seconds,
                reused_segments=reused,
                weights={},
                config=to_dict(cfg),
            )
            write_atomically(report_path(output), report.to_json())
        work.remove()
        return report
