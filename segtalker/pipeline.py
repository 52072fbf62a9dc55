"""A dub from beginning to end: the story on one page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import segtalker
from segtalker.analysis import Analysis, analyse
from segtalker.config import config_hash
from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.extract import FaceReader
from segtalker.faces.speaker import parse_speaker
from segtalker.local_stages import LocalStages
from segtalker.media.audio import Speech, audio_layout, decode_speech
from segtalker.media.read import probe
from segtalker.media.write import encode_audio, mux
from segtalker.portrait import open_portrait
from segtalker.progress import OnProgress, Progress, ProgressBar, StageClock
from segtalker.render import Painters, Renderer, panels_path, render_segments
from segtalker.report import DubReport, make_report, maps_path, report_path
from segtalker.source import FrameSource, VideoSource
from segtalker.stages import Stages
from segtalker.types import VideoInfo
from segtalker.workspace import (
    OnKeep,
    Workspace,
    check_output,
    content_digest,
    explain_os_errors,
    open_workspace,
    run_key,
    write_atomically,
)

__all__ = ["DubConfig", "NetworkConfig", "SegTalker"]


class SegTalker:
    """Makes people in videos say other speech; networks are loaded once and serve many dubs."""

    def __init__(self, config: DubConfig | None = None, stages: Stages | None = None) -> None:
        """Nothing is loaded before the first dub. stages: where networks run; in this process by default."""
        self.config = config or DubConfig()
        self.stages = stages or LocalStages(self.config)

    def dub(
        self,
        video: Path | str,
        speech: Path | str,
        output: Path | str,
        work_dir: Path | str | None = None,
        quiet: bool = False,
        on_progress: OnProgress | None = None,
        on_keep: OnKeep | None = None,
        chunks_at_once: int = 1,
    ) -> DubReport:
        """Make the person in `video`, or in a still portrait, say `speech`.

        output: an .mp4 that appears complete or not at all, with `OUTPUT.report.json` beside it. work_dir:
        keeps the analysis and the finished segments; by default they stand beside the output until it is
        complete, and the same call after an interruption goes on from them. on_progress: in place of a bar
        on the terminal; what it raises ends the dub. on_keep: told of every finished file of the work
        folder. chunks_at_once: pays where the stages are elsewhere; the frames are the same.
        """
        video, speech, output = Path(video), Path(speech), Path(output)
        clock = StageClock()
        beside = [report_path(output), *([maps_path(output)] if self.config.save_maps else [])]
        check_output(output, beside, (video, speech))
        info, _ = probe(video), audio_layout(speech)  # both say what is wrong before any work begins
        with (
            explain_os_errors(output if work_dir is None else Path(work_dir)),
            ProgressBar(quiet) as bar,
            open_workspace(output, self.run_key(video, speech), work_dir, on_keep) as work,
        ):
            tell = on_progress or bar
            with clock("audio"):
                voice = decode_speech(speech, work.path("speech.npy"))
            source = self._open(info, voice)
            stages = self.stages
            reader = FaceReader(stages.parser, stages.networks.painter.size, clock)
            analysis = analyse(
                source, voice, self.config, stages.backend, reader, stages.networks, work, clock, tell
            )
            with clock("audio"):
                sound = self._encode_speech(speech, analysis, work)
            segments, reused = render_segments(
                self._renderer(source, analysis, voice, reader, clock),
                work.path("segments"),
                self.config.encode,
                lambda done: tell(Progress("rendering", done, len(analysis.plan))),
                work.keep,
                chunks_at_once,
            )
            with clock("mux"):
                self._publish(segments, sound, analysis, output)
            report = make_report(
                self.config, source, voice, speech, output, analysis, stages.networks, clock, reused
            )
            with explain_os_errors(report_path(output)):
                write_atomically(report_path(output), report.to_json())
        return report

    def run_key(self, video: Path, speech: Path) -> str:
        """Names everything that the result depends on."""
        cfg, inputs, hashes = self.config, [video, speech], self.stages.networks.hashes.values()
        spec = parse_speaker(cfg.speaker)
        if spec.photo is not None and spec.photo.is_file():  # what is on it counts, not where it lies
            cfg, inputs = replace(cfg, speaker="largest"), [*inputs, spec.photo]
        return run_key(content_digest(*inputs), config_hash(cfg), *hashes, segtalker.__version__)

    def _open(self, info: VideoInfo, voice: Speech) -> FrameSource:
        if not info.is_image:
            return VideoSource(info)
        cfg, backend = self.config, self.stages.backend
        return open_portrait(info.path, backend, cfg.speaker, voice.duration, cfg.portrait, cfg.seed)

    def _encode_speech(self, speech: Path, analysis: Analysis, work: Workspace) -> Path:
        """The sound of the output; it and the plan come first, so that segments can be shown as they come."""
        plan, sound = work.path("plan.json"), work.path("audio.m4a")
        if not sound.is_file():
            encode_audio(speech, sound, analysis.plan.duration, self.config.encode)
        write_atomically(plan, analysis.plan.to_json())
        work.keep(sound)
        work.keep(plan)
        return sound

    def _renderer(
        self, source: FrameSource, analysis: Analysis, voice: Speech, reader: FaceReader, clock: StageClock
    ) -> Renderer:
        networks = self.stages.networks
        return Renderer(
            source=source,
            analysis=analysis,
            speech=voice,
            reader=reader,
            talker=networks.talker,
            painters=Painters(networks.painter, analysis.people),
            cfg=self.config.render,
            paste=self.config.paste,
            clock=clock,
            save_panels=self.config.save_maps,
        )

    def _publish(self, segments: list[Path], sound: Path, analysis: Analysis, output: Path) -> None:
        """Join segments and sound under the final name."""
        plan = analysis.plan
        if self.config.save_maps:
            panels = [panels_path(segment) for segment in segments]
            mux(panels, sound, maps_path(output), plan.ticks, plan.time_base)
        mux(segments, sound, output, plan.ticks, plan.time_base)
